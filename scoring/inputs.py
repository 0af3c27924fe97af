"""The models' inputs: the one place that makes `items`, `liked`, `rating`, `row`, `ids` and `dense`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features import Catalogue, Id, Items, Profile, Recent, Schema, User, dense
from features.columns import user_columns, user_values
from features.ids import Numbering
from features.schema import Columns, Floats, Ints
from scoring.exploration import Exploration
from scoring.restriction import NO_RESTRICTION, Restriction
from scoring.run_ids import RunIds


@dataclass(frozen=True, slots=True)
class UserState:
    """A user as of one moment: the facts that a list is made from.

    Attributes:
        user: id and attributes.
        recent: the events that the profile keeps, oldest first.
        features: the user's counts, as `features.columns.user_values` and `row_values` give them; none for a user
            without events.
        exclude: ids of the items that must not be in the list, such as those that the user's own events hide.
        weights: by term attribute, the decayed weights of its values; empty where nothing is known.
        restriction: what the list must keep to besides.
        exploration: the share of the list that goes to items with few events; None: no more than they earn.
    """

    user: User
    recent: Sequence[Recent] = ()
    features: Sequence[int] = ()
    exclude: Collection[Id] = ()
    weights: Sequence[Mapping[int, int]] = ()
    restriction: Restriction = NO_RESTRICTION
    exploration: Exploration | None = None

    @classmethod
    def of(cls, schema: Schema, profile: Profile, user: User, items: Items, exclude: Collection[Id]) -> UserState:
        """The state of a user as the profile is now; `items` holds the items of its last events, changed ones too."""
        weights = [of_term.copy() for of_term in profile.weights]
        return cls(user, list(profile.recent), user_values(schema, profile, items), exclude, weights)


@dataclass(frozen=True, slots=True)
class Pairs:
    """N pairs of a user and an item.

    Attributes:
        row: the user of each pair, INT64 [N].
        ids: numbers of users and items, and codes of attributes, INT64 [N, columns], columns as in `Schema.ids`.
        dense: FP32 [N, columns], named as in `Schema.dense_columns`.
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
        schema: of the data set.
        userid: their numbers in the run, INT64 [B].
        attributes: codes in the order of `Schema.user_attributes`, -1 where not known; INT64 [B, attributes].
        items, rating: numbers of the items of their last events, and the codes of these events, oldest first, 0 for
            padding; INT64 [B, history].
        columns: their features as `features.dense` takes them, B rows; empty where all dense rows are known already.
    """

    schema: Schema
    userid: Ints
    attributes: Ints
    items: Ints
    rating: Ints
    columns: Columns

    def __len__(self) -> int:
        return len(self.userid)

    @classmethod
    def of(cls, schema: Schema, ids: RunIds, states: Sequence[UserState], history: int) -> Users:
        """The users of some states; the models, whose ids are `ids`, see the last `history` events."""
        users = [state.user for state in states]
        attributes = np.array([user.codes for user in users], dtype=np.int64)
        rows = np.array([state.features or no_events(schema) for state in states], dtype=np.int64)
        return cls(
            schema,
            ids.users.numbers([user.userid for user in users]),
            attributes.reshape(len(users), len(schema.user_attributes)),
            *histories(ids.items, [state.recent for state in states], history),
            user_columns(schema, rows),
        )

    @property
    def liked(self) -> Ints:
        """1 where an event of `items` is positive, INT64 [B, history]."""
        return self.schema.codes.positive_array[self.rating].astype(np.int64)

    def pairs(self, row: Ints, itemid: Ints, item: Columns) -> Pairs:
        """Pairs of the users at some rows with items.

        Args:
            row: INT64 [N].
            itemid: the items' numbers in the run, INT64 [N].
            item: their features as columns, N rows.
        """
        at = self._at(row)
        user = {name: column[at] for name, column in self.columns.items()}
        return self.pairs_of_rows(row, itemid, dense(self.schema, user, item))

    def pairs_of_rows(self, row: Ints, itemid: Ints, rows: Floats) -> Pairs:
        """Pairs whose dense rows are known, FP32 [N, columns]; `itemid` as in `pairs`."""
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
        items, rating: numbers of the items of the users' last events, and the codes of these; INT64 [U, history].
        row: the user of each pair, INT64 [N].
        ids: INT64 [N, columns], columns as in `Schema.ids`.
        dense: FP32 [N, columns], named as in `Schema.dense_columns`.
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


def no_events(schema: Schema) -> list[int]:
    """The counts of a user without events, as `UserState.features`."""
    return user_values(schema, schema.profile(0), {})


def histories(items: Numbering, recent: Sequence[Sequence[Recent]], length: int) -> tuple[Ints, Ints]:
    """Items, by their numbers, and codes of the last `length` events of B users, oldest first, 0 for padding.

    Returns:
        Both INT64 [B, length].

    >>> recent = [[(1, "a", 5), (2, "c", 3)], []]
    >>> [part.tolist() for part in histories(Numbering(["a", "b", "c"]), recent, 3)]
    [[[1, 3, 0], [0, 0, 0]], [[5, 3, 0], [0, 0, 0]]]
    """
    numbers = np.zeros((len(recent), length), dtype=np.int64)
    codes = np.zeros((len(recent), length), dtype=np.int64)
    for row, events in enumerate(recent):
        last = events[-length:]
        if last:
            _, itemids, codes[row, : len(last)] = zip(*last, strict=True)
            numbers[row, : len(last)] = items.numbers(itemids)
    return numbers, codes


def pair_ids(userid: Ints, attributes: Ints, itemid: Ints) -> Ints:
    """The ranker's input `ids` of N pairs, INT64 [N, 2 + A].

    Args:
        userid, itemid: numbers, INT64 [N].
        attributes: codes of the users' attributes, INT64 [N, A]; `userid` and these may also be of one user for all.
    """
    ids = np.empty((len(itemid), 2 + attributes.shape[1]), dtype=np.int64)
    ids[:, 0], ids[:, 1], ids[:, 2:] = userid, itemid, attributes
    return ids


def attributes_of(schema: Schema, catalogue: Catalogue, userids: Iterable[Id | None]) -> Ints:
    """Codes of the attributes of users, INT64 [N, A]; -1 where nothing is known, as of one whose id is None."""
    unknown = schema.user(0).codes
    rows = [unknown if userid is None else catalogue.user(userid).codes for userid in userids]
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(unknown))
