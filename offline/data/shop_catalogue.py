"""The products of a generated shop: categories with complements and seasons, brands, prices, titles, and style."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DAYS = 366
"""Days of the year in which everything happens."""

DAY_S = 86_400

FACTORS = 8
"""Width of the hidden space of styles."""

DEPARTMENTS: dict[str, tuple[tuple[str, str, float, int | None, str], ...]] = {
    "kitchen": (
        ("coffee makers", "Coffee Maker", 90, None, "coffee beans"),
        ("coffee beans", "Coffee Beans", 14, None, "mugs"),
        ("mugs", "Mug", 12, 340, "tea"),
        ("tea", "Tea", 9, 320, "coffee makers"),
        ("knives", "Knife", 45, None, "cookware"),
        ("cookware", "Pan", 60, 335, "knives"),
    ),
    "garden": (
        ("seeds", "Seeds", 4, 75, "plant pots"),
        ("plant pots", "Plant Pot", 18, 95, "garden tools"),
        ("garden tools", "Spade", 30, 100, "seeds"),
        ("garden furniture", "Bench", 180, 130, "lanterns"),
        ("lanterns", "Lantern", 25, 200, "plant pots"),
    ),
    "outdoor": (
        ("tents", "Tent", 160, 150, "sleeping bags"),
        ("sleeping bags", "Sleeping Bag", 80, 155, "camping stoves"),
        ("camping stoves", "Stove", 40, 165, "backpacks"),
        ("backpacks", "Backpack", 85, 170, "hiking boots"),
        ("hiking boots", "Boots", 130, 180, "tents"),
    ),
    "winter": (
        ("skis", "Skis", 320, 350, "ski boots"),
        ("ski boots", "Ski Boots", 210, 355, "gloves"),
        ("gloves", "Gloves", 35, 345, "sledges"),
        ("sledges", "Sledge", 45, 352, "skis"),
    ),
    "home office": (
        ("desks", "Desk", 260, 250, "office chairs"),
        ("office chairs", "Chair", 190, 250, "monitors"),
        ("monitors", "Monitor", 240, 325, "keyboards"),
        ("keyboards", "Keyboard", 70, None, "desks"),
    ),
    "toys": (
        ("board games", "Board Game", 32, 345, "puzzles"),
        ("puzzles", "Puzzle", 16, 340, "board games"),
        ("building sets", "Building Set", 55, 348, "plush toys"),
        ("plush toys", "Bear", 20, 345, "building sets"),
    ),
    "audio": (
        ("headphones", "Headphones", 120, 330, "speakers"),
        ("speakers", "Speaker", 140, 330, "turntables"),
        ("turntables", "Turntable", 230, None, "records"),
        ("records", "Record", 24, 345, "headphones"),
    ),
}
"""Categories by department: name, the noun of titles, a usual price, the day of the year about which it is bought most,
and the category that people turn to afterwards."""

CATEGORIES = tuple(row[0] for rows in DEPARTMENTS.values() for row in rows)
TAGS = {"gift": 0.12, "organic": 0.08, "recycled": 0.08}
"""Further values of the attribute `categories`, each with the share of products that have it."""

BRANDS = (
    "Alder", "Birkby", "Calder", "Dovetail", "Eastway", "Fennick", "Gale & Co", "Harrow", "Isen", "Juniper", "Kestrel",
    "Lindqvist", "Marlow", "Norden", "Oakridge", "Pell", "Quill", "Rowan", "Sable", "Tarn", "Ulm", "Vesper", "Wren",
    "Yarrow",
)  # fmt: skip
STYLES = ("Classic", "Compact", "Dark", "Light", "Nordic", "Retro", "Slim", "Sturdy")

NO_BRAND, NO_PRICE = 0.07, 0.05
"""Shares of products without a brand, and without a price."""

NEW, WITHDRAWN = 0.35, 0.2
"""Shares of products that appear during the year, and that disappear during it."""

ACCESSORIES = 3
"""Products of the complement that go with a product best."""


@dataclass(frozen=True)
class Products:
    """All products; every array has one entry for each.

    Attributes:
        ids, titles: texts.
        kind: place of the category in CATEGORIES.
        tags: names of TAGS.
        brand: place in BRANDS; their number where there is none.
        price: NaN where it is not known.
        price_level: the true price in standard deviations of its category.
        popularity, quality: by which a product is seen, and taken.
        style: FP64 [products, FACTORS].
        likeness, accessories: what a product adds to the pull of each other one, where it was seen, and where it was
            taken; FP64 [products, products].
        appears, disappears: days; the latter is beyond the last day where it stays.
        category_style: FP64 [categories, FACTORS].
        complement: by category, the place of the one that people turn to.
        peak: by category, the day about which it is bought most; -1 where it is bought all the year.
    """

    ids: list[str]
    titles: list[str]
    kind: Ints
    tags: list[list[str]]
    brand: Ints
    price: Doubles
    price_level: Doubles
    popularity: Doubles
    quality: Doubles
    style: Doubles
    likeness: Doubles
    accessories: Doubles
    appears: Ints
    disappears: Ints
    category_style: Doubles
    complement: Ints
    peak: Ints

    @property
    def kinds(self) -> int:
        """The number of categories."""
        return len(self.peak)

    def season(self, day: Ints) -> Doubles:
        """The demand for each category on some days, FP64 [days, categories]."""
        angle = 2 * np.pi * (day[:, None] - self.peak) / DAYS
        wanted: Doubles = np.where(self.peak < 0, 0.0, 2.5 * (np.exp(3.0 * (np.cos(angle) - 1)) - 0.3))
        return wanted


def draw(items: int, category_style: Doubles, rng: np.random.Generator) -> Products:
    """Draw products.

    Args:
        items: how many.
        category_style: FP64 [categories, FACTORS].
        rng: of all choices.
    """
    rows = [row for rows in DEPARTMENTS.values() for row in rows]
    # Each category has as many products as any other, give or take one.
    kind = rng.permutation(np.arange(items) % len(rows)).astype(np.int64)
    brand, style_of_brand, level_of_brand = _brands(kind, rng)
    word = rng.integers(0, len(STYLES), items)
    style = 0.5 * category_style[kind] + 0.5 * style_of_brand[brand] + rng.normal(0.0, 0.7, (items, FACTORS))
    style += 0.5 * rng.normal(0.0, 1.0, (len(STYLES), FACTORS))[word]
    style /= np.linalg.norm(style, axis=1, keepdims=True)
    price_level = level_of_brand[brand] + rng.normal(0.0, 0.7, items)
    price = np.array([row[2] for row in rows])[kind] * np.exp(0.35 * price_level)
    price = np.where(price < 20, np.round(price, 1), np.round(price) - 0.01)
    quality = rng.normal(0.0, 0.5, items)
    popularity = -0.6 * np.log(np.argsort(np.argsort(-(quality + rng.normal(0.0, 0.6, items)))) + 5.0)
    complement = np.array([CATEGORIES.index(row[4]) for row in rows], dtype=np.int64)
    alike = style @ style.T
    appears = np.where(rng.random(items) < NEW, rng.integers(10, DAYS - 20, items), 0)
    stays = rng.integers(40, 200, items)
    return Products(
        ids=_ids(kind),
        titles=_titles(kind, brand, word, rows),
        kind=kind,
        tags=[[tag for tag, share in TAGS.items() if rng.random() < share] for _ in range(items)],
        brand=brand,
        price=np.where(rng.random(items) < NO_PRICE, np.nan, price),
        price_level=price_level,
        popularity=popularity,
        quality=quality,
        style=style,
        likeness=2.0 * alike,
        accessories=_accessories(kind, brand, complement, alike),
        appears=appears,
        disappears=np.where(rng.random(items) < WITHDRAWN, appears + stays, DAYS * 2),
        category_style=category_style,
        complement=complement,
        peak=np.array([-1 if row[3] is None else row[3] for row in rows], dtype=np.int64),
    )


def _brands(kind: Ints, rng: np.random.Generator) -> tuple[Ints, Doubles, Doubles]:
    """(brand of each product, style of each brand, price level of each brand); a brand is strong in some categories."""
    brands = len(BRANDS) + 1
    strength = rng.normal(0.0, 1.6, (len(CATEGORIES), brands))
    drawn = np.argmax(strength[kind, :-1] + rng.gumbel(size=(len(kind), brands - 1)), axis=1)
    brand = np.where(rng.random(len(kind)) < NO_BRAND, len(BRANDS), drawn).astype(np.int64)
    return brand, rng.normal(0.0, 1.0, (brands, FACTORS)), rng.normal(0.0, 0.7, brands)


def _accessories(kind: Ints, brand: Ints, complement: Ints, alike: Doubles) -> Doubles:
    """The pull of each product on those that go with it: of the complement, alike, rather of its brand."""
    fits = alike + 0.5 * (brand[:, None] == brand)
    fits[kind != complement[kind][:, None]] = -np.inf
    best = np.argsort(-fits, axis=1)[:, :ACCESSORIES]
    added = np.zeros_like(alike)
    np.put_along_axis(added, best, 2.5, axis=1)
    added[np.isinf(fits)] = 0.0
    return added


def _ids(kind: Ints) -> list[str]:
    """An id for each product: letters of its category, and a number."""
    return [
        "".join(word[:2] for word in CATEGORIES[place].split()).upper() + f"-{number:04}"
        for number, place in enumerate(kind.tolist(), 1)
    ]


def _titles(kind: Ints, brand: Ints, word: Ints, rows: list[tuple[str, str, float, int | None, str]]) -> list[str]:
    """A title for each product; one that there is already gets a number."""
    titles, times = [], dict[str, int]()
    for place, which, style in zip(kind.tolist(), brand.tolist(), word.tolist(), strict=True):
        title = " ".join([*BRANDS[which : which + 1], STYLES[style], rows[place][1]])
        times[title] = times.get(title, 0) + 1
        titles.append(title if times[title] == 1 else f"{title} {times[title]}")
    return titles
