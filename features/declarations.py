"""The features of the ranker's dense input, each declared once. docs/add-a-feature.md shows how to add one.

A feature is a function: its name is the feature's, its parameters name the counts that it uses (`features.counts`), its
docstring describes it in one sentence, and its body is the formula, over N pairs of user and item at once. Everything
else is derived: the columns of training, of the feature log and of requests, what Feast says of the counts, the series
of drift with their descriptions, and docs/features.md.
"""

from __future__ import annotations

import numpy as np

from features.catalogue import GENRES
from features.feature import Counts, FeatureTable, OneHot, Values

PRIOR = 0.575
"""Share of likes among all ratings, towards which rates of few events are drawn."""

SHRINK = 5.0
"""Events that the prior weighs."""

DAY = 86400.0
"""Seconds."""

TABLE = FeatureTable()
"""The features, in the order in which they are declared below."""


def like_rate(likes: Counts, n: Counts) -> Values:
    """Share of likes, drawn towards PRIOR where there are few events."""
    return (likes + SHRINK * PRIOR) / (n + SHRINK)


def mean_over(item_terms: OneHot, values: Values | Counts) -> Values:
    """Mean of a user's values, one for each term, over the terms (genres or decade) of each item."""
    mean: Values = (values * item_terms).sum(axis=1) / np.maximum(item_terms.sum(axis=1), 1.0)
    return mean


@TABLE.feature(unit="log items")
def user_log_n(user_n: Counts) -> Values:
    """Number of items that the user has rated, as log(1 + n)."""
    return np.log1p(user_n)


@TABLE.feature(unit="0 to 1")
def user_like_rate(user_likes: Counts, user_n: Counts) -> Values:
    """Share of the user's ratings that are likes."""
    return like_rate(user_likes, user_n)


@TABLE.feature(unit="0 to 1")
def user_like_rate10(user_likes10: Counts, user_n10: Counts) -> Values:
    """Share of likes among the user's last 10 ratings."""
    return like_rate(user_likes10, user_n10)


@TABLE.feature(unit="0 to 1")
def user_like_rate30(user_likes30: Counts, user_n30: Counts) -> Values:
    """Share of likes among the user's last 30 ratings."""
    return like_rate(user_likes30, user_n30)


@TABLE.feature(unit="0 to 1")
def genre_affinity(user_genre_likes: Counts, user_genre_n: Counts, item_genres: OneHot) -> Values:
    """Share of likes among the user's ratings of the item's genres, averaged over these genres."""
    return mean_over(item_genres, like_rate(user_genre_likes, user_genre_n))


@TABLE.feature(unit="0 to 1")
def genre_exposure(user_genre_n: Counts, user_n: Counts, item_genres: OneHot) -> Values:
    """Share of the user's ratings that are of the item's genres, averaged over these genres."""
    return mean_over(item_genres, user_genre_n) / np.maximum(user_n, 1)


@TABLE.feature(unit="0 to 1")
def genre_affinity30(user_genre_likes30: Counts, user_genre_n30: Counts, item_genres: OneHot) -> Values:
    """Share of likes among those of the user's last 30 ratings that are of the item's genres, averaged over these."""
    return mean_over(item_genres, like_rate(user_genre_likes30, user_genre_n30))


@TABLE.feature(unit="0 to 1")
def genre_exposure30(user_genre_n30: Counts, user_n30: Counts, item_genres: OneHot) -> Values:
    """Share of the user's last 30 ratings that are of the item's genres, averaged over these genres."""
    return mean_over(item_genres, user_genre_n30) / np.maximum(user_n30, 1)


@TABLE.feature(unit="0 to 1")
def item_like_rate(item_likes: Counts, item_n: Counts) -> Values:
    """Share of the item's ratings that are likes."""
    return like_rate(item_likes, item_n)


@TABLE.feature(unit="log users")
def item_log_n(item_n: Counts) -> Values:
    """Number of users who have rated the item, as log(1 + n)."""
    return np.log1p(item_n)


@TABLE.feature(unit="20 years")
def item_year(item_year: Counts) -> Values:
    """Year of the item's release, counted from 1980 in units of 20 years."""
    return (item_year - 1980) / 20.0


@TABLE.feature(unit="0 to 1")
def decade_affinity(user_decade_likes: Counts, user_decade_n: Counts, item_decade: OneHot) -> Values:
    """Share of likes among the user's ratings of items of the same decade."""
    return mean_over(item_decade, like_rate(user_decade_likes, user_decade_n))


@TABLE.feature(unit="0 to 1")
def decade_exposure(user_decade_n: Counts, user_n: Counts, item_decade: OneHot) -> Values:
    """Share of the user's ratings that are of items of the same decade."""
    return mean_over(item_decade, user_decade_n) / np.maximum(user_n, 1)


@TABLE.feature(unit="log days")
def user_log_days(user_first_ts: Counts, user_last_ts: Counts) -> Values:
    """Days from the user's first event to the latest, as log(1 + days)."""
    return np.log1p((user_last_ts - user_first_ts) / DAY)


@TABLE.feature(unit="0 or 1", options=GENRES)
def genre(item_genres: OneHot) -> Values:
    """1 where the item is of the genre {}, else 0."""
    return item_genres
