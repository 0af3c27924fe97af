"""A generated data set in the layout of MovieLens-1M, for tests and for those without the download.

Users have tastes over the genres, items a popularity (Zipf) and a quality. Users rate in sessions, in bursts that share
seconds; an item is drawn by popularity, by the user's taste and by likeness to the item before it, so that a model of
the sequence has something to learn that popularity does not tell. The rating follows taste and quality.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import datasets
from offline.data.readers import MOVIES, RATINGS, USERS, Ints
from offline.errors import DataError

Doubles = npt.NDArray[np.float64]

ATTRIBUTES = datasets.first_schema()
GENRES = next(attribute.values for attribute in ATTRIBUTES.item_attributes if attribute.name == "genres")
AGES, OCCUPATIONS = (attribute.values for attribute in ATTRIBUTES.user_attributes if attribute.name != "gender")
"""The values that MovieLens-1M has, as its description says."""

LEAST = 20
"""Fewest events of a user, as in MovieLens-1M."""

YEARS = (1919, 2000)
STARTS = (956_700_000, 1_025_000_000)
"""Users join between April 2000 and June 2002, in unix seconds."""

UP_TO = (0.056, 0.163, 0.425, 0.774)
"""Shares of ratings up to 1, 2, 3 and 4; 57.5 % are likes, as in MovieLens-1M."""

FACTORS = 8
"""Width of the hidden space in which items are alike."""

DENSE_ITEMS = 20_000
"""Most items of which each event is drawn from all; of a larger catalogue it is drawn from some, as a matrix of all
pairs of its items fits no memory."""

DRAWN, TRIED, AT_ONCE = 128, 16, 1000
"""In a large catalogue: items that an event is drawn from, those of them that are tried until the user has not had one,
and users drawn for at once."""


def make(folder: Path, users: int, items: int, events: int, seed: int) -> None:
    """Write ratings.dat, users.dat and movies.dat; the same arguments give the same bytes.

    Args:
        folder: where to; made if need be.
        users, items: how many; ids run from 1.
        events: how many ratings, at least 20 a user and at most half of the items a user.
        seed: of every random choice.

    Raises:
        DataError: the numbers do not fit each other.
    """
    if users < 1 or items < 2 * LEAST:
        raise DataError(f"a data set needs at least 1 user and {2 * LEAST} items; raise --users or --items")
    if not users * LEAST <= events <= users * (items // 2):
        raise DataError(
            f"{users} users and {items} items need {users * LEAST} to {users * (items // 2)} events; change --events"
        )
    rng = np.random.default_rng(seed)
    genres = _genres(items, rng)
    years = YEARS[1] - np.minimum(rng.gamma(1.2, 14.0, items).astype(np.int64), YEARS[1] - YEARS[0])
    quality = rng.normal(0.0, 1.0, items)
    of_user = _events_of(users, items, events, rng)
    itemid, score = _choices(genres, years, quality, of_user, rng)
    rating = np.searchsorted(np.quantile(score, UP_TO), score) + 1
    ts = _times(of_user, rng)
    userid = np.repeat(np.arange(1, users + 1), of_user)
    # As in MovieLens-1M, the file is in order of users, but not of time within a user.
    order = np.lexsort((rng.random(events), userid))
    folder.mkdir(parents=True, exist_ok=True)
    columns = zip(*(column[order].tolist() for column in (userid, itemid, rating, ts)), strict=True)
    (folder / RATINGS).write_text("".join("::".join(map(str, row)) + "\n" for row in columns), "latin-1")
    (folder / USERS).write_text("".join(_user_lines(users, rng)), "latin-1")
    (folder / MOVIES).write_text("".join(_item_lines(genres, years)), "latin-1")


def _genres(items: int, rng: np.random.Generator) -> Doubles:
    """1 to 3 genres an item, as [items, 18] of 0 and 1; some genres are more common than others."""
    shares = 1.0 / np.arange(1, len(GENRES) + 1) ** 0.7
    shares = rng.permutation(shares)
    drawn = np.log(shares) + rng.gumbel(size=(items, len(GENRES)))
    rank = np.argsort(np.argsort(-drawn, axis=1), axis=1)
    return (rank < rng.choice(3, (items, 1), p=(0.45, 0.4, 0.15)) + 1).astype(np.float64)


def _events_of(users: int, items: int, events: int, rng: np.random.Generator) -> Ints:
    """Events of each user, INT64 [users]: LEAST, and a share of the rest by a long-tailed activity."""
    activity = rng.lognormal(0.0, 1.1, users)
    of_user = np.full(users, LEAST, dtype=np.int64)
    while left := events - int(of_user.sum()):
        room = of_user < items // 2
        weights = activity * room
        of_user += rng.multinomial(left, weights / weights.sum())
        of_user = np.minimum(of_user, items // 2)
    return of_user


@dataclass(frozen=True)
class _Likes:
    """The reasons for which users choose items.

    Attributes:
        genres: of items, [items, genres] of 0 and 1, divided by the root of how many an item has.
        factors: of items, which are alike where these point the same way, [items, FACTORS].
        popularity: of items, as the logarithm of a weight, [items].
        tastes: of users, [users, genres].
    """

    genres: Doubles
    factors: Doubles
    popularity: Doubles
    tastes: Doubles


def _choices(
    genres: Doubles, years: Ints, quality: Doubles, of_user: Ints, rng: np.random.Generator
) -> tuple[Ints, Doubles]:
    """Items in the order of each user's events, and how well each suits its user; [events] each."""
    users, items = len(of_user), len(genres)
    factors = genres @ rng.normal(0.0, 1.0, (len(GENRES), FACTORS)) + rng.normal(0.0, 1.2, (items, FACTORS))
    factors[:, 0] += (years - 1985) / 8.0
    factors /= np.linalg.norm(factors, axis=1, keepdims=True)
    popularity = -0.8 * np.log(np.argsort(np.argsort(-(quality + rng.normal(0.0, 1.0, items)))) + 3.0)
    tastes = rng.normal(0.0, 1.0, (users, len(GENRES)))
    likes = _Likes(genres / np.sqrt(genres.sum(axis=1, keepdims=True)), factors, popularity, tastes)
    chosen = (_from_all if items <= DENSE_ITEMS else _from_some)(likes, of_user, rng)
    index = chosen[np.arange(chosen.shape[1]) < of_user[:, None]]
    who = np.repeat(np.arange(users), of_user)
    generosity = rng.normal(0.0, 0.4, users)
    suits = np.einsum("ef,ef->e", likes.tastes[who], likes.genres[index])
    score = suits + 0.8 * quality[index] + generosity[who] + rng.normal(0.0, 0.9, len(index))
    return index + 1, score


def _from_all(likes: _Likes, of_user: Ints, rng: np.random.Generator) -> Ints:
    """Items of each user's events, INT64 [users, most events], each drawn from all items."""
    items = len(likes.popularity)
    pull = likes.popularity + 0.7 * (likes.tastes @ likes.genres.T)
    likeness = 5.0 * likes.factors @ likes.factors.T
    chosen = np.zeros((len(of_user), int(of_user.max())), dtype=np.int64)
    last = rng.integers(0, items, len(of_user))
    for step in range(chosen.shape[1]):
        here = np.flatnonzero(of_user > step)
        logits = pull[here] + likeness[last[here]] + rng.gumbel(size=(len(here), items))
        item = np.argmax(logits, axis=1)
        chosen[here, step] = last[here] = item
        pull[here, item] = -np.inf
    return chosen


def _from_some(likes: _Likes, of_user: Ints, rng: np.random.Generator) -> Ints:
    """The same, each drawn from DRAWN items that are drawn by popularity; an item that a user has had is not drawn."""
    weights = np.cumsum(np.exp(likes.popularity))
    genres, factors, tastes = (each.astype(np.float32) for each in (likes.genres, likes.factors, likes.tastes))
    chosen = np.zeros((len(of_user), int(of_user.max())), dtype=np.int64)
    last = rng.integers(0, len(weights), len(of_user))
    had: list[set[int]] = [set() for _ in of_user]
    for step in range(chosen.shape[1]):
        everyone = np.flatnonzero(of_user > step)
        for first in range(0, len(everyone), AT_ONCE):
            here = everyone[first : first + AT_ONCE]
            drawn = np.searchsorted(weights, rng.random((len(here), DRAWN)) * weights[-1])
            taste = (genres[drawn] @ tastes[here, :, None])[:, :, 0]
            likeness = (factors[drawn] @ factors[last[here], :, None])[:, :, 0]
            logits = 0.7 * taste + 5.0 * likeness + rng.gumbel(size=drawn.shape)
            best = np.take_along_axis(drawn, np.argsort(-logits, axis=1)[:, :TRIED], axis=1)
            for user, tried in zip(here.tolist(), best.tolist(), strict=True):
                item = next((item for item in tried if item not in had[user]), None)
                while item is None or item in had[user]:
                    item = int(rng.integers(0, len(weights)))
                had[user].add(item)
                chosen[user, step] = last[user] = item
    return chosen


def _times(of_user: Ints, rng: np.random.Generator) -> Ints:
    """Event times in unix seconds, by user and rising; seconds apart in a session, days between sessions."""
    events = int(of_user.sum())
    gaps = rng.geometric(1 / 25.0, events) * (rng.random(events) > 0.4)
    breaks = rng.random(events) < 1 / 40.0
    gaps[breaks] += rng.geometric(1 / (9 * 86400.0), int(breaks.sum()))
    first = np.cumsum(of_user) - of_user
    gaps[first] = 0
    since = np.cumsum(gaps)
    starts = rng.integers(*STARTS, len(of_user)) - since[first]
    ts: Ints = (since + np.repeat(starts, of_user)).astype(np.int64)
    return ts


def _user_lines(users: int, rng: np.random.Generator) -> list[str]:
    gender = rng.choice(["F", "M"], users, p=(0.28, 0.72))
    age = rng.choice(AGES, users)
    occupation = rng.integers(0, len(OCCUPATIONS), users)
    return [f"{number + 1}::{gender[number]}::{age[number]}::{occupation[number]}::00000\n" for number in range(users)]


def _item_lines(genres: Doubles, years: Ints) -> list[str]:
    lines = []
    for number, (row, year) in enumerate(zip(genres, years.tolist(), strict=True), 1):
        names = [GENRES[place] for place in np.flatnonzero(row)]
        lines.append(f"{number}::{names[0]} Story {number} ({year})::{'|'.join(names)}\n")
    return lines
