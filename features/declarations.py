"""The features of the ranker's dense input, each declared once. docs/add-a-feature.md shows how to add one.

A feature is a function: its name is the feature's, its parameters name the counts that it uses (`features.counts`), its
docstring describes it in one sentence, and its body is the formula, over N pairs of user and item at once. Declared for
each of some attributes of items (`features.feature.Each`), it makes a feature of each that the data set has. Everything
else is derived: the columns of training, of the feature log and of requests, what Feast says of the counts, the series
of drift with their descriptions, and docs/features.md.
"""

from __future__ import annotations

import numpy as np

from features.feature import Counts, Declarations, Each, OneHot, Values

SHRINK = 5.0
"""Events that the share of positive events weighs, towards which rates of few events are drawn."""

DAY = 86400.0
"""Seconds."""

DECLARED = Declarations()
"""The features, in the order in which they are declared below."""


def like_rate(likes: Counts, n: Counts, share: float) -> Values:
    """Share of positive events, drawn towards that of all events where there are few."""
    rate: Values = (likes + SHRINK * share) / (n + SHRINK)
    return rate


def mean_over(item_term: OneHot, values: Values | Counts) -> Values:
    """Mean of a user's values, one for each value of a term, over the values of each item."""
    mean: Values = (values * item_term).sum(axis=1) / np.maximum(item_term.sum(axis=1), 1.0)
    return mean


@DECLARED.feature(unit="log events")
def user_log_n(user_n: Counts) -> Values:
    """Number of the user's events, as log(1 + n)."""
    return np.log1p(user_n)


@DECLARED.feature(unit="0 to 1")
def user_like_rate(user_likes: Counts, user_n: Counts, *, share: float) -> Values:
    """Share of the user's events that are positive."""
    return like_rate(user_likes, user_n, share)


@DECLARED.feature(unit="0 to 1")
def user_like_rate10(user_likes10: Counts, user_n10: Counts, *, share: float) -> Values:
    """Share of positive ones among the user's last 10 events."""
    return like_rate(user_likes10, user_n10, share)


@DECLARED.feature(unit="0 to 1")
def user_like_rate30(user_likes30: Counts, user_n30: Counts, *, share: float) -> Values:
    """Share of positive ones among the user's last 30 events."""
    return like_rate(user_likes30, user_n30, share)


@DECLARED.feature(unit="0 to 1", each=Each.WINDOWED)
def term_affinity(user_term_likes: Counts, user_term_n: Counts, item_term: OneHot, *, share: float) -> Values:
    """Share of positive ones among the user's events with items of the same {term}, averaged over those of the item."""
    return mean_over(item_term, like_rate(user_term_likes, user_term_n, share))


@DECLARED.feature(unit="0 to 1", each=Each.WINDOWED)
def term_exposure(user_term_n: Counts, user_n: Counts, item_term: OneHot) -> Values:
    """Share of the user's events that are with items of the same {term}, averaged over those of the item."""
    return mean_over(item_term, user_term_n) / np.maximum(user_n, 1)


@DECLARED.feature(unit="0 to 1", each=Each.WINDOWED)
def term_affinity30(user_term_likes30: Counts, user_term_n30: Counts, item_term: OneHot, *, share: float) -> Values:
    """Share of positive ones among the user's last 30 events, of those with items of the same {term}."""
    return mean_over(item_term, like_rate(user_term_likes30, user_term_n30, share))


@DECLARED.feature(unit="0 to 1", each=Each.WINDOWED)
def term_exposure30(user_term_n30: Counts, user_n30: Counts, item_term: OneHot) -> Values:
    """Share of the user's last 30 events that are with items of the same {term}, averaged over those of the item."""
    return mean_over(item_term, user_term_n30) / np.maximum(user_n30, 1)


@DECLARED.feature(unit="0 to 1")
def item_like_rate(item_likes: Counts, item_n: Counts, *, share: float) -> Values:
    """Share of positive ones among the item's events."""
    return like_rate(item_likes, item_n, share)


@DECLARED.feature(unit="log users")
def item_log_n(item_n: Counts) -> Values:
    """Number of users with an event of the item, as log(1 + n)."""
    return np.log1p(item_n)


@DECLARED.feature(unit="scaled", each=Each.NUMBER)
def item_number(item_number: Counts, *, center: float, scale: float) -> Values:
    """The item's {number}, counted from {center} in units of {scale}."""
    scaled: Values = (item_number - center) / scale
    return scaled


# The same of terms without windows: their users' tastes change slowly, or have too many values for the last events.
DECLARED.feature(unit="0 to 1", each=Each.OTHER_TERM)(term_affinity)
DECLARED.feature(unit="0 to 1", each=Each.OTHER_TERM)(term_exposure)


@DECLARED.feature(unit="log days")
def user_log_days(user_first_ts: Counts, user_last_ts: Counts) -> Values:
    """Days from the user's first event to the latest, as log(1 + days)."""
    return np.log1p((user_last_ts - user_first_ts) / DAY)


@DECLARED.feature(unit="0 or 1", each=Each.COLUMNS)
def term(item_term: OneHot) -> Values:
    """1 where the item is of the {term} {}, else 0."""
    return item_term
