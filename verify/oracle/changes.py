"""Changes of items and users: which records are such, and the attributes that they give.

* A change of an item names it by an id of the kind of the data set, which is the record's key too. It has a version, a
  whole number from 1, and either `item`, an object, or `withdrawn`, which is true. It is valid in any partition.
* A change of a user names the user, whose id is the key, and has `user`, an object.
* The object gives attributes by name. A name that the data set does not have, or a value of another kind or beyond the
  bounds of the attribute, makes the record count for nothing. A value of a category that the data set does not know is
  missing, and so are values of categories.
* An attribute that is not named, or is null, follows from another one where it is derived from that; else it has its
  default, or is missing.
* Of two changes of an item the one with the higher version counts, and of those of one version the one whose object is
  greater as JSON, its keys in order.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from verify.oracle.attributes import MISSING, Column, bucket, matched, split
from verify.oracle.files import Fields, as_texts
from verify.oracle.rules import Id, is_id, object_of

VERSION = 3
LARGEST = 2**63 - 1


class Attributes:
    """Attributes of an item or a user, as a change gives them.

    Args:
        values: by name of the attribute: its value, and its codes.
    """

    def __init__(self, values: Mapping[str, tuple[Any, list[int]]]) -> None:
        self._values = values

    def value(self, column: Column) -> Any:
        """An attribute."""
        return self._values[column.name][0]

    def codes(self, column: Column) -> list[int]:
        """The codes of an attribute's values."""
        return self._values[column.name][1]


@dataclass(frozen=True, eq=False)
class ItemChange:
    """A change of an item.

    Attributes:
        itemid: of the item.
        version: of the change.
        text: decides between changes of one version.
        attributes: of the item; None where it is withdrawn.
    """

    itemid: Id
    version: int
    text: str
    attributes: Attributes | None

    @property
    def order(self) -> tuple[int, str]:
        """The greater one counts."""
        return self.version, self.text

    @property
    def revision(self) -> int:
        """The number by which a profile names the attributes: the first 63 bits of the SHA-256 of the text."""
        return int(hashlib.sha256(self.text.encode()).hexdigest()[:16], 16) // 2 or 1

    def value(self, column: Column) -> Any:
        """An attribute of the item."""
        assert self.attributes is not None, "a withdrawal gives no attributes"
        return self.attributes.value(column)

    def codes(self, column: Column) -> list[int]:
        """The codes of an attribute's values."""
        assert self.attributes is not None, "a withdrawal gives no attributes"
        return self.attributes.codes(column)


class ChangeRules:
    """The rules by which a record is a change.

    Args:
        description: the whole description, as its file has it.
        items, users: the attributes of the history.
    """

    def __init__(self, description: Mapping[str, Any], items: Sequence[Column], users: Sequence[Column]) -> None:
        self._ids = {part: description[part]["ids"] for part in ("items", "users")}
        self._items = Given(description["items"].get("attributes", {}), items)
        self._users = Given(description["users"].get("attributes", {}), users)

    def item(self, key: bytes | None, value: bytes | None) -> ItemChange | None:
        """The change of an item that a record is; None where it is none."""
        fields = self._fields(key, value, "itemid", "items")
        if fields is None:
            return None
        version, withdrawn = fields.get("version"), "withdrawn" in fields
        if type(version) is not int or not 1 <= version <= LARGEST or withdrawn == ("item" in fields):
            return None
        itemid = fields["itemid"]
        if withdrawn:
            return ItemChange(itemid, version, "", None) if fields["withdrawn"] is True else None
        attributes = self._items.read(fields["item"])
        text = json.dumps(fields["item"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return None if attributes is None else ItemChange(itemid, version, text, attributes)

    def user(self, key: bytes | None, value: bytes | None) -> tuple[Id, Attributes] | None:
        """(user, attributes) of the change of a user that a record is; None where it is none."""
        fields = self._fields(key, value, "userid", "users")
        attributes = None if fields is None else self._users.read(fields.get("user"))
        return None if fields is None or attributes is None else (fields["userid"], attributes)

    def _fields(self, key: bytes | None, value: bytes | None, name: str, part: str) -> dict[str, Any] | None:
        """The fields of a change of an item, or of a user; None of any other record."""
        fields = object_of(value)
        if fields is None or type(fields.get("schema_version")) is not int or fields["schema_version"] != VERSION:
            return None
        named = fields.get(name)
        if ("itemid" in fields) == ("userid" in fields) or not is_id(named, self._ids[part]):
            return None
        return fields if key == str(named).encode() else None


class Given:
    """Reads the attributes of an object of a record.

    Args:
        described: all attributes, by name.
        known: those of the history.
    """

    def __init__(self, described: Mapping[str, Fields], known: Sequence[Column]) -> None:
        columns = {column.name: column for column in known}
        # Whatever its name, the title is called so in records.
        names = {name: "title" if fields["kind"] == "title" else name for name, fields in described.items()}
        self._columns = {names[name]: columns.get(name) or Column(name, fields) for name, fields in described.items()}
        self._sources = {
            names[name]: names[fields["of"]] for name, fields in described.items() if fields.get("of") in described
        }

    def read(self, given: object) -> Attributes | None:
        """The attributes of an object; None where it is none, or has what there is not."""
        if not isinstance(given, dict) or not given.keys() <= self._columns.keys():
            return None
        if not all(value is None or _is(self._columns[name].fields, value) for name, value in given.items()):
            return None
        return Attributes({column.name: self._read(name, given) for name, column in self._columns.items()})

    def _read(self, name: str, given: dict[str, Any]) -> tuple[Any, list[int]]:
        """(value, codes) of an attribute."""
        column, value = self._columns[name], self._value(name, given)
        if column.kind == "categories":
            codes = sorted({column.names.index(each) for each in value or () if each in column.names})
            return codes, codes
        if column.kind == "category":
            code = column.names.index(value) if value in column.names else MISSING
            return code, [] if code == MISSING else [code]
        if column.kind == "number" and value is not None:
            value = float(value) if isinstance(value, float) or not self._whole(name) else value
            return value, bucket(column, value)
        return value, []

    def _whole(self, name: str) -> bool:
        """True for an attribute of whole numbers, and for what is derived from one."""
        if self._columns[name].fields.get("whole", False):
            return True
        return name in self._sources and self._whole(self._sources[name])

    def _value(self, name: str, given: dict[str, Any]) -> Any:
        """The value given for an attribute; without one, the value derived from another attribute, or the default."""
        fields, value = self._columns[name].fields, given.get(name)
        if value is None and name in self._sources:
            value = _derived(fields, self._value(self._sources[name], given))
        return (fields.get("default", None) if fields.get("default") != "" else None) if value is None else value


def _derived(fields: Fields, source: Any) -> Any:
    """The value that follows from that of another attribute; None where none does."""
    if source is None or isinstance(source, list):
        return None
    (value,) = matched(fields, [source])
    kind = fields["kind"]
    if kind == "number":
        try:
            number = float(value)
        except (TypeError, ValueError):
            return None
        number = int(number) if math.isfinite(number) and number == math.floor(number) else number
        return number if _is(fields, number) else None
    (text,) = as_texts([value])
    if kind != "categories" or text is None:
        return text
    (values,) = split([text], fields.get("separator", ""))
    return values


def _is(fields: Fields, value: Any) -> bool:
    """Return True for a value that an attribute can have."""
    if fields["kind"] == "categories":
        return isinstance(value, list) and all(map(_is_text, value))
    if fields["kind"] != "number":
        return _is_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if abs(value) > LARGEST if isinstance(value, int) else fields.get("whole", False):
        return False
    try:
        number = float(value)
    except OverflowError:
        return False
    low, high = fields.get("minimum"), fields.get("maximum")
    return math.isfinite(number) and (low is None or number >= low) and (high is None or number <= high)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not any(0xD800 <= ord(letter) < 0xE000 for letter in value)
