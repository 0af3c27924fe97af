"""Dead letters: records that cannot be folded, filed in `ratings.dead` in a form that always fits.

A letter's value is the record's own, byte for byte. All else stands in the letter's headers:

    schema              the form of the letter
    partition, offset   where the record stands in the log
    reason              why it is dead
    timestamp           when it was appended, in unix milliseconds
    key                 its key; absent where it has none
    headers             its headers as msgpack [[name, value]...]; absent where it has none

What does not fit is cut, in which case `PART-length` and `PART-sha256` are those of the whole part, for PART in `key`,
`value` and `headers`. Nothing is lost by that: the record itself stays in the log at its position.

Letters from before this form are JSON objects without headers, with key and value as latin-1 text.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import msgpack
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from settings import KafkaSettings
from stores.kafka.client import connected, reachable
from stores.kafka.producer import Record, Refused, Sender, permanent
from stores.kafka.record import Logged
from stores.kafka.topics import DEAD_BYTES, LARGEST, config_of

SCHEMA = b"2"
KEPT = 64 << 10
"""Most bytes that are kept of each part of a record that does not fit."""
SMALLEST = 1 << 10
"""Bytes of a letter with nothing of its record in it, at most."""
REASON = 500
"""Most characters of a reason."""
ROOM_VALID_S = 3.0
"""Seconds for which the room of a topic is not read again."""
DEFAULT_BYTES = 1 << 20
"""Room of a topic that does not tell its own: what Kafka takes by default."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A part of a record of which a letter holds only the beginning: the length and SHA-256 of the whole."""

    length: int
    sha256: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter.

    Attributes:
        partition, offset: where the record stands in the log.
        reason: why it is dead.
        key, value, headers: of the record; without headers where these are cut.
        appended: when it was appended, in unix seconds; 0 where that is not known.
        cut: the parts that are not whole, of `key`, `value` and `headers`.
        readable: false of a record in the topic of dead letters that is none.
    """

    partition: int
    offset: int
    reason: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    appended: float = 0.0
    cut: Mapping[str, Cut] = field(default_factory=dict)
    readable: bool = True


class LetterError(ValueError):
    """A record in the topic of dead letters that is none."""


def letter_of(record: Logged, reason: str, room: int) -> Record:
    """The dead letter of a record, of at most `room` bytes where that is SMALLEST or more."""
    parts = {
        "key": record.key,
        "value": record.value,
        "headers": msgpack.packb(record.headers, unicode_errors="surrogatepass") if record.headers else None,
    }
    whole = sum(len(part) for part in parts.values() if part is not None) <= room - SMALLEST - 4 * REASON
    most = max(0, min(KEPT, (room - SMALLEST - 4 * REASON) // len(parts)))
    headers = [
        ("schema", SCHEMA),
        ("partition", str(record.partition).encode()),
        ("offset", str(record.offset).encode()),
        ("reason", reason[:REASON].encode(errors="backslashreplace")),
        ("timestamp", str(round(1000 * record.created)).encode()),
    ]
    kept: dict[str, bytes | None] = {}
    for name, part in parts.items():
        kept[name] = part
        if part is not None and not whole and len(part) > most:
            kept[name] = part[:most]
            headers.append((f"{name}-length", str(len(part)).encode()))
            headers.append((f"{name}-sha256", sha256(part).hexdigest().encode()))
    headers += [(name, part) for name in ("key", "headers") if (part := kept[name]) is not None]
    return Record(f"{record.partition}-{record.offset}".encode(), kept["value"], headers)


def read_letter(record: Logged) -> DeadLetter:
    """The dead letter that stands in a record of the topic of dead letters.

    Raises:
        LetterError: if it is none.
    """
    headers = {name: value for name, value in record.headers if value is not None}
    try:
        if "schema" not in headers:
            return _read_json(record)
        if headers["schema"] != SCHEMA:
            raise LetterError(f"has the unknown form {headers['schema']!r}")
        cut = {
            name: Cut(int(headers[f"{name}-length"]), headers[f"{name}-sha256"].decode())
            for name in ("key", "value", "headers")
            if f"{name}-length" in headers
        }
        packed = None if "headers" in cut else headers.get("headers")
        return DeadLetter(
            int(headers["partition"]),
            int(headers["offset"]),
            headers["reason"].decode(),
            headers.get("key"),
            record.value,
            tuple((name, value) for name, value in msgpack.unpackb(packed)) if packed else (),
            int(headers["timestamp"]) / 1000,
            cut,
        )
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError, msgpack.UnpackException) as error:
        if isinstance(error, LetterError):
            raise
        raise LetterError("is not a dead letter") from error


def _read_json(record: Logged) -> DeadLetter:
    fields = json.loads(record.value or b"")
    key, value = (None if text is None else text.encode("latin-1") for text in (fields["key"], fields["value"]))
    return DeadLetter(int(fields["partition"]), int(fields["offset"]), str(fields["reason"]), key, value)


class DeadLetters:
    """Files dead letters.

    Args:
        settings: of Kafka.
        within_s: seconds that Kafka gets to take what one call files.
    """

    def __init__(self, settings: KafkaSettings, within_s: float) -> None:
        self._settings = settings
        self._send = Sender(settings, within_s, compression_type="lz4", max_request_size=DEAD_BYTES)
        self._room: int | None = None
        self._read_at = -math.inf

    def __call__(self, dead: Sequence[tuple[Logged, str]]) -> list[tuple[Logged, str, Refused]]:
        """File records with the reasons why they are dead; returns once Kafka has the letters or refuses them for good.

        A letter that is refused is filed again without anything of its record.

        Returns:
            The records of which Kafka takes no letter at all, with the reason why they are dead and Kafka's.

        Raises:
            Unreachable: if Kafka does not answer; it may or may not have them.
        """
        if not dead:
            return []
        topic, room = self._settings.dead_topic, self._current_room()
        refused = self._send(topic, [letter_of(record, reason, room) for record, reason in dead])
        if not refused:
            return []
        self._room = None
        left = [dead[place] for place in sorted(refused)]
        again = self._send(topic, [letter_of(record, reason, 0) for record, reason in left])
        return [(*left[place], error) for place, error in sorted(again.items())]

    def _current_room(self) -> int:
        """The room of a letter, read again after ROOM_VALID_S, since the topic may take more by then."""
        if self._room is None or time.monotonic() - self._read_at > ROOM_VALID_S:
            self._room, self._read_at = self._read_room(), time.monotonic()
        return self._room

    def _read_room(self) -> int:
        """Bytes that a letter may have: what the topic takes, less what a batch adds to it."""
        with reachable(self._settings):
            admin = connected(KafkaAdminClient, self._settings)
            try:
                limit = int(config_of(admin, self._settings.dead_topic)[LARGEST])
            except KafkaError as error:
                if not permanent(error):
                    raise
                limit = DEFAULT_BYTES
            finally:
                admin.close()
        limit = min(limit, DEAD_BYTES)
        return limit - limit // 64 - SMALLEST
