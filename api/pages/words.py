"""The words of a data set on the pages, and what scripts need to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from features import Schema
from features.attributes import Attribute

VOWELS = "aeiou"


@dataclass(frozen=True)
class Words:
    """The words for the events of a data set.

    Attributes:
        one, many: an event, events.
    """

    one: str = "event"
    many: str = "events"

    @classmethod
    def of(cls, schema: Schema | None) -> Words:
        """The name of the only type of events; the word event where there are several, or nothing is published.

        >>> import datasets
        >>> Words.of(Schema(datasets.read("movielens-1m"))).a
        'a rating'
        """
        if schema is None or not schema.codes.single:
            return cls()
        name = schema.codes.types[0].replace("_", " ")
        return cls(name, f"{name}s")

    @property
    def a(self) -> str:
        """One event, with its article."""
        return f"{'an' if self.one[0] in VOWELS else 'a'} {self.one}"


def described(schema: Schema) -> dict[str, Any]:
    """The data set for scripts."""
    words = Words.of(schema)
    return {
        "name": schema.dataset.name,
        "ids": schema.user_ids.value,
        "one": words.one,
        "many": words.many,
        "types": [_type(schema, name) for name in schema.codes.types],
        "attributes": [_attribute(each) for each in schema.item_attributes if not each.of and each.kind != "text"],
        "terms": [_attribute(each) for each in schema.terms],
        "segments": [{"name": each.name, "values": list(each.values)} for each in schema.user_attributes],
    }


def _type(schema: Schema, name: str) -> dict[str, Any]:
    """A type of events; `stars` is the greatest value of one whose values are 1 to a few."""
    bounds = schema.dataset.feedback[name].value
    if bounds is None or not schema.codes.has_value(name):
        return {"name": name, "valued": False}
    listed = bounds.whole and bounds.minimum == 1 and bounds.maximum is not None and bounds.maximum <= 10
    return {
        "name": name,
        "valued": True,
        "stars": int(bounds.maximum) if listed and bounds.maximum else None,
        "minimum": bounds.minimum,
        "maximum": bounds.maximum,
        "whole": bounds.whole,
    }


def _attribute(attribute: Attribute) -> dict[str, str]:
    return {"name": attribute.name, "label": attribute.name.replace("_", " "), "kind": attribute.kind}
