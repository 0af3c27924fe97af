"""Cold start: lists for users of whom little is known, and of items that hardly anyone has come to.

A new user is an online user whose id, attributes and all but the last K events before the target are withheld; what is
hidden from the user is left out of every list, as in `evaluation`, so that all figures are over the same candidates.

A new item is one of a tenth of the items, whose vector is taken away and made from its metadata and the other items'
vectors (`offline.models.metadata`). The encoder has learned from the events of these items too, as it reads histories;
their vectors have not.
"""

from __future__ import annotations

import numpy as np

from offline import ranking_metrics
from offline.data.history import Floats, State, replay
from offline.data.readers import Ints, events_of_items
from offline.data.split import online_events, time_order
from offline.evaluate.evaluation import Progress, Report, Source
from offline.evaluate.state import Asked, Replay
from offline.evaluate.tally import Tally, long_tail
from offline.models import metadata
from scoring import MISSED
from scoring.order import Bools

KNOWN = (0, 1, 3, 10)
"""Events known of a new user."""

FEWER = (5, 20, 50, 100)
"""Items are new while fewer users than this have come to them."""

ALL = -1

NEW_ITEMS = 0.1
"""Share of the items with events whose vectors are made from metadata."""


def cold(source: Source, sample: int | None, progress: Progress) -> Report:
    """Measure cold start on the online discoveries or a sample of them.

    Returns:
        {"run", "events", "cold": {"users": {K: figures}, "items": {N: figures}, "new_items": figures}}.

        Users: `hr@10` and `ndcg@10` of the pipeline; `popularity_hr@10` and `ratio` to it; the same for `all_time`, the
        order by all likes. Items with a count below N: `events`, `hr@10`, `hr@50` of the pipeline that knows the
        whole user, and `popularity_hr@50`. Both: `recalled`, the share of lists whose candidates hold the item, and
        `recalled_vectors`, the same with vectors in the place of the candidates by terms. New items: `items`, their
        `events`, and of recall by vectors alone `hr@50` and `hr@200`, with `trained_` in front with the vectors that
        training gave them.
    """
    targets = source.targets(sample)
    ratings, parts = source.ratings, source.parts
    state = replay(
        ratings,
        time_order(ratings, parts.offline),
        State(ratings.schema, ratings.catalogue),
        progress=lambda done, total: progress("history", done, total),
    )
    order = online_events(ratings, parts)
    replayed = Replay(ratings, order, state, source.settings.recall.half_life_days)
    lasts = (ALL, *KNOWN)
    seconds, users = np.tile(ratings.ts[targets], len(lasts)), np.tile(ratings.user[targets], len(lasts))
    asked, place = Asked.unique(seconds, users, np.repeat(lasts, len(targets)))
    rows = dict(zip(lasts, np.split(place, len(lasts)), strict=True))
    wanted, lists, tail = source.wanted(targets), source.lists(), long_tail(ratings, parts)
    wide = source.lists(recall=lists.vectors_alone)
    new, without = _without_items(source)
    new_lists, new_tally, trained_tally = source.lists(without), Tally(tail, len(targets)), Tally(tail, len(targets))
    systems = ("pipeline", "popularity", "likes", "vectors")
    item_n = np.zeros(len(targets), dtype=np.int64)
    tallies = {last: {name: Tally(tail, len(targets)) for name in systems} for last in lasts}
    for known in replayed.at(asked, lambda done, total: progress("lists", done, total)):
        made = {**lists.make(known), "vectors": wide.nearest(known)}
        for last in lasts:
            here = np.flatnonzero((rows[last] >= known.first) & (rows[last] < known.first + len(known)))
            row = rows[last][here] - known.first
            for name, tally in tallies[last].items():
                tally.add(made[name], row, here, wanted[here])
            if last == ALL:
                item_n[here] = known.counters.n[row, wanted[here]]
                trained_tally.add(made["vector"], row, here, wanted[here])
                new_tally.add(new_lists.nearest(known), row, here, wanted[here])
    ranks = {last: {name: tally.rank for name, tally in of.items()} for last, of in tallies.items()}
    of_users = {str(last): _user_figures(ranks[last]) for last in KNOWN}
    items = {str(n): _item_figures(ranks[ALL], item_n < n) for n in FEWER}
    of_new = new[wanted]
    new_items = {"items": float(new.sum()), **_new_figures(new_tally.rank[of_new], trained_tally.rank[of_new])}
    found = {"users": of_users, "items": items, "new_items": new_items}
    return {"run": source.manifest.run, "events": len(targets), "cold": found}


def _without_items(source: Source) -> tuple[Bools, Floats]:
    """(which items are new, bool [items]; vectors [items, D + 1] in which theirs follow from metadata alone)."""
    n = events_of_items(source.ratings, source.parts.offline)
    new = (n > 0) & (np.random.default_rng(source.manifest.seed).random(len(n)) < NEW_ITEMS)
    table = metadata.describe(source.ratings.schema, source.ratings.catalogue)
    made = metadata.new_vectors(table, source.vectors, np.where(new, 0, n))
    return new, np.where(new[:, None], made, source.vectors)


def _new_figures(rank: Ints, trained: Ints) -> dict[str, float]:
    if not len(rank):
        return {"events": 0.0}
    found, before = ranking_metrics.of_ranks(rank), ranking_metrics.of_ranks(trained)
    figures = {"events": float(len(rank)), "hr@50": found["hr@50"], "hr@200": found["hr@200"]}
    return figures | {"trained_hr@50": before["hr@50"], "trained_hr@200": before["hr@200"]}


def _user_figures(ranks: dict[str, Ints]) -> dict[str, float]:
    found = {name: ranking_metrics.of_ranks(rank) for name, rank in ranks.items()}
    hits, popular, all_time = (found[name]["hr@10"] for name in ("pipeline", "popularity", "likes"))
    return {
        "hr@10": hits,
        "ndcg@10": found["pipeline"]["ndcg@10"],
        "popularity_hr@10": popular,
        **_ratio("ratio", hits, popular),
        "all_time_hr@10": all_time,
        **_ratio("ratio_all_time", hits, all_time),
        **_recalled(ranks),
    }


def _item_figures(ranks: dict[str, Ints], new: Bools) -> dict[str, float]:
    if not new.any():
        return {"events": 0.0}
    pipeline, popular = (ranking_metrics.of_ranks(ranks[name][new]) for name in ("pipeline", "popularity"))
    return {
        "events": float(new.sum()),
        "hr@10": pipeline["hr@10"],
        "hr@50": pipeline["hr@50"],
        "popularity_hr@50": popular["hr@50"],
        **_recalled({name: rank[new] for name, rank in ranks.items()}),
    }


def _recalled(ranks: dict[str, Ints]) -> dict[str, float]:
    """Share of the lists whose candidates hold the item, with terms and with as many vectors in their place."""
    return {
        "recalled": float(np.mean(ranks["pipeline"] != MISSED)),
        "recalled_vectors": float(np.mean(ranks["vectors"] != MISSED)),
    }


def _ratio(name: str, value: float, baseline: float) -> dict[str, float]:
    """A ratio by its name; none to a baseline of 0."""
    return {name: value / baseline} if baseline else {}
