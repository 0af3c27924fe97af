"""The dead letters that `--at` selects."""

from __future__ import annotations

from cli.dead import Choice
from stores.kafka.dead_letters import DeadLetter


def test_a_position_selects_the_letter_of_that_record_and_no_foreign_record_at_that_offset() -> None:
    letter = DeadLetter(0, 7, "value is not JSON", b"1", b"x")
    foreign = DeadLetter(0, 7, "offset 7 of dead is not a dead letter", b"1", b"x", readable=False)
    assert list(filter(Choice(None, "0:7"), [foreign, letter])) == [letter]
    assert list(filter(Choice("is not a dead letter", None), [foreign, letter])) == [foreign]
