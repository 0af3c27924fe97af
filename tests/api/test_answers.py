"""An answer is sent as its model: what it was made without is left out, and what is not known is null."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from api.answers import AnswerModel, AsOf, Explanation
from api.data_set_answers import DataSetAnswers
from api.http import respond
from api.recommend import listed_item
from features import Event, Item, Profile, Schema, fold
from scoring import Source, preferences
from tests import movielens, shop
from tests.movielens import GENRES
from tests.shop import CART, PURCHASE, VIEW

FILMS = DataSetAnswers(movielens.SCHEMA)
SHOP = DataSetAnswers(shop.SCHEMA)

FILM = movielens.item(1, "La Cité des enfants perdus", 1995, (GENRES.index("Sci-Fi"),))
LISTED = {"itemid": 1, "score": 0.5, "title": "La Cité des enfants perdus", "year": 1995, "genres": ["Sci-Fi"]}
PRODUCT = shop.item("i/1", "A <b>spade</b>", (0, 2), brand=3, price=12.5, text="Digs.")


def sent(answer: AnswerModel) -> Any:
    return json.loads(respond(answer).get_data())


def recommendation(answers: DataSetAnswers, *items: object, as_of: AsOf | None = None) -> AnswerModel:
    return answers.recommendation(item_list=list(items), run="run", as_of=as_of, degraded=[], fallback=None)


def folded(schema: Schema, userid: int | str, items: list[Item], codes: list[int]) -> Profile:
    """The profile of a user with an event with each item, a second after one another."""
    profile = schema.profile(userid)
    for ts, (item, code) in enumerate(zip(items, codes, strict=True), 1):
        assert fold(schema.codes, profile, None, Event(userid, item.itemid, code, ts), {item.itemid: item})
    return profile


def test_what_an_answer_was_made_without_is_left_out_and_null_is_kept() -> None:
    answer = respond(recommendation(FILMS, listed_item(FILMS, FILM, 0.5, None)))
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert json.loads(answer.get_data()) == {
        "item_list": [LISTED],
        "run": "run",
        "as_of": None,
        "degraded": [],
        "fallback": None,
    }


def test_an_explanation_is_sent_with_its_item() -> None:
    explained = Explanation(sources={Source.VECTOR: 0.25}, like=0.75, features={"item_year": 0.75})
    as_of = AsOf(partition=7, offset=3, ts=9)
    told = sent(recommendation(FILMS, listed_item(FILMS, FILM, 0.5, explained), as_of=as_of))
    assert told["item_list"][0]["explain"] == {
        "sources": {"vector": 0.25},
        "like": 0.75,
        "features": {"item_year": 0.75},
    }
    assert told["as_of"] == {"partition": 7, "offset": 3, "ts": 9}


def test_an_answer_that_the_document_does_not_describe_cannot_be_made() -> None:
    with pytest.raises(ValidationError, match="extra"):
        FILMS.listed_item(**LISTED, rank=1)
    with pytest.raises(ValidationError, match="genres"):
        FILMS.listed_item(**{**LISTED, "genres": "Sci-Fi"})
    with pytest.raises(ValidationError, match="fallback"):
        FILMS.recommendation(item_list=[], run="run", as_of=None, degraded=[], fallback="other")  # type: ignore[arg-type]


def test_an_item_of_a_shop_has_the_attributes_of_the_shop() -> None:
    (item,) = sent(recommendation(SHOP, listed_item(SHOP, PRODUCT, 0.5, None)))["item_list"]
    assert item == {
        "itemid": "i/1",
        "score": 0.5,
        "title": "A <b>spade</b>",
        "categories": ["garden", "toys"],
        "brand": "brand 3",
        "price": 12.5,
    }


def test_a_missing_value_is_null_or_an_empty_list_and_an_item_without_title_has_its_id() -> None:
    (item,) = sent(recommendation(SHOP, listed_item(SHOP, shop.item("i2"), 0.5, None)))["item_list"]
    assert item == {"itemid": "i2", "score": 0.5, "title": "i2", "categories": [], "brand": None, "price": None}


def test_an_item_alone_has_its_texts_and_its_derived_attributes_too() -> None:
    counts = {"n": 3, "likes": 2, "recent_likes": 1, "last_ts": 9}
    film = sent(FILMS.item(itemid=1, title=FILM.name, **FILMS.attributes(FILM), **counts))
    assert film == {"itemid": 1, "title": FILM.title, "year": 1995, "genres": ["Sci-Fi"], "decade": 1995, **counts}
    product = sent(SHOP.item(itemid="i/1", title=PRODUCT.name, **SHOP.attributes(PRODUCT), **counts))
    assert product["text"] == "Digs."


def test_a_user_has_counts_and_preferences_by_the_names_of_the_attributes() -> None:
    films = [movielens.item(1, "One", 1994, (0, 4)), movielens.item(2, "Two", 1985, (4,))]
    profile = folded(movielens.SCHEMA, 7, films, [5, 2])
    tallies = {name: {key: dict(each) for key, each in tally.items()} for name, tally in FILMS.tallies(profile).items()}
    assert tallies == {
        "genres": {GENRES[0]: {"n": 1, "likes": 1}, GENRES[4]: {"n": 2, "likes": 1}},
        "decade": {"1980s": {"n": 1, "likes": 0}, "1990s": {"n": 1, "likes": 1}},
    }
    # The dislike takes away what the like has given to the genre of both.
    terms = sent(FILMS.terms(preferences(movielens.SCHEMA, profile.weights)))
    assert terms == {"genres": {GENRES[0]: 1.0}, "decade": {"1990s": 1.0}}


def test_events_are_sent_as_the_log_has_them() -> None:
    assert FILMS.event(1, 5, 9) == {"itemid": 1, "rating": 5, "ts": 9}
    assert SHOP.event("i1", CART, 9) == {"itemid": "i1", "event": "cart", "ts": 9}
    assert SHOP.events({"i2": ((5, VIEW),), "i1": ((7, VIEW), (8, PURCHASE))}) == [
        {"itemid": "i1", "event": "view", "ts": 7},
        {"itemid": "i1", "event": "purchase", "ts": 8},
        {"itemid": "i2", "event": "view", "ts": 5},
    ]


@pytest.mark.parametrize(
    ("answers", "module", "stored", "event"),
    [
        (FILMS, movielens, "ratings", {"itemid": 1, "rating": 5, "ts": 1}),
        (SHOP, shop, "events", {"itemid": "i1", "event": "purchase", "ts": 1}),
    ],
)
def test_an_export_names_the_fields_of_the_profile_as_they_are_packed(
    answers: DataSetAnswers, module: Any, stored: str, event: dict[str, Any]
) -> None:
    schema, userid, itemid = module.SCHEMA, 7 if module is movielens else "u7", event["itemid"]
    code = schema.codes.size - 1
    values = {"genres": (1,)} if module is movielens else {"categories": (1,)}
    profile = folded(schema, userid, [module.item(itemid, **values)], [code])
    told = sent(
        answers.export(
            userid=userid,
            attributes=answers.user_attributes(schema.user(userid)),
            profile=answers.profile(profile),
            features=None,
            records=[],
            **{answers.stored: answers.events({itemid: ((1, code),)})},
        )
    )
    assert tuple(told["profile"]) == schema.profile_fields
    assert told["profile"][schema.weight_fields[0]] == {schema.terms[0].values[1]: 1.0}, "a share, and no long number"
    assert told["profile"]["recent"] == [[1, itemid, code]]
    assert told[stored] == [event]
    assert set(told["attributes"].values()) == {-1}
    assert set(told["attributes"]) == {attribute.name for attribute in schema.user_attributes}
