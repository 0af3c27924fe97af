"""The schema of a data set: its description with what the data taught, and all that is derived from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pydantic_core
from pydantic import BaseModel, ConfigDict, Field

from features import counts, tally, version, weights
from features.attributes import Attribute, LearnedAttribute
from features.catalogue import UNKNOWN, Item, ItemValue, User
from features.changes import ChangeFormat
from features.dataset import DataSet
from features.dataset.codes import Codes
from features.declarations import DECLARED
from features.event import EventFormat
from features.feature import FeatureTable, Inputs
from features.ids import Id, IdKind
from features.layer import Items
from features.profile import NUMBERS, Profile
from features.stored import Record
from features.windows import Totals, Window, totals
from features.words import Words

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Columns = Mapping[str, npt.NDArray[np.number[Any]]]
"""Feature rows as columns: name -> [rows] or, for a list, [rows, length]."""

HALF = 0.5
"""Share of positive events where neither the description nor the data tells it."""


class Learned(BaseModel):
    """The part of a data set that its description leaves to the data.

    Attributes:
        items, users: by name of the attribute.
        positive_share: share of positive events.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: dict[str, LearnedAttribute] = Field(default_factory=dict)
    users: dict[str, LearnedAttribute] = Field(default_factory=dict)
    positive_share: float = HALF


class StoredSchema(Record):
    """A schema as it is stored.

    Attributes:
        dataset: the description, as JSON has it.
        learned: what the data taught.
    """

    dataset: dict[str, Any]
    learned: Learned


class Schema:
    """The schema of a data set.

    Two schemas are equal if all that is derived from them is.

    Args:
        dataset: the description.
        learned: what the data taught.

    Attributes:
        dataset, learned: the same.
        user_ids, item_ids: the kinds of ids.
        codes: the codes of events.
        events: reads and writes the records of the log.
        item_attributes: the attributes of items but for the title, in the order of the description.
        user_attributes: those attributes of users that have values, in the order of the description.
        terms: those attributes of items that are used for term recall.
        windowed: those terms that have counts over the last events and columns.
        positive_share: share of positive events, towards which rates of few events are drawn.
    """

    def __init__(self, dataset: DataSet, learned: Learned | None = None) -> None:
        self.dataset, self.learned = dataset, learned or Learned()
        self.user_ids, self.item_ids = IdKind(dataset.users.ids), IdKind(dataset.items.ids)
        self.codes = Codes(dataset.feedback, dataset.term_half_life_days)
        self.item_attributes = tuple(
            Attribute.of_description(name, described, self.learned.items.get(name, LearnedAttribute()))
            for name, described in dataset.items.attributes.items()
            if described.kind != "title"
        )
        of_users = (
            Attribute.of_description(name, described, self.learned.users.get(name, LearnedAttribute()))
            for name, described in dataset.users.attributes.items()
            if described.kind in {"category", "number"}
        )
        self.user_attributes = tuple(attribute for attribute in of_users if attribute.values)
        self.terms = tuple(attribute for attribute in self.item_attributes if attribute.term)
        self.windowed = tuple(attribute for attribute in self.terms if attribute.windowed)
        self.positive_share = dataset.positive_share or self.learned.positive_share
        changes = ChangeFormat(
            self.user_ids,
            self.item_ids,
            Words(dataset.items.attributes, self.item_attributes),
            Words(dataset.users.attributes, self.user_attributes),
            self.item,
            self.user,
        )
        self.events = EventFormat(self.user_ids, self.item_ids, self.codes, changes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and (self.dataset, self.learned) == (other.dataset, other.learned)

    def __hash__(self) -> int:
        return hash(self.to_json())

    def __reduce__(self) -> tuple[Any, ...]:
        # What is derived holds functions, which other processes make anew.
        return Schema, (self.dataset, self.learned)

    @classmethod
    def from_json(cls, text: bytes | str) -> Schema:
        """A schema from what `to_json` gave.

        Raises:
            VersionError: if it has a version that this release does not read.
            ValueError: if it is none.
        """
        stored = StoredSchema.read(text)
        # As JSON, in which a point in time is a text.
        return cls(DataSet.model_validate_json(pydantic_core.to_json(stored.dataset)), stored.learned)

    def to_json(self) -> str:
        """The schema as it is stored."""
        dataset = self.dataset.model_dump(mode="json", exclude_unset=True)
        return StoredSchema(dataset=dataset, learned=self.learned).model_dump_json()

    @property
    def titled(self) -> bool:
        """True if items have titles."""
        return any(described.kind == "title" for described in self.dataset.items.attributes.values())

    # Items, users and profiles

    def item(self, itemid: Id, title: str, values: Sequence[ItemValue]) -> Item:
        """Make an item; `values` are those of `item_attributes`."""
        by_name = dict(zip(self._item_names, values, strict=True))
        terms = tuple(attribute.codes_of(by_name[attribute.name]) for attribute in self.terms)
        places, first = [0], 1
        for attribute, codes in zip(self.terms, terms, strict=True):
            if attribute.windowed:
                places += [first + code for code in codes]
                first += attribute.length
        return Item(itemid, title, tuple(values), terms, tally.pack(places))

    def user(self, userid: Id, codes: Sequence[int] = ()) -> User:
        """Make a user; `codes` are those of `user_attributes`, empty where nothing is known."""
        return User(userid, tuple(codes) or (UNKNOWN,) * len(self.user_attributes))

    def profile(self, userid: Id) -> Profile:
        """The profile of a user without events."""
        return Profile(
            userid, tallies=[[0] * length for length in self.tally_lengths], weights=[{} for _ in self.terms]
        )

    @cached_property
    def tally_lengths(self) -> tuple[int, ...]:
        """Lengths of the tallies of a profile."""
        return tuple(term.length for term in self.terms for _ in ("n", "likes"))

    @cached_property
    def user_sizes(self) -> tuple[int, ...]:
        """The number of values of each of `user_attributes`."""
        return tuple(len(attribute.values) for attribute in self.user_attributes)

    @cached_property
    def _item_names(self) -> tuple[str, ...]:
        return tuple(attribute.name for attribute in self.item_attributes)

    # Terms

    @cached_property
    def term_starts(self) -> tuple[int, ...]:
        """The place at which each term begins in the vector of all terms' values."""
        return tuple(sum(term.length for term in self.terms[:place]) for place in range(len(self.terms)))

    @cached_property
    def n_terms(self) -> int:
        """Length of the vector of all terms' values."""
        return sum(term.length for term in self.terms)

    def totals(self, profile: Profile, items: Items) -> dict[Window, Totals]:
        """Add up a user's last events for every window; `items` holds the items of these events."""
        return totals(profile, items, self.codes, self._windowed_length)

    @cached_property
    def _windowed_length(self) -> int:
        return sum(term.length for term in self.windowed)

    # Counts and features

    @cached_property
    def user_counts(self) -> tuple[counts.UserCount, ...]:
        """The counts of a user."""
        return counts.user_counts(self.terms)

    @property
    def item_counts(self) -> tuple[counts.ItemCount, ...]:
        """The counts of an item."""
        return counts.ITEM_COUNTS

    @cached_property
    def attributes_of_users(self) -> tuple[counts.UserAttribute, ...]:
        """The attributes of a user as rows have them."""
        return counts.user_attributes(self.user_attributes)

    @cached_property
    def attributes_of_items(self) -> tuple[counts.ItemAttribute, ...]:
        """The attributes of an item as rows and formulas have them."""
        return counts.item_attributes(self.item_attributes)

    @cached_property
    def user_fields(self) -> tuple[counts.Count | counts.Attribute, ...]:
        """The fields of a user's feature row."""
        return (*self.attributes_of_users, *self.user_counts)

    @cached_property
    def item_fields(self) -> tuple[counts.Count | counts.Attribute, ...]:
        """The fields of an item's feature row."""
        return (*self.item_counts, *(attribute for attribute in self.attributes_of_items if attribute.in_row))

    @cached_property
    def inputs(self) -> Inputs:
        """The counts and attributes that formulas may use, by the name of the parameter."""
        return {
            **{f"user_{count.name}": ("user", count.name) for count in self.user_counts if count.in_formulas},
            **{f"item_{count.name}": ("item", count.name) for count in self.item_counts if count.in_formulas},
            **{f"item_{attribute.name}": ("item", attribute.name) for attribute in self.attributes_of_items},
        }

    @cached_property
    def table(self) -> FeatureTable:
        """The features of the ranker's dense input."""
        return DECLARED.table(self.item_attributes, self.inputs, self.positive_share)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Columns of the ranker's input `ids`; -1 where an attribute of a user is not known."""
        return ("userid", "itemid", *(attribute.name for attribute in self.user_attributes))

    @cached_property
    def dense_names(self) -> tuple[str, ...]:
        """Features of one column, the first columns of the ranker's input `dense`."""
        return tuple(feature.name for feature in self.table.features if not feature.several)

    @cached_property
    def dense_columns(self) -> tuple[str, ...]:
        """Columns of the ranker's input `dense`."""
        return self.table.columns

    @cached_property
    def user_columns(self) -> dict[str, int]:
        """The counts of users that formulas may use, each with its length."""
        return {count.name: count.length for count in self.user_counts if count.in_formulas}

    @cached_property
    def item_columns(self) -> tuple[str, ...]:
        """The counts of items that formulas may use."""
        return tuple(count.name for count in self.item_counts if count.in_formulas)

    @cached_property
    def user_width(self) -> int:
        """Numbers in the counts of a user that formulas may use."""
        return sum(self.user_columns.values())

    @property
    def width(self) -> int:
        """Numbers in the counts of a user and an item that formulas may use."""
        return self.user_width + len(self.item_columns)

    # Versions

    @cached_property
    def profile_fields(self) -> tuple[str, ...]:
        """Names of the fields of a profile in the order in which they are packed, each tally by itself."""
        return (*NUMBERS, *self.tally_fields, *self.weight_fields, "recent")

    @cached_property
    def tally_fields(self) -> tuple[str, ...]:
        """Names of the fields of a profile with a tally each."""
        return tuple(f"{term.singular}_{name}" for term in self.terms for name in ("n", "likes"))

    @cached_property
    def weight_fields(self) -> tuple[str, ...]:
        """Names of the fields of a profile with the weights of a term each."""
        return tuple(f"{term.singular}_weights" for term in self.terms)

    @cached_property
    def _decay(self) -> list[str]:
        return weights.meaning(self.codes) if self.terms else []

    @cached_property
    def profiles_version(self) -> str:
        """Version of profiles and counters, as Redis and the files of a snapshot hold them."""
        return version.of_profiles(self.profile_fields, self._decay)

    @cached_property
    def profiles_version_before(self) -> str:
        """Version of the same profiles in the layout before."""
        return version.of_profiles(self.profile_fields, self._decay, version.ROWS_OF_EVENTS)

    @cached_property
    def state_version(self) -> str:
        """Version of the state: of profiles, counters and feature rows."""
        return version.of_state(self.profile_fields, self._decay, self.user_fields, self.item_fields)

    @cached_property
    def feature_log_version(self) -> str:
        """Version of the messages of the feature log, which hold dense inputs, and counts of users."""
        return version.of_feature_log(self.dense_columns, self.user_columns)


def dense(schema: Schema, user: Columns, item: Columns) -> Floats:
    """The dense input of the ranker.

    Args:
        schema: of the data set.
        user: the counts of users, one row for each of N pairs; or a single row for all of them.
        item: the counts and attributes of items, N rows (see `features.columns.ItemTable`).

    Returns:
        FP32 [N, columns], named as in `schema.dense_columns`.
    """
    lists = {attribute.name for attribute in schema.attributes_of_items if attribute.length > 1}
    item = {name: values.astype(np.float32) if name in lists else values for name, values in item.items()}
    inputs = {"user": user, "item": item}
    out = np.empty((len(item["n"]), len(schema.dense_columns)), dtype=np.float32)
    place = 0
    for feature in schema.table.features:
        values = feature.formula(*[inputs[side][name] for side, name in feature.inputs])
        if feature.several:
            out[:, place : place + len(feature.columns)] = values[:, : len(feature.columns)]
        else:
            out[:, place] = values
        place += len(feature.columns)
    return out


def multi_hot(places: Sequence[Sequence[int]], length: int) -> npt.NDArray[np.int8]:
    """Lists of places, such as the categories of items, as [N, length] of 0 and 1."""
    out = np.zeros((len(places), length), dtype=np.int8)
    for row, of_item in enumerate(places):
        out[row, list(of_item)] = 1
    return out
