"""A second fold, slow and plain, with which `reelstream verify` checks a sample.

With `verify.murmur`, it shares no code with the rest of reelstream: it reads the raw files, or those of the archive,
and the raw records of the log by itself, keeps each watched user's ratings in a list, and counts every number of the
state from that list, from the beginning, each time that it is asked. It knows nothing of how the state is kept up to
date, so a mistake there cannot hide here.

The rules that it goes by, each of which the documentation states:

* A user's archive is ordered by (seconds, place in the file); the last `online_events` of it are not in the archive.
* The archive comes before the log, whose records come in the order of their offsets.
* Of several ratings of an item by a user the latest in time counts; of those at the same second the last that came.
* A record that is not a valid event, whose item is unknown, that is in another partition than its key says, or whose
  time is more than `max_future_s` after Kafka appended it (where the record says when), counts for nothing.
* Partitions may have been added to the log. What is said of keys and partitions is said of the partitions that there
  were when a record was appended; records from before come before all others of their user.
* From the record on that erases a user, nothing before it counts, and the user's attributes are unknown for good.
* An item is recently popular by the ratings of the eight weeks that end with the week of its latest rating.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pyarrow import parquet

from verify.murmur import partition

GENRES = (
    *("Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
AGES = [1, 18, 25, 35, 45, 50, 56]
WEEK_S = 604_800
LARGEST_ID = 2_147_483_647
LARGEST_TS = 4_294_967_295
COUNTED = ("n", "likes", "first_ts", "last_ts", "genre_n", "genre_likes", "decade_n", "decade_likes")
"""Counts that a profile holds."""

USER_ROW = (
    *("gender", "age", "occupation", "version", "n", "likes", "n10", "likes10", "n30", "likes30", "first_ts"),
    *("last_ts", "genre_n", "genre_likes", "genre_n30", "genre_likes30", "decade_n", "decade_likes"),
)
ITEM_ROW = ("n", "likes", "recent_n", "recent_likes", "last_ts", "year", "genres")
"""The counts of feature rows that are computed here; `verify` names the declared ones that are missing."""

ARCHIVE = -(10**30)
"""Stands for the offset of what is in the archive: before that of any record."""

EPOCH = 10**20
"""More than a partition has offsets."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Rating:
    """A valid event, in the order in which events came within their user."""

    shard: int
    offset: int
    userid: int
    itemid: int
    stars: int
    ts: int


class _History(NamedTuple):
    """The events and the catalogue before the log.

    Attributes:
        events: (userid, itemid, stars, seconds), in the order of the file.
        items: (itemid, year, names of genres).
        users: (userid, place of gender, age, occupation), the first two by their places in "FM" and AGES.
    """

    events: Iterable[tuple[int, int, int, int]]
    items: Iterable[tuple[int, int, Sequence[str]]]
    users: Iterable[tuple[int, int, int, int]]


class Oracle:
    """The state of some users and items, counted from their events.

    Args:
        folder: with ratings.dat, users.dat and movies.dat; or with events.parquet, users.parquet and items.parquet, as
            in the archive.
        online_events: last events of each user that are not in the archive.
        partitions: partitions of the log.
        users, items: ids to watch.
        max_future_s: seconds by which an event may be later than its record; None for any.
        epochs: how the log was spread over fewer partitions before: for each epoch that has ended, their number, and
            the offset of each after its last record. Records of an epoch are taken before those of a later one.

    Attributes:
        dead: by partition, the offsets of records that count for nothing.
        gone: True once events of users who were erased are missing.
    """

    def __init__(
        self,
        folder: Path,
        online_events: int,
        partitions: int,
        users: Collection[int],
        items: Collection[int],
        max_future_s: float | None = None,
        epochs: Sequence[tuple[int, Sequence[int]]] = (),
    ) -> None:
        self._partitions, self._max_future_s, self._epochs = partitions, max_future_s, epochs
        self._users, self._items = set(users), set(items)
        self._genres: dict[int, list[int]] = {}
        self._year: dict[int, int] = {}
        self._attributes: dict[int, list[int]] = {}
        history = _read_tables(folder) if (folder / "events.parquet").exists() else _read_text(folder)
        for itemid, year, genres in history.items:
            self._genres[itemid] = sorted(GENRES.index(name) for name in genres)
            self._year[itemid] = year
        for userid, *attributes in history.users:
            self._attributes[userid] = attributes
        self._of_user: dict[int, list[Rating]] = {userid: [] for userid in self._users}
        self._of_item: dict[int, list[Rating]] = {itemid: [] for itemid in self._items}
        self.gone = False
        self._erasures: dict[int, list[int]] = {}
        self.dead: list[list[int]] = [[] for _ in range(partitions)]
        self._read_archive(history.events, online_events)

    def _read_archive(self, events: Iterable[tuple[int, int, int, int]], online_events: int) -> None:
        of_user: dict[int, list[tuple[int, int, int, int]]] = {}
        for place, (userid, itemid, stars, ts) in enumerate(events):
            of_user.setdefault(userid, []).append((ts, place, itemid, stars))
        for userid, rated in of_user.items():
            shard = partition(str(userid).encode(), self._partitions)
            for ts, _, itemid, stars in sorted(rated)[: max(0, len(rated) - online_events)]:
                self._keep(Rating(shard, ARCHIVE, userid, itemid, stars, ts))

    def take(self, shard: int, offset: int, key: bytes | None, value: bytes | None, appended_s: float) -> None:
        """Take the next record of a partition."""
        number, place = self._epoch(shard, offset)
        in_place = key is not None and partition(key, number) == shard
        erased = self._erases(key, value) if in_place else None
        event = self._valid(key, value, appended_s) if in_place else None
        if erased is not None:
            self._erasures.setdefault(erased, []).append(place)
        elif event is None:
            self.dead[shard].append(offset)
        else:
            self._keep(Rating(partition(str(event[0]).encode(), self._partitions), place, *event))

    def pass_over(self, shard: int, offset: int, dead: bool) -> None:
        """Take the next record of a partition, of a user who was erased, of which only this is left."""
        self.gone = True
        if dead:
            self.dead[shard].append(offset)

    def _epoch(self, shard: int, offset: int) -> tuple[int, int]:
        """The number of partitions a record was spread over, and its place: before the offsets of the newest epoch."""
        for number, (partitions, ends) in enumerate(self._epochs):
            if shard < len(ends) and offset < ends[shard]:
                return partitions, offset - EPOCH * (len(self._epochs) - number)
        return self._partitions, offset

    def _erases(self, key: bytes | None, value: bytes | None) -> int | None:
        """The user whom a record erases; None where it erases none."""
        try:
            fields = json.loads(value or b"")
        except (ValueError, RecursionError):
            return None
        if not isinstance(fields, dict) or fields.get("schema_version") != 2 or fields.get("erase") is not True:
            return None
        userid = fields.get("userid")
        if not isinstance(userid, int) or isinstance(userid, bool) or not 1 <= userid <= LARGEST_ID:
            return None
        return userid if key == str(userid).encode() else None

    def _came(self, ratings: Iterable[Rating], upto: int) -> list[Rating]:
        """Those ratings that came up to an offset, without those of users who were erased after them."""
        return [
            rating
            for rating in ratings
            if rating.offset <= upto
            and not any(rating.offset < erased <= upto for erased in self._erasures.get(rating.userid, ()))
        ]

    def _valid(self, key: bytes | None, value: bytes | None, appended_s: float) -> tuple[int, int, int, int] | None:
        try:
            fields = json.loads(value or b"")
        except (ValueError, RecursionError):
            return None
        if not isinstance(fields, dict) or fields.get("schema_version", 1) != 1:
            return None
        limits = {"userid": (1, LARGEST_ID), "itemid": (1, LARGEST_ID), "rating": (1, 5), "ts": (0, LARGEST_TS)}
        for name, (low, high) in limits.items():
            number = fields.get(name)
            if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
                return None
        userid, itemid, stars, ts = (fields[name] for name in limits)
        if key != str(userid).encode() or itemid not in self._genres:
            return None
        if self._max_future_s is not None and appended_s > 0 and ts > appended_s + self._max_future_s:
            return None
        return userid, itemid, stars, ts

    def _keep(self, rating: Rating) -> None:
        if rating.userid in self._users:
            self._of_user[rating.userid].append(rating)
        if rating.itemid in self._items:
            self._of_item[rating.itemid].append(rating)

    def profile(self, userid: int, upto: int) -> Row | None:
        """A user's profile after the offset `upto`; None where there is none."""
        came = self._came(self._of_user[userid], upto)
        if not came:
            return None
        counts = self.user_counts(userid, upto)
        return {name: counts[name] for name in COUNTED} | {
            "userid": userid,
            "version": sum(1 for _ in _changes(came)),
            "recent": [[rating.ts, rating.itemid, rating.stars] for rating in _counting(came)[-100:]],
        }

    def user_counts(self, userid: int, upto: int) -> Row:
        """The counts of a user after the offset `upto`; all 0 where there is no event."""
        came = self._came(self._of_user[userid], upto)
        counts = _counting(came)
        last30, last10 = counts[-30:], counts[-10:]
        liked, liked30 = ([rating for rating in some if rating.stars > 3] for some in (counts, last30))
        return {
            "n": len(counts),
            "likes": len(liked),
            "n10": len(last10),
            "likes10": sum(rating.stars > 3 for rating in last10),
            "n30": len(last30),
            "likes30": len(liked30),
            "first_ts": min((rating.ts for rating in came), default=0),
            "last_ts": max((rating.ts for rating in came), default=0),
            "genre_n": self._by_genre(counts),
            "genre_likes": self._by_genre(liked),
            "genre_n30": self._by_genre(last30),
            "genre_likes30": self._by_genre(liked30),
            "decade_n": self._by_decade(counts),
            "decade_likes": self._by_decade(liked),
        }

    def seen(self, userid: int, upto: int) -> dict[int, tuple[int, int]]:
        """(seconds, stars) of each item that the user has rated."""
        counts = _counting(self._came(self._of_user[userid], upto))
        return {rating.itemid: (rating.ts, rating.stars) for rating in counts}

    def user_row(self, userid: int, upto: int) -> Row | None:
        """A user's features."""
        profile = self.profile(userid, upto)
        if profile is None:
            return None
        attributes = zip(USER_ROW, self.attributes(userid, upto) or [-1, -1, -1], strict=False)
        return self.user_counts(userid, upto) | {"version": profile["version"], **dict(attributes)}

    def attributes(self, userid: int, upto: int) -> list[int] | None:
        """[gender, age, occupation] of a user after the offset `upto`; None where nothing is known."""
        erased = any(at <= upto for at in self._erasures.get(userid, ()))
        return None if erased else self._attributes.get(userid)

    def counter(self, shard: int, itemid: int, upto: int) -> Row | None:
        """A shard's part of an item's counters after the offset `upto`; None where it has none."""
        came = self._came((rating for rating in self._of_item[itemid] if rating.shard == shard), upto)
        if not came:
            return None
        counts = []
        for userid in {rating.userid for rating in came}:
            counts += _counting([rating for rating in came if rating.userid == userid])
        last_ts = max(rating.ts for rating in came)
        return {
            "n": len(counts),
            "likes": sum(rating.stars > 3 for rating in counts),
            "last_ts": last_ts,
            "weeks": _weeks(counts, last_ts),
        }

    def item_before(self, itemid: int, shard: int, offset: int) -> tuple[int, int]:
        """(ratings, likes) of an item before an event, its shard's as of then and the others' after the archive."""
        upto = [offset - 1 if number == shard else ARCHIVE for number in range(self._partitions)]
        parts = [part for number, at in enumerate(upto) if (part := self.counter(number, itemid, at)) is not None]
        return sum(part["n"] for part in parts), sum(part["likes"] for part in parts)

    def knows(self, userid: int, itemid: int, shard: int, offset: int) -> bool:
        """Return True if a record is a valid event of a watched user about an item."""
        known = ((rating.itemid, rating.shard, rating.offset) for rating in self._of_user[userid])
        return (itemid, shard, offset) in known

    def catalogue(self, itemid: int) -> tuple[int, list[int]]:
        """(year, genres) of an item."""
        return self._year[itemid], self._genres[itemid]

    def item_row(self, itemid: int, upto: Collection[int]) -> Row:
        """An item's features after the offsets `upto`, one for each shard."""
        parts = [part for shard, at in enumerate(upto) if (part := self.counter(shard, itemid, at)) is not None]
        last_ts = max((part["last_ts"] for part in parts), default=0)
        oldest = last_ts // WEEK_S - 7
        weeks = [week for part in parts for week in part["weeks"] if week[0] >= oldest]
        return {
            "n": sum(part["n"] for part in parts),
            "likes": sum(part["likes"] for part in parts),
            "recent_n": sum(n for _, n, _ in weeks),
            "recent_likes": sum(likes for _, _, likes in weeks),
            "last_ts": last_ts,
            "year": self._year[itemid],
            "genres": self._genres[itemid],
        }

    def _by_genre(self, ratings: Iterable[Rating]) -> list[int]:
        numbers = [genre for rating in ratings for genre in self._genres[rating.itemid]]
        return [numbers.count(genre) for genre in range(len(GENRES))]

    def _by_decade(self, ratings: Iterable[Rating]) -> list[int]:
        numbers = [min(max((self._year[rating.itemid] - 1910) // 10, 0), 9) for rating in ratings]
        return [numbers.count(decade) for decade in range(10)]


def _read_text(folder: Path) -> _History:
    """Read the files of MovieLens-1M."""

    def event(line: str) -> tuple[int, int, int, int]:
        userid, itemid, stars, ts = (int(field) for field in line.split("::"))
        return userid, itemid, stars, ts

    def item(line: str) -> tuple[int, int, list[str]]:
        itemid, title, genres = line.split("::")
        return int(itemid), int(title.rstrip()[-5:-1]), genres.split("|")

    def user(line: str) -> tuple[int, int, int, int]:
        userid, gender, age, occupation, _ = line.split("::", 4)
        return int(userid), "FM".index(gender), AGES.index(int(age)), int(occupation)

    return _History(
        map(event, _lines(folder / "ratings.dat")),
        map(item, _lines(folder / "movies.dat")),
        map(user, _lines(folder / "users.dat")),
    )


def _read_tables(folder: Path) -> _History:
    """Read the offline history of the archive."""

    def rows(name: str, *columns: str) -> Iterator[tuple[Any, ...]]:
        table = parquet.read_table(folder / f"{name}.parquet", columns=list(columns))
        return zip(*(table.column(column).to_pylist() for column in columns), strict=True)

    return _History(
        rows("events", "userid", "itemid", "rating", "ts"),
        rows("items", "itemid", "year", "genres"),
        rows("users", "userid", "gender", "age", "occupation"),
    )


def _lines(file: Path) -> Iterator[str]:
    with file.open(encoding="latin-1", newline="\n") as opened:
        for line in opened:
            if line.strip():
                yield line.rstrip("\r\n")


def _counting(came: list[Rating]) -> list[Rating]:
    """Of a user's ratings, in the order in which they came, those that count, by (seconds, itemid)."""
    last: dict[int, Rating] = {}
    # The sort keeps the order in which ratings of the same second came.
    for rating in sorted(came, key=lambda rating: rating.ts):
        last[rating.itemid] = rating
    return sorted(last.values(), key=lambda rating: (rating.ts, rating.itemid))


def _changes(came: list[Rating]) -> Iterator[Rating | None]:
    """The changes of a user's state, one after the other: a rating that came to count, or None for a new first time."""
    for number, rating in enumerate(came):
        before = came[:number]
        known = _counting([earlier for earlier in before if earlier.itemid == rating.itemid])
        if not known or rating.ts > known[0].ts or (rating.ts == known[0].ts and rating.stars != known[0].stars):
            yield rating
        elif rating.ts < min(earlier.ts for earlier in before):
            yield None


def _weeks(counts: list[Rating], last_ts: int) -> list[list[int]]:
    """[week, ratings, likes] of the eight weeks up to that of the latest rating, without weeks that have none."""
    weeks = sorted({rating.ts // WEEK_S for rating in counts if rating.ts // WEEK_S >= last_ts // WEEK_S - 7})
    found = []
    for week in weeks:
        stars = [rating.stars for rating in counts if rating.ts // WEEK_S == week]
        found.append([week, len(stars), sum(star > 3 for star in stars)])
    return found
