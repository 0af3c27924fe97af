"""Vectors of items from their attributes and the words of their titles and texts, by the regression of a run.

The regression is fitted in training (`offline.models.metadata`). It needs NumPy alone here, so that a stream worker can
give a vector to an item that came after the training.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

from features.attributes import Attribute
from features.catalogue import Item, ItemValue
from features.schema import Floats, Schema
from features.stored import Record

LARGEST = 5.0
"""Bound of a standardised number."""

WORD = re.compile(r"\w+")


class Block(BaseModel):
    """The columns of an attribute, or of the title.

    Attributes:
        attribute: its name; empty for the title.
        words: of a text, those that have a column.
        missing: True if a column says that the number is missing.
    """

    model_config = ConfigDict(frozen=True)

    attribute: str
    words: tuple[str, ...] = ()
    missing: bool = False


class Columns(Record):
    """The columns that describe an item: a constant, then those of each block.

    Categories and the buckets of numbers are columns of 0 and 1, other numbers are standardised, and titles and texts
    are columns of 0 and 1 for their words.

    Attributes:
        blocks: in order.
    """

    model_config = ConfigDict(frozen=True)

    blocks: tuple[Block, ...] = ()


class Describer:
    """Describes items in some columns; a value or a word that has none is ignored.

    Args:
        schema: of the data set.
        columns: the columns.

    Attributes:
        width: how many there are.
    """

    def __init__(self, schema: Schema, columns: Columns) -> None:
        places = {attribute.name: place for place, attribute in enumerate(schema.item_attributes)}
        self._blocks: list[tuple[int, Attribute | None, int, dict[str, int] | None, bool]] = []
        self.width = 1
        for block in columns.blocks:
            place = places.get(block.attribute, -1)
            attribute = schema.item_attributes[place] if block.attribute else None
            if attribute is None or attribute.kind == "text":
                words, width = {word: column for column, word in enumerate(block.words)}, len(block.words)
            else:
                words, width = None, len(attribute.values) or 1 + block.missing
            self._blocks.append((self.width, attribute, place, words, block.missing))
            self.width += width

    def table(self, items: Sequence[Item]) -> Floats:
        """The columns of items, FP32 [items, columns]."""
        table = np.zeros((len(items), self.width), dtype=np.float32)
        for row, item in enumerate(items):
            for column, value in self.entries(item):
                table[row, column] = value
        return table

    def entries(self, item: Item) -> Iterator[tuple[int, float]]:
        """(column, value) of an item where the value is not 0, in ascending order."""
        yield 0, 1.0
        for first, attribute, place, words, missing in self._blocks:
            value = item.title if attribute is None else item.values[place]
            if words is not None:
                text = value.lower() if isinstance(value, str) else ""
                for column in sorted({words[word] for word in WORD.findall(text) if word in words}):
                    yield first + column, 1.0
            elif attribute is not None:
                yield from _entries(first, attribute, value, missing)


def _entries(first: int, attribute: Attribute, value: ItemValue, missing: bool) -> Iterator[tuple[int, float]]:
    """The entries of a category, of categories or of a number, whose columns begin at `first`."""
    if attribute.values:
        for code in attribute.codes_of(value):
            yield first + code, 1.0
        return
    number = (attribute.number_of(value) - attribute.center) / attribute.scale
    yield first, min(max(number, -LARGEST), LARGEST)
    if missing and value is None:
        yield first + 1, 1.0


@dataclass(frozen=True)
class Regression:
    """The regression of a run.

    Attributes:
        columns: that it reads.
        weights: FP32 [columns, D].
    """

    columns: Columns
    weights: Floats

    @classmethod
    def of_mean(cls, vectors: Floats) -> Regression:
        """The regression for a run that has none: the mean of its vectors [items, D], whatever the item."""
        return cls(Columns(), vectors.mean(axis=0, dtype=np.float64, keepdims=True).astype(np.float32))

    def vectors(self, schema: Schema, items: Sequence[Item]) -> Floats:
        """The vectors of items, FP32 [items, D].

        Each is a sum in a fixed order, so that it is the same alone and among others.
        """
        describer = Describer(schema, self.columns)
        out = np.empty((len(items), self.weights.shape[1]), dtype=np.float32)
        for row, item in enumerate(items):
            entries = list(describer.entries(item))
            values = np.array([value for _, value in entries])
            weights = self.weights[[column for column, _ in entries]].astype(np.float64)
            out[row] = (weights * values[:, None]).sum(axis=0)
        return out

    def pack(self) -> bytes:
        """The regression as the file of a run and Redis hold it."""
        packed = io.BytesIO()
        columns = np.frombuffer(self.columns.model_dump_json().encode(), dtype=np.uint8)
        np.savez(packed, columns=columns, weights=self.weights.astype(np.float32))
        return packed.getvalue()

    @classmethod
    def unpack(cls, packed: bytes) -> Regression:
        """The regression that `pack` gave.

        Raises:
            VersionError: if it is of another version.
            ValueError: if it is none.
        """
        try:
            with np.load(io.BytesIO(packed)) as stored:
                columns, weights = stored["columns"].tobytes(), stored["weights"]
        except (zipfile.BadZipFile, KeyError, OSError, EOFError, ValueError) as error:
            # NumPy takes what is no archive for a pickle, which it does not load.
            raise ValueError(f"it is no regression ({type(error).__name__})") from None
        return cls(Columns.read(columns), weights)
