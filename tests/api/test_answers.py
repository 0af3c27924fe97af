"""An answer is sent as its model: what it was made without is left out, and what is not known is null."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from api.answers import AsOf, Explanation, ListedItem, Recommendation
from api.http import respond
from scoring import Source

ITEM = {"itemid": 1, "score": 0.5, "title": "La Cité des enfants perdus", "year": 1995, "genres": ["Sci-Fi"]}


def recommendation(*items: ListedItem, as_of: AsOf | None = None) -> Recommendation:
    return Recommendation(item_list=list(items), run="run", as_of=as_of, degraded=[], fallback=None)


def test_what_an_answer_was_made_without_is_left_out_and_null_is_kept() -> None:
    answer = respond(recommendation(ListedItem(**ITEM)))
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert json.loads(answer.get_data()) == {
        "item_list": [ITEM],
        "run": "run",
        "as_of": None,
        "degraded": [],
        "fallback": None,
    }


def test_an_explanation_is_sent_with_its_item() -> None:
    explained = Explanation(sources={Source.VECTOR: 0.25}, like=0.75, features={"item_year": 0.75})
    answer = respond(recommendation(ListedItem(**ITEM, explain=explained), as_of=AsOf(partition=7, offset=3, ts=9)))
    told = json.loads(answer.get_data())
    assert told["item_list"][0]["explain"] == {
        "sources": {"vector": 0.25},
        "like": 0.75,
        "features": {"item_year": 0.75},
    }
    assert told["as_of"] == {"partition": 7, "offset": 3, "ts": 9}


def test_an_answer_that_the_document_does_not_describe_cannot_be_made() -> None:
    with pytest.raises(ValidationError, match="extra"):
        ListedItem(**ITEM, rank=1)
    with pytest.raises(ValidationError, match="fallback"):
        Recommendation(item_list=[], run="run", as_of=None, degraded=[], fallback="other")  # type: ignore[arg-type]
