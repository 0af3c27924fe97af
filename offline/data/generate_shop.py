"""A generated shop in the layout of datasets/shop.toml: views, carts and purchases of a year.

Shoppers come in sessions, each with an intent: a category, by their tastes, by the season, and as a complement of what
they took last (coffee beans after a coffee maker). Within it an item is drawn by popularity, by the shopper's taste for
its style, by the brands that the shopper bought before, by price, and as an accessory of what the shopper took. Whether
a view leads to a cart, and a cart to a purchase, follows the same taste. Items appear and disappear. So a model of the
sequence has more to learn than what is popular, or what is bought by the same people.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from offline.data import shop_catalogue as catalogue
from offline.data.shop_catalogue import DAY_S, Products
from offline.data.tables import arrow
from offline.errors import DataError

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

EVENTS, PRODUCTS, CUSTOMERS = "events.csv", "products.jsonl", "customers.parquet"
FILES = (EVENTS, PRODUCTS, CUSTOMERS)

USUAL = (1_500, 600, 100_000)
"""Users, items and events of a shop of a usual size, for `make`."""

BEGIN = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
SEGMENTS = ("student", "family", "professional", "retired")
BUDGETS = (-0.5, 0.0, 0.6, 0.1)
"""The price level that each segment prefers, in standard deviations of its category."""

UNKNOWN_SEGMENT, GUESTS = 0.08, 0.03
"""Shares of customers without a segment, and of shoppers without an account."""

LEAST_VIEWS, SESSION_VIEWS = 8, 6.0
"""Fewest views of a shopper, and the mean of a session."""

BREAK_S, LEAST_GAP_S = 1800, 20
"""Fewest seconds between the last view of a session and the next one, and between two views of one."""

CART_S, CHECKOUT_S = 8, 60
"""Seconds from a view to the cart, and from the last view of a session to the purchases."""

EVENTS_PER_VIEW, MORE = 1.45, 1.05
"""Events that a view is taken to lead to, itself among them; and the factor on views that led to too few events."""

CARTED, PURCHASED = -2.4, -0.6
"""Terms added to a shopper's liking of an item: log-odds that a view leads to a cart, and a cart to a purchase."""


@dataclass(frozen=True)
class Views:
    """Views, by shopper and rising in time.

    Attributes:
        shopper, item: places, INT64 [views].
        ts: in unix seconds, INT64 [views].
        session: numbers that rise by one from session to session, INT64 [views].
        carted, purchased: what the view led to.
    """

    shopper: Ints
    item: Ints
    ts: Ints
    session: Ints
    carted: Flags
    purchased: Flags


def make(folder: Path, users: int, items: int, events: int, seed: int) -> None:
    """Write events.csv, products.jsonl and customers.parquet; the same arguments give the same bytes.

    Args:
        folder: where to; made if need be.
        users, items: how many.
        events: how many, about 10 a user at least and so many that a user views half of the items at most.
        seed: of every random choice.

    Raises:
        DataError: the numbers do not fit each other.
    """
    fewest, most = round(users * LEAST_VIEWS * EVENTS_PER_VIEW) + 1, users * items // 2
    if users < 1 or items < 2 * len(catalogue.CATEGORIES):
        raise DataError(
            f"a shop needs at least 1 user and {2 * len(catalogue.CATEGORIES)} items; raise --users or --items"
        )
    if not fewest <= events <= most:
        raise DataError(f"{users} users and {items} items need {fewest} to {most} events; change --events")
    rng = np.random.default_rng(seed)
    products = catalogue.draw(items, rng.normal(0.0, 1.0, (len(catalogue.CATEGORIES), catalogue.FACTORS)), rng)
    segment = rng.integers(0, len(SEGMENTS), users)
    views = _enough_views(products, segment, events, rng)
    folder.mkdir(parents=True, exist_ok=True)
    guest = rng.random(users) < GUESTS
    names = [f"{'guest' if is_guest else 'u'}-{number:05}" for number, is_guest in enumerate(guest.tolist(), 1)]
    _write_events(folder / EVENTS, views, names, products.ids, events)
    _write_products(folder / PRODUCTS, products)
    known = rng.random(users) >= UNKNOWN_SEGMENT
    _write_customers(folder / CUSTOMERS, names, segment, known, ~guest)


def _enough_views(products: Products, segment: Ints, events: int, rng: np.random.Generator) -> Views:
    """Views that lead to as many events, or somewhat more; what is too much is left out at the end of the year."""
    count = int(events / EVENTS_PER_VIEW)
    while True:
        views = _views(products, segment, _views_of(len(segment), len(products.ids), count, rng), rng)
        if len(views.ts) + int(views.carted.sum() + views.purchased.sum()) >= events:
            return views
        count = min(events, round(MORE * count))


def _views_of(users: int, items: int, views: int, rng: np.random.Generator) -> Ints:
    """Views of each shopper, INT64 [users]: LEAST_VIEWS, and a share of the rest by a long-tailed activity."""
    activity, most = rng.lognormal(0.0, 0.9, users), items // 2
    counts = np.full(users, LEAST_VIEWS, dtype=np.int64)
    while left := views - int(counts.sum()):
        weights = activity * (counts < most)
        counts = np.minimum(counts + rng.multinomial(left, weights / weights.sum()), most)
    return counts


def _views(products: Products, segment: Ints, counts: Ints, rng: np.random.Generator) -> Views:
    """All views, and what they lead to."""
    steps, users = int(counts.max()), len(counts)
    begins = rng.random((users, steps)) < 1 / SESSION_VIEWS
    begins[:, 0] = True
    ts = _times(begins, counts, rng)
    shoppers = _Shoppers(products, segment, rng)
    shape = (users, steps)
    item, carted, purchased = np.zeros(shape, np.int64), np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    for step in range(steps):
        here = np.flatnonzero(counts > step)
        chosen = shoppers.view(here, ts[here, step], begins[here, step])
        item[here, step] = chosen
        carted[here, step], purchased[here, step] = shoppers.decide(here, chosen)
    made = np.arange(steps) < counts[:, None]
    session = np.cumsum(begins[made]) - 1
    shopper = np.repeat(np.arange(users), counts)
    return Views(shopper, item[made], ts[made], session, carted[made], purchased[made])


def _times(begins: Flags, counts: Ints, rng: np.random.Generator) -> Ints:
    """Times of views in unix seconds, INT64 [users, steps]: seconds apart in a session, days between sessions."""
    shape = begins.shape
    session = np.cumsum(begins, axis=1) - 1
    last = session[np.arange(len(counts)), counts - 1]
    # Half of the shoppers are there from the first day, the others join during the year.
    joined = np.maximum(rng.uniform(-0.75, 0.75, len(counts)), 0.0)[:, None]
    when = np.sort(np.where(np.arange(shape[1]) <= last[:, None], rng.random(shape), 2.0), axis=1)
    day = np.floor((joined + when * (1 - joined)) * (catalogue.DAYS - 1))
    second = np.clip(rng.normal(16.0, 3.0, shape), 6.0, 22.0) * 3600
    begin = np.take_along_axis((day * DAY_S + second).astype(np.int64), session, axis=1)
    gaps = np.where(begins, BREAK_S, LEAST_GAP_S + rng.geometric(1 / 40, shape))
    since = np.cumsum(gaps, axis=1)
    # No session begins before the one before it has ended.
    times: Ints = BEGIN + since + np.maximum.accumulate(np.where(begins, begin - since, -since), axis=1)
    return times


class _Shoppers:
    """The wants of shoppers, which change with what they take.

    Args:
        products: what there is.
        segment: of each shopper.
        rng: of all choices.
    """

    def __init__(self, products: Products, segment: Ints, rng: np.random.Generator) -> None:
        self._products, self._rng = products, rng
        users, items = len(segment), len(products.ids)
        taste = rng.normal(0.0, 1.0, (users, catalogue.FACTORS))
        budget = np.array(BUDGETS)[segment] + rng.normal(0.0, 0.5, users)
        self._liking = taste @ products.style.T - 0.8 * (budget[:, None] - products.price_level) ** 2
        self._wanted = 0.6 * (taste @ products.category_style.T + rng.normal(0.0, 1.0, (users, products.kinds)))
        self._loyalty = 0.6 * rng.normal(0.0, 1.0, (users, len(catalogue.BRANDS) + 1))
        self._complement = np.zeros((users, products.kinds))
        self._state = np.zeros((users, items))
        self._intent = np.zeros(users, np.int64)
        self._last = np.full(users, -1, np.int64)

    def view(self, here: Ints, ts: Ints, begins: Flags) -> Ints:
        """Choose the next item of some shoppers, at these times; True where a session begins."""
        products, rng = self._products, self._rng
        day = (ts - BEGIN) // DAY_S
        turns = begins | (rng.random(len(here)) < 0.15)
        wanted = self._wanted[here] + self._complement[here] + products.season(day)
        drawn = np.argmax(wanted + rng.gumbel(size=wanted.shape), axis=1)
        self._intent[here[turns]] = drawn[turns]
        self._last[here[begins]] = -1
        pull = products.popularity + self._liking[here] + self._loyalty[here][:, products.brand] + self._state[here]
        pull += 6.0 * (products.kind == self._intent[here][:, None])
        last = self._last[here]
        pull += np.where(last[:, None] >= 0, products.likeness[last], 0.0)
        pull += 1.5 * np.exp(-np.maximum(day[:, None] - products.appears, 0) / 30.0)
        pull[(day[:, None] < products.appears) | (day[:, None] >= products.disappears)] = -np.inf
        chosen: Ints = np.argmax(pull + rng.gumbel(size=pull.shape), axis=1)
        self._last[here] = chosen
        self._state[here, chosen] -= 1.0
        return chosen

    def decide(self, here: Ints, item: Ints) -> tuple[Flags, Flags]:
        """The outcome of the views of some shoppers: (carted, purchased). Both change what they want next."""
        products, rng = self._products, self._rng
        fit = self._liking[here, item] + self._loyalty[here, products.brand[item]] + products.quality[item]
        carted = CARTED + fit + rng.logistic(size=len(here)) > 0
        purchased = carted & (PURCHASED + 0.5 * fit + rng.logistic(size=len(here)) > 0)
        who, what = here[carted], item[carted]
        self._complement[who] *= 0.5
        self._complement[who, products.complement[products.kind[what]]] += 3.0
        self._state[who] += products.accessories[what]
        self._state[who, what] -= 3.0
        who, what = here[purchased], item[purchased]
        branded = products.brand[what] < len(catalogue.BRANDS)
        self._loyalty[who[branded], products.brand[what[branded]]] += 0.7
        self._state[who, what] = -np.inf
        return carted, purchased


def _write_events(path: Path, views: Views, names: list[str], ids: list[str], events: int) -> None:
    """Write the first events of all, in time order; those of a shopper in one second as they happened."""
    last = np.append(np.flatnonzero(np.diff(views.session)), len(views.session) - 1)
    moments = {
        "view": (np.arange(len(views.ts)), views.ts),
        "cart": (np.flatnonzero(views.carted), views.ts + CART_S),
        # All purchases of a session are made at once.
        "purchase": (np.flatnonzero(views.purchased), views.ts[last][views.session] + CHECKOUT_S),
    }
    place = np.concatenate([places for places, _ in moments.values()])
    ts = np.concatenate([times[places] for places, times in moments.values()])
    kind = np.repeat(np.arange(len(moments)), [len(places) for places, _ in moments.values()])
    order = np.lexsort((place, kind, ts))[:events]
    place = place[order]
    columns = (ts[order], _ranked(views)[place], views.shopper[place], views.item[place], kind[order])
    types = list(moments)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("time", "session", "visitor", "product", "event"))
        for second, session, shopper, item, which in zip(*(column.tolist() for column in columns), strict=True):
            time = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            writer.writerow((time, f"s{session}", names[shopper], ids[item], types[which]))


def _ranked(views: Views) -> Ints:
    """The number of each view's session, from 1 in the order in which sessions begin."""
    begins = np.append(0, np.flatnonzero(np.diff(views.session)) + 1)
    rank = np.empty(len(begins), dtype=np.int64)
    rank[np.argsort(views.ts[begins], kind="stable")] = np.arange(1, len(begins) + 1)
    session: Ints = rank[views.session]
    return session


def _write_products(path: Path, products: Products) -> None:
    departments = {row[0]: name for name, rows in catalogue.DEPARTMENTS.items() for row in rows}
    with path.open("w", encoding="utf-8") as file:
        for number, identity in enumerate(products.ids):
            category = catalogue.CATEGORIES[products.kind[number]]
            brand, price = int(products.brand[number]), float(products.price[number])
            fields = {
                "product": identity,
                "title": products.titles[number],
                "categories": [departments[category], category, *products.tags[number]],
                "brand": catalogue.BRANDS[brand] if brand < len(catalogue.BRANDS) else None,
                "price": None if np.isnan(price) else round(price, 2),
                "listed": _date(int(products.appears[number])),
                "withdrawn": _date(int(products.disappears[number])),
            }
            file.write(json.dumps(fields, ensure_ascii=False) + "\n")


def _date(day: int) -> str | None:
    """A day of the year as a date; None beyond its end."""
    return datetime.fromtimestamp(BEGIN + day * DAY_S, UTC).date().isoformat() if day < catalogue.DAYS else None


def _write_customers(path: Path, names: list[str], segment: Ints, known: Flags, account: Flags) -> None:
    """Write the shoppers who have an account, some of them without a segment."""
    segments = [SEGMENTS[place] if known[row] else None for row, place in enumerate(segment.tolist())]
    places = np.flatnonzero(account).tolist()
    columns = [arrow.strings([values[place] for place in places]) for values in (names, segments)]
    pq.write_table(pa.table(columns, ["customer", "segment"]), path)
