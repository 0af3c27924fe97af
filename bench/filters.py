"""Lists with `filter` and `diversity`, in turn with plain ones: how long they take, and whether they are full."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
import requests

from bench.hot_publish import percentiles
from bench.load import Request
from features import Id, Item, Schema, id_text
from features.attributes import Attribute
from features.columns import ItemTable
from scoring.restriction import AllOf, AnyOf, Restriction, restrictable
from settings import Settings, bearer
from stores import Unreachable

SIZE = 10
"""Items of a list."""

WARM_UP = 20
"""Rounds that are not measured."""

MOST = 2
"""Items of a list that may have the same value."""

PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of request.

    Attributes:
        name: as in the figures.
        body: what it asks for besides the user and the size.
        items: how many items of the catalogue it allows.
    """

    name: str
    body: Mapping[str, object]
    items: int


def kinds(schema: Schema, items: Mapping[Id, Item]) -> list[Kind]:
    """The kinds of requests that the attributes of the items allow; the plain one is the first.

    Of the attribute with the most values: `any` asks for one of its two commonest, `all` for the two that most items
    have together, `rare` for the rarest that still has twice the items of a list, and `diversity` for at most MOST
    items with the same; `both` asks for the commoner half of the values with `diversity`, where these are enough to
    fill a list. `range` asks for the middle half of a number.
    """
    table = ItemTable(schema, items)
    attributes = restrictable(schema)
    found = [Kind(PLAIN, {}, len(table))]
    valued = [attribute for attribute in attributes if attribute.values]
    if valued:
        found += _by_value(max(valued, key=lambda attribute: len(attribute.values)), table)
    for attribute in attributes:
        if attribute.kind == "number" and (middle := _middle(schema, attribute, items)):
            low, high, between = middle
            found.append(Kind("range", {"filter": {attribute.name: {"min": low, "max": high}}}, between))
            break
    return found


def _by_value(attribute: Attribute, table: ItemTable) -> Iterator[Kind]:
    def having(*values: str, every: bool = False) -> int:
        condition = (AllOf if every else AnyOf)(attribute.name, values)
        return int(Restriction((condition,)).mask(table).sum())

    count = {value: having(value) for value in attribute.values}
    by_count = sorted(count, key=lambda value: -count[value])
    commonest = by_count[:2]
    any_of = {"filter": {attribute.name: {"any": commonest}}}
    yield Kind("any", any_of, having(*commonest))
    pairs = {(commonest[0], other): having(commonest[0], other, every=True) for other in by_count[1:]}
    together = max(pairs, key=lambda pair: pairs[pair], default=None)
    if together is not None and pairs[together]:
        yield Kind("all", {"filter": {attribute.name: {"all": list(together)}}}, pairs[together])
    rare = min((value for value in by_count if count[value] >= 2 * SIZE), key=lambda value: count[value], default=None)
    if rare is not None:
        yield Kind("rare", {"filter": {attribute.name: {"any": [rare]}}}, count[rare])
    if len(attribute.values) >= SIZE:
        diversity: dict[str, object] = {"diversity": {"attribute": attribute.name, "most": MOST}}
        yield Kind("diversity", diversity, len(table))
        # Two values alone cannot fill a list of which each may have two.
        most_common = by_count[: len(by_count) // 2]
        broad: dict[str, object] = {"filter": {attribute.name: {"any": most_common}}}
        if len(most_common) >= SIZE:
            yield Kind("both", broad | diversity, having(*most_common))


def _middle(schema: Schema, attribute: Attribute, items: Mapping[Id, Item]) -> tuple[float, float, int] | None:
    """The quartiles of a number, and how many items lie between them; None where no item has it."""
    place = schema.item_attributes.index(attribute)
    values = [item.values[place] for item in items.values()]
    known = np.array([value for value in values if isinstance(value, int | float)], dtype=np.float64)
    if not len(known):
        return None
    low, high = (float(value) for value in np.quantile(known, [0.25, 0.75], method="nearest"))
    return low, high, int(((known >= low) & (known <= high)).sum())


def filters(
    settings: Settings,
    schema: Schema,
    items: Mapping[Id, Item],
    userids: Sequence[Id],
    rounds: int,
    progress: Callable[[str, float], None],
) -> dict[str, dict[str, Any]]:
    """Ask for a list of each kind in every round, in random order and one at a time.

    Args:
        settings: where the API is.
        schema: of the data set.
        items: the catalogue.
        userids: whose lists are asked for.
        rounds: at least two.
        progress: told of the share that is done.

    Returns:
        By kind: `requests`, `p50_ms`, `p99_ms`, `failed`, `short`, which counts lists that are not full though the
        catalogue has enough items for the user, and except for plain ones `ratio_p50` and `ratio_p99`.

    Raises:
        Unreachable: if the API does not answer.
    """
    asked, rng = kinds(schema, items), random.Random(7)
    answered: dict[str, list[Request]] = {kind.name: [] for kind in asked}
    short = dict.fromkeys(answered, 0)
    address = f"http://{settings.api.host}:{settings.api.port}"
    with requests.Session() as session:
        session.headers.update(bearer(settings.api))
        for number in range(-WARM_UP, rounds):
            progress("requesting lists", max(0, number) / rounds)
            userid = rng.choice(userids)
            try:
                known = session.get(f"{address}/users/{quote(id_text(userid), safe='')}", timeout=30)
                events = known.json().get("n", 0) if known.status_code == 200 else 0
                for kind in rng.sample(asked, len(asked)):
                    began = time.perf_counter()
                    answer = session.post(
                        f"{address}/ml/rec", json={"userid": userid, "size": SIZE, **kind.body}, timeout=30
                    )
                    took = 1000 * (time.perf_counter() - began)
                    request = Request.of(began, took, answer.status_code, answer.json())
                    if number >= 0:
                        answered[kind.name].append(request)
                        short[kind.name] += len(request.itemids) < SIZE <= kind.items - events
            except requests.RequestException as error:
                raise Unreachable(f"the API at {address} does not answer ({error}); see `reelstream status`") from error
    figures: dict[str, dict[str, Any]] = {}
    for name, part in answered.items():
        failed = sum(request.status != 200 or bool(request.degraded) for request in part)
        figures[name] = {**percentiles(part), "failed": failed, "short": short[name]}
        if name != PLAIN:
            plain = figures[PLAIN]
            figures[name] |= {
                f"ratio_{cut}": round(figures[name][f"{cut}_ms"] / plain[f"{cut}_ms"], 2) for cut in ("p50", "p99")
            }
    return figures
