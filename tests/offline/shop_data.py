"""The files of a small shop, in the layout of `tests/shop.py`: views, carts and purchases with string ids."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from tests.shop import DESCRIPTION

USERS, ITEMS = 80, 90
HELD_OUT = 8
BEGIN = int(datetime(2024, 3, 1, tzinfo=UTC).timestamp())
CATEGORIES = ("garden", "kitchen", "toys")
DESCRIBED = f'{DESCRIPTION}\n[split]\nkind = "last"\nevents = {HELD_OUT}\n'

Click = tuple[str, str, str, int]
"""(customer, sku, action, unix seconds)."""


def write_shop(folder: Path, seed: int) -> Path:
    """Write the files of a shop and its description; the path of the description."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    kinds = rng.integers(0, len(CATEGORIES), ITEMS)
    (folder / "products.jsonl").write_text("".join(json.dumps(_product(n, kinds, rng)) + "\n" for n in range(ITEMS)))
    # The last customers have no account.
    accounts = [f"c{number};{rng.choice(['new', 'regular', ''])}\n" for number in range(USERS - 5)]
    (folder / "customers.csv").write_text("".join(["customer;segment\n", *accounts]))
    clicks = [click for number in range(USERS) for click in _clicks(f"c{number}", kinds, rng)]
    lines = [f"{datetime.fromtimestamp(ts, UTC).isoformat()},{who},{action},{sku}\n" for who, sku, action, ts in clicks]
    (folder / "clicks.csv").write_text("".join(["at,customer,action,sku\n", *lines]))
    description = folder / "shop.toml"
    description.write_text(DESCRIBED)
    return description


def _product(number: int, kinds: np.ndarray, rng: np.random.Generator) -> dict[str, object]:
    categories = {CATEGORIES[kinds[number]], *rng.choice(CATEGORIES, int(rng.integers(0, 2)))}
    price = None if rng.random() < 0.1 else round(float(rng.lognormal(2.5, 0.7)), 2)
    return {
        "sku": f"sku-{number}",
        "name": f"{CATEGORIES[kinds[number]].title()} thing {number}",
        "categories": sorted(categories),
        "brand": f"brand {rng.integers(0, 70)}",
        "price": price,
        "description": "a useful thing",
    }


def _clicks(customer: str, kinds: np.ndarray, rng: np.random.Generator) -> list[Click]:
    """Sessions in one category each, in which items with near numbers follow each other."""
    clicks: list[Click] = []
    ts = BEGIN + int(rng.integers(0, 90 * 86_400))
    favourite = int(rng.integers(0, len(CATEGORIES)))
    wanted = 18 + int(min(rng.lognormal(2.6, 1.1), 200))
    while len(clicks) < wanted:
        kind = favourite if rng.random() < 0.8 else int(rng.integers(0, len(CATEGORIES)))
        shelf = np.flatnonzero(kinds == kind)
        place = int(len(shelf) * rng.random() ** 2)
        for _ in range(int(rng.integers(1, 5))):
            sku = f"sku-{shelf[place % len(shelf)]}"
            actions = ["view", *["view"] * (rng.random() < 0.2)]
            if rng.random() < 0.6:
                actions += ["cart", *["purchase"] * (rng.random() < 0.7)]
            for action in actions:
                clicks.append((customer, sku, action, ts))
                ts += int(rng.geometric(0.05)) - 1
            place += int(rng.integers(1, 3))
        ts += int(rng.integers(3_600, 5 * 86_400))
    return clicks
