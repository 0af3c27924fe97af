"""The answers that depend on the data set, made from its schema: attributes, events and counts by their own names.

As in `api.data_set_requests`, these names are aliases of fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar, cast

from pydantic import Field, RootModel, create_model

from api.answers import (
    AnswerModel,
    ItemChangeAccepted,
    ItemList,
    ItemState,
    ListedItem,
    RecentEvent,
    Recommendation,
    StoredEvent,
    Tally,
    UserChangeAccepted,
    UserExport,
    UserState,
)
from api.data_set_requests import RATING, type_name, value_type
from features.attributes import Attribute
from features.catalogue import Item, User
from features.event import Event
from features.ids import Id, IdKind
from features.profile import Profile
from features.schema import Schema
from features.seen import Seen
from features.weights import shares
from scoring import Preferences

M = TypeVar("M", bound=AnswerModel)

Fields = dict[str, Any]
"""Fields of an answer by name."""


class Named(NamedTuple):
    """A field that the data set names.

    Attributes:
        kind: its type.
        description: of the field.
        default: `...` where it is always there.
    """

    kind: Any
    description: str | None = None
    default: Any = ...


class DataSetAnswers:
    """The answers of a data set.

    Args:
        schema: of the data set.

    Attributes:
        schema: the same.
        listed_item, recommendation: of `POST /ml/rec`.
        recommendations: of `POST /ml/rec/batch`.
        item_list: of lists of items that follow from no user.
        item: of `GET /items/<itemid>`.
        user, export: of `GET /users/<userid>` and `GET /users/<userid>/export`.
        item_changed, user_changed: of changes.
        stored: name of the list of a user's events in `export`.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.stored = "ratings" if schema.codes.types == (RATING,) else "events"
        self._known: dict[Id, tuple[Item, Fields]] = {}
        self._listed = [each for each in schema.item_attributes if not each.of and each.kind != "text"]
        user, item = _id_type(schema.user_ids), _id_type(schema.item_ids)
        self.listed_item = _model(ListedItem, {"itemid": item}, self._attribute_fields(self._listed))
        self.recommendation = _model(Recommendation, {"item_list": list[self.listed_item]})  # type: ignore[name-defined]
        self.recommendations: Any = RootModel[list[self.recommendation]]  # type: ignore[name-defined]
        self.item_list = _model(ItemList, {"item_list": list[self.listed_item]})  # type: ignore[name-defined]
        self.item = _model(ItemState, {"itemid": item}, self._attribute_fields(schema.item_attributes))
        self.item_changed = _model(ItemChangeAccepted, {"itemid": item})
        self.user_changed = _model(UserChangeAccepted, {"userid": user})
        weights = {term.name: Named(dict[str, float]) for term in schema.terms}
        self._terms = _model(AnswerModel, {}, weights, "Terms", "Preferred values by attribute, above 0 and up to 1.")
        recent = _model(RecentEvent, {"itemid": item}, self._event_fields())
        self.user = _model(
            UserState,
            {"userid": user, "terms": self._terms, "recent": list[recent]},  # type: ignore[valid-type]
            {term.name: Named(dict[str, Tally]) for term in schema.terms},
        )
        codes = {each.name: Named(int) for each in schema.user_attributes}
        self._attributes = _model(AnswerModel, {}, codes, "UserAttributes", "Attributes of a user as numbers.")
        stored = _model(StoredEvent, {"itemid": item}, self._event_fields())
        events = Named(list[stored], "the latest event of each type with each item, by item")  # type: ignore[valid-type]
        self.export = _model(
            UserExport,
            {"userid": user, "attributes": self._attributes},
            {self.stored: events},
        )

    def listed(self, item: Item) -> Fields:
        """The attributes of an item of a list; kept until the item changes."""
        known = self._known.get(item.itemid)
        if known is None or known[0] is not item:
            known = self._known[item.itemid] = item, self._shown(item, self._listed)
        return known[1].copy()

    def attributes(self, item: Item) -> Fields:
        """All attributes of an item."""
        return self._shown(item, self.schema.item_attributes)

    def event(self, itemid: Id, code: int, ts: int) -> Fields:
        """An event without its user, as it is sent; the code may tell its type alone."""
        fields = self.schema.events.fields(Event(0, itemid, code, ts))
        del fields["userid"]
        return fields

    def events(self, seen: dict[Id, Seen]) -> list[Fields]:
        """The latest events of a user with some items, by item."""
        itemids: list[Any] = sorted(cast(Any, seen))
        return [self.event(itemid, code, ts) for itemid in itemids for ts, code in seen[itemid]]

    def profile(self, profile: Profile) -> Fields:
        """The fields of a profile as it is packed, but for weights, which are shares of the greatest by value."""
        schema = self.schema
        weights = [
            {term.values[code]: share for code, share in shares(of_term).items()}
            for term, of_term in zip(schema.terms, profile.weights, strict=True)
        ]
        lists = dict(zip((*schema.tally_fields, *schema.weight_fields), (*profile.tallies, *weights), strict=True))
        return {name: lists[name] if name in lists else getattr(profile, name) for name in schema.profile_fields}

    def tallies(self, profile: Profile) -> Fields:
        """Counts by value of each term; without values that have no event."""
        return {
            term.name: {
                value: Tally(n=n, likes=likes)
                for value, n, likes in zip(
                    term.values, profile.tallies[2 * place], profile.tallies[2 * place + 1], strict=False
                )
                if n
            }
            for place, term in enumerate(self.schema.terms)
        }

    def terms(self, wanted: Preferences) -> AnswerModel:
        """Preferred values of each term by name."""
        weights = {
            term.name: {term.values[code]: weight for code, weight in wanted[term.name].items()}
            for term in self.schema.terms
        }
        return self._terms(**weights)

    def user_attributes(self, user: User) -> AnswerModel:
        """The attributes of a user as numbers."""
        names = (attribute.name for attribute in self.schema.user_attributes)
        return self._attributes(**dict(zip(names, user.codes, strict=True)))

    def _shown(self, item: Item, attributes: Iterable[Attribute]) -> Fields:
        values = dict(zip((each.name for each in self.schema.item_attributes), item.values, strict=True))
        return {each.name: each.shown(values[each.name]) for each in attributes}

    def _attribute_fields(self, attributes: Iterable[Attribute]) -> dict[str, Named]:
        return {each.name: Named(self._attribute_type(each)) for each in attributes}

    def _attribute_type(self, attribute: Attribute) -> Any:
        if attribute.kind == "categories":
            return list[str]
        # A change may leave out what the files must have.
        return {"number": int if attribute.whole else float}.get(attribute.kind, str) | None

    def _event_fields(self) -> dict[str, Named]:
        """The type or the value of an event, as the log has them."""
        codes = self.schema.codes
        valued = [name for name in codes.types if codes.has_value(name)]
        told = {name: value_type(self.schema, name) for name in valued}
        if codes.single and codes.value(1) is not None:
            return {name: Named(kind, "its value") for name, kind in told.items()}
        return {
            "event": Named(type_name(self.schema), "its type, where no value tells it", None if valued else ...),
            **{name: Named(kind, f"the value of a {name}", None) for name, kind in told.items()},
        }


def _id_type(kind: IdKind) -> Any:
    return int if kind is IdKind.INTEGER else str


def _model(
    base: type[M],
    fields: dict[str, Any],
    named: dict[str, Named] | None = None,
    name: str = "",
    doc: str | None = None,
) -> type[M]:
    """A model with the types of some fields replaced, and with further fields that the data set names."""
    made: Fields = {
        each: (kind, Field(description=base.model_fields[each].description)) for each, kind in fields.items()
    }
    for each, field in (named or {}).items():
        made[f"named_{each}"] = (field.kind, Field(field.default, alias=each, description=field.description))
    return cast(
        "type[M]",
        cast(Any, create_model)(name or base.__name__, __base__=base, __doc__=doc or base.__doc__, **made),
    )
