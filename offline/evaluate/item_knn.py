"""Item-based nearest neighbours, a baseline: items liked by those who liked the user's last positive items.

The similarity of two items is the cosine of their columns in the matrix of users and items that is 1 where a user has a
positive event with an item (Sarwar et al., 2001). It follows from the training events and is not updated; the user's
positive events are as of the moment of the list, the later ones weighing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offline.data.history import Floats
from offline.data.readers import Ints, Ratings
from scoring import Lists, UserState
from scoring.order import Scores

NEIGHBOURS = 300
"""Neighbours of an item that are kept."""

LAST = 10
"""Positive events of a user that count, the k-th last with a weight of 1 / k.

Among 1 to 100 events, with equal weights and these, they give the best lists on validation events of MovieLens-1M."""

AT_ONCE = 512
"""Items whose neighbours are found at once."""

FILL = 1e-6
"""Score of the most popular item, so that popular items fill a list, and come first among equals."""


@dataclass(frozen=True)
class ItemKnn:
    """The neighbours of each item.

    Attributes:
        ratings: the data.
        neighbour: columns of the nearest items, INT64 [items, K].
        cosine: their similarity, 0 where there is none; FP32 [items, K].
        popularity: of each item by its positive training events, 0 to 1; FP64 [items].
    """

    ratings: Ratings
    neighbour: Ints
    cosine: Floats
    popularity: Scores

    @classmethod
    def of(cls, ratings: Ratings, places: Ints) -> ItemKnn:
        """Find the neighbours from the training events, which are at `places`."""
        liked = places[ratings.positive[places]]
        pairs = np.unique(np.column_stack([ratings.user[liked], ratings.item[liked] - 1]), axis=0)
        n = len(ratings.items)
        by_user, by_item = _Groups.of(pairs[:, 0], pairs[:, 1]), _Groups.of(pairs[:, 1], pairs[:, 0])
        likes = np.bincount(pairs[:, 1], minlength=n)
        kept = min(NEIGHBOURS, max(n - 1, 1))
        neighbour, cosine = np.zeros((n, kept), dtype=np.int64), np.zeros((n, kept), dtype=np.float32)
        for first in range(0, n, AT_ONCE):
            items = np.arange(first, min(first + AT_ONCE, n))
            row, users = by_item.members(items)
            place, others = by_user.members(users)
            both = np.bincount(row[place] * n + others, minlength=len(items) * n).reshape(len(items), n)
            similar = (both / np.sqrt(np.maximum(likes[items, None] * likes, 1))).astype(np.float32)
            similar[np.arange(len(items)), items] = 0.0
            nearest = np.argpartition(-similar, kept - 1, axis=1)[:, :kept]
            neighbour[items], cosine[items] = nearest, np.take_along_axis(similar, nearest, axis=1)
        return cls(ratings, neighbour, cosine, likes / max(int(likes.max(initial=0)), 1))

    def lists(self, users: Sequence[UserState], size: int) -> Lists:
        """The lists of some users, each without what is excluded."""
        scores = np.tile(FILL * self.popularity, (len(users), 1))
        numbers = self.ratings.items
        for row, user in zip(scores, users, strict=True):
            for age, column in enumerate(self._last_liked(user), 1):
                row[self.neighbour[column]] += self.cosine[column] / age
            row[numbers.numbers(user.exclude) - 1] = -np.inf
        return Lists.best(scores, size)

    def _last_liked(self, user: UserState) -> list[int]:
        """Columns of the items of the last positive events, the last first."""
        positive = self.ratings.schema.codes.positive
        itemids = dict.fromkeys(itemid for _, itemid, code in reversed(user.recent) if positive[code])
        return [self.ratings.items.number(itemid) - 1 for itemid in list(itemids)[:LAST]]


@dataclass(frozen=True)
class _Groups:
    """Members by group.

    Attributes:
        start: where the members of each group begin, INT64 [groups + 1].
        member: by group, INT64.
    """

    start: Ints
    member: Ints

    @classmethod
    def of(cls, group: Ints, member: Ints) -> _Groups:
        """From pairs of a group and a member."""
        count = np.bincount(group)
        return cls(np.append(0, np.cumsum(count)), member[np.argsort(group, kind="stable")])

    def members(self, groups: Ints) -> tuple[Ints, Ints]:
        """(place in `groups`, member) of all members of some groups, INT64 [N] each; a group may have none."""
        within = np.minimum(groups, len(self.start) - 2)
        length = np.where(groups == within, self.start[within + 1] - self.start[within], 0)
        place = np.repeat(np.arange(len(groups)), length)
        offset = np.arange(len(place)) - np.repeat(np.cumsum(length) - length, length)
        return place, self.member[self.start[within[place]] + offset]
