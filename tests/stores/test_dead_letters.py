"""Dead letters: every record has one that fits, and it reads back."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.errors import (
    InvalidRecordError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)
from kafka.record.default_records import DefaultRecordBatchBuilder

from stores import Logged
from stores.kafka.dead_letters import KEPT, DeadLetter, LetterError, letter_of, read_letter
from stores.kafka.producer import Record, Refused, Sender

ROOM = 8 << 20

headers = st.lists(st.tuples(st.text(max_size=20), st.one_of(st.none(), st.binary(max_size=50))), max_size=5)
records = st.builds(
    Logged,
    st.integers(0, 1000),
    st.integers(0, 2**60),
    st.one_of(st.none(), st.binary(max_size=100)),
    st.one_of(st.none(), st.binary(max_size=3000)),
    headers.map(tuple),
    st.integers(0, 2**42).map(lambda ms: ms / 1000),
)


def filed(record: Logged, room: int, reason: str = "why") -> tuple[Record, DeadLetter]:
    letter = letter_of(record, reason, room)
    return letter, read_letter(Logged(0, 0, letter.key, letter.value, tuple(letter.headers)))


@given(records, st.text(max_size=1000))
def test_a_letter_reads_back_as_the_record_was(record: Logged, reason: str) -> None:
    _, read = filed(record, ROOM, reason)
    assert (read.partition, read.offset) == (record.partition, record.offset)
    assert (read.key, read.value, read.headers) == (record.key, record.value, record.headers)
    assert read.reason == reason[:500]
    assert read.appended == pytest.approx(record.created, abs=0.001)
    assert not read.cut


@pytest.mark.parametrize("room", [0, 4_000, 20_000, 1 << 20, ROOM])
@pytest.mark.parametrize("part", ["key", "value", "headers", "all"])
def test_a_letter_fits_whatever_its_record_holds(room: int, part: str) -> None:
    large = b"\0" * (9 << 20)
    record = Logged(
        7,
        2**40,
        large if part in ("key", "all") else b"1",
        large if part in ("value", "all") else b"x",
        (("name", large),) if part in ("headers", "all") else (("name", b"value"),),
        1.5,
    )
    letter, read = filed(record, room, "\0why\U0001f600" * 1000)
    size = DefaultRecordBatchBuilder.estimate_size_in_bytes(letter.key, letter.value, list(letter.headers))
    assert size <= max(room, 4_000)
    assert (read.partition, read.offset) == (7, 2**40)
    for name in ("key", "value"):
        if part in (name, "all"):
            assert read.cut[name].length == len(large)
            assert read.cut[name].sha256 == hashlib.sha256(large).hexdigest()
            assert len(getattr(read, name)) <= KEPT


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b"\xff", b"null", b'{"partition": "x"}', b"[" * 100_000, None])
def test_what_is_no_letter_is_said_to_be_none(value: bytes | None) -> None:
    with pytest.raises(LetterError, match="is not a dead letter"):
        read_letter(Logged(0, 0, b"key", value))


@given(st.lists(st.tuples(st.sampled_from(["schema", "partition", "offset", "reason", "key"]), st.binary(max_size=4))))
def test_any_headers_are_a_letter_or_an_error(headers: list[tuple[str, bytes]]) -> None:
    try:
        read_letter(Logged(0, 0, b"key", b"value", tuple(headers)))
    except LetterError as error:
        assert "\n" not in str(error)


def test_a_letter_of_the_old_form_reads() -> None:
    fields = {"partition": 3, "offset": 17, "reason": "value is not JSON", "key": "5", "value": "not JSON \xff"}
    read = read_letter(Logged(0, 0, b"3-17", json.dumps(fields).encode()))
    assert read == DeadLetter(3, 17, "value is not JSON", b"5", b"not JSON \xff")


class Attempts(Sender):
    """A sender whose attempts fail as they are told to."""

    def __init__(self, outcomes: list[dict[int, Exception]]) -> None:
        self.outcomes, self.attempts = outcomes, list[list[Record]]()

    def _attempt(self, topic: str, records) -> dict[int, Exception]:
        self.attempts.append(list(records))
        return self.outcomes.pop(0)


def test_what_kafka_refuses_for_good_is_not_sent_again_and_the_rest_is() -> None:
    refused = InvalidRecordError()
    sender = Attempts([{1: refused, 2: KafkaTimeoutError()}, {0: refused}, {}])
    one, two, three = (Record(None, bytes([n])) for n in range(3))
    assert sender("topic", [one, two, three]) == {1: Refused(refused)}
    assert sender.attempts == [[one, two, three], [two], [three]]


@pytest.mark.parametrize("kind", [MessageSizeTooLargeError, InvalidRecordError])
def test_a_record_is_refused_only_if_it_is_refused_alone(kind: type[KafkaError]) -> None:
    error = kind()
    sender = Attempts([{0: error, 1: error}, {}, {0: error}])
    assert sender("topic", [Record(None, b"a"), Record(None, b"b")]) == {1: Refused(error)}
    assert [len(records) for records in sender.attempts] == [2, 1, 1]


def test_a_topic_that_may_not_be_written_to_refuses_all_at_once() -> None:
    error = TopicAuthorizationFailedError()
    sender = Attempts([{0: error, 1: error}])
    assert set(sender("topic", [Record(None, b"a"), Record(None, b"b")])) == {0, 1}
