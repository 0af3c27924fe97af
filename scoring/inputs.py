"""The models' inputs: the one place that makes `items`, `liked`, `rating`, `row`, `ids` and `dense`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features import LIKED, Catalogue, Item, Profile, Recent, User, dense
from features.columns import user_columns, user_values
from features.schema import Columns, Floats, Ints

NO_EVENTS = tuple(user_values(Profile(0), {}))
"""The features of a user without events."""


@dataclass(frozen=True, slots=True)
class UserState:
    """A user as of one moment: the facts that a list is made from.

    Attributes:
        user: id and attributes.
        recent: the events that the profile keeps, oldest first.
        features: the user's counts, as `features.columns.user_values` and `row_values` give them.
        exclude: ids of the items that must not be in the list, such as those that the user has rated.
    """

    user: User
    recent: Sequence[Recent] = ()
    features: Sequence[int] = NO_EVENTS
    exclude: Collection[int] = ()

    @classmethod
    def of(cls, profile: Profile, user: User, items: Mapping[int, Item], exclude: Collection[int]) -> UserState:
        """The state of a user as the profile is now; `items` holds the items of its last events."""
        return cls(user, list(profile.recent), user_values(profile, items), exclude)


@dataclass(frozen=True, slots=True)
class Pairs:
    """N pairs of a user and an item.

    Attributes:
        row: the user of each pair, INT64 [N].
        ids: INT64 [N, 5], columns as in `features.IDS`.
        dense: FP32 [N, columns], named as in `features.DENSE_COLUMNS`.
    """

    row: Ints
    ids: Ints
    dense: Floats

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True)
class Users:
    """The models' inputs that concern B users.

    Attributes:
        userid: INT64 [B].
        attributes: gender, age and occupation, -1 where not known; INT64 [B, 3].
        items, rating: their last events, oldest first, 0 for padding; INT64 [B, history].
        columns: their features as `features.dense` takes them, B rows; empty where all dense rows are known already.
    """

    userid: Ints
    attributes: Ints
    items: Ints
    rating: Ints
    columns: Columns

    def __len__(self) -> int:
        return len(self.userid)

    @classmethod
    def of(cls, states: Sequence[UserState], history: int) -> Users:
        """The users of some states; the models see the last `history` events."""
        users = [(user.userid, user.gender, user.age, user.occupation) for user in (state.user for state in states)]
        ids = np.array(users, dtype=np.int64).reshape(-1, 4)
        columns = user_columns(np.array([state.features for state in states], dtype=np.int64))
        return cls(ids[:, 0], ids[:, 1:], *histories([state.recent for state in states], history), columns)

    @property
    def liked(self) -> Ints:
        """1 where an event of `items` is a like, INT64 [B, history]."""
        return (self.rating >= LIKED).astype(np.int64)

    def pairs(self, row: Ints, itemid: Ints, item: Columns) -> Pairs:
        """Pairs of the users at some rows with items; `item` holds the items' features as columns, N rows."""
        at = self._at(row)
        user = {name: column[at] for name, column in self.columns.items()}
        return self.pairs_of_rows(row, itemid, dense(user, item))

    def pairs_of_rows(self, row: Ints, itemid: Ints, rows: Floats) -> Pairs:
        """Pairs whose dense rows are known, FP32 [N, columns]."""
        at = self._at(row)
        return Pairs(row, pair_ids(self.userid[at], self.attributes[at], itemid), rows)

    def _at(self, row: Ints) -> Ints | slice:
        """The rows of pairs; the one user of a request is not repeated for each item."""
        return slice(None) if len(self) == 1 else row


@dataclass(frozen=True, slots=True)
class RankerInputs:
    """The inputs of the ranker for N pairs of U users with items, by the names that the model has for them.

    Attributes:
        user_vector: FP32 [U, dim].
        items, rating: the users' last events, INT64 [U, history].
        row: the user of each pair, INT64 [N].
        ids: INT64 [N, 5], columns as in `features.IDS`.
        dense: FP32 [N, columns], named as in `features.DENSE_COLUMNS`.
    """

    user_vector: Floats
    items: Ints
    rating: Ints
    row: Ints
    ids: Ints
    dense: Floats

    @classmethod
    def of(cls, user_vector: Floats, users: Users, pairs: Pairs) -> RankerInputs:
        """The inputs for pairs of some users."""
        return cls(user_vector, users.items, users.rating, pairs.row, pairs.ids, pairs.dense)

    def tensors(self) -> dict[str, npt.NDArray[np.generic]]:
        """The inputs by name."""
        return {name: getattr(self, name) for name in RANKER_INPUTS}


RANKER_INPUTS = ("user_vector", "items", "rating", "row", "ids", "dense")


@dataclass(frozen=True, slots=True)
class Ranking:
    """The ranker's outputs for N pairs, FP32 [N] each.

    Attributes:
        score: what the list is ordered by.
        next: log-odds, up to a constant, that the item is the next.
        like: probability that the user likes it once watched.
    """

    score: Floats
    next: Floats
    like: Floats


def histories(recent: Sequence[Sequence[Recent]], length: int) -> tuple[Ints, Ints]:
    """`items` and `rating` of the last `length` events of B users, oldest first, 0 for padding; INT64 [B, length].

    >>> [part.tolist() for part in histories([[(1, 7, 5), (2, 8, 3)], []], 3)]
    [[[7, 8, 0], [0, 0, 0]], [[5, 3, 0], [0, 0, 0]]]
    """
    items = np.zeros((len(recent), length), dtype=np.int64)
    rating = np.zeros((len(recent), length), dtype=np.int64)
    for row, events in enumerate(recent):
        last = events[-length:]
        if last:
            _, items[row, : len(last)], rating[row, : len(last)] = zip(*last, strict=True)
    return items, rating


def pair_ids(userid: Ints, attributes: Ints, itemid: Ints) -> Ints:
    """The ranker's input `ids` of N pairs, INT64 [N, 5], from ids [N] and attributes [N, 3]; or of one user for all."""
    ids = np.empty((len(itemid), 5), dtype=np.int64)
    ids[:, 0], ids[:, 1], ids[:, 2:] = userid, itemid, attributes
    return ids


def attributes_of(catalogue: Catalogue, userid: Ints) -> Ints:
    """Attributes of users, INT64 [N] to INT64 [N, 3]; -1 where nothing is known."""
    known, row = np.unique(userid, return_inverse=True)
    users = [catalogue.user(user) for user in known.tolist()]
    attributes = np.array([(user.gender, user.age, user.occupation) for user in users], dtype=np.int64)
    return attributes.reshape(-1, 3)[row]
