"""A feature of the ranker's dense input, and the table in which features are declared."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from features.counts import ATTRIBUTES_OF_ITEMS, ITEM_COUNTS, USER_COUNTS

Counts = npt.NDArray[np.integer]
"""A count of N pairs of user and item: [N], for a list [N, length]; [1] where all pairs are of one user."""

OneHot = npt.NDArray[np.float32]
"""A list attribute of N items: FP32 [N, length] of 0 and 1."""

Values = npt.NDArray[np.floating]
"""A feature of N pairs: [N] (or [1]), for a feature of several columns [N, columns]."""

Formula = Callable[..., Values]
F = TypeVar("F", bound=Formula)


class DeclarationError(ValueError):
    """A feature that cannot be declared as it is; the message says what to change."""


INPUTS = {
    **{f"user_{count.name}": ("user", count.name) for count in USER_COUNTS if count.in_formulas},
    **{f"item_{count.name}": ("item", count.name) for count in ITEM_COUNTS if count.in_formulas},
    **{f"item_{attribute.name}": ("item", attribute.name) for attribute in ATTRIBUTES_OF_ITEMS},
}
"""The counts and attributes that formulas may use, by the name of the parameter: the owner, and the name there."""


@dataclass(frozen=True)
class Feature:
    """A feature.

    Attributes:
        name: its name.
        description: one sentence.
        unit: unit or range of its values.
        formula: computes it from the counts that its parameters name.
        inputs: these counts, as (`user` or `item`, name).
        columns: the columns of the dense input that it fills.
    """

    name: str
    description: str
    unit: str
    formula: Formula
    inputs: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]

    @classmethod
    def of(cls, formula: Formula, unit: str, options: Iterable[str]) -> Feature:
        """The feature that a function declares: its name, its parameters, its docstring and its body.

        Args:
            formula: the function.
            unit: unit or range of the values.
            options: for a feature of several columns, what they stand for, in order.

        Raises:
            DeclarationError: if a parameter names no count, or the description is missing or not one sentence.
        """
        name, description = formula.__name__, inspect.getdoc(formula) or ""
        if "\n" in description or not description.endswith("."):
            raise DeclarationError(f"the docstring of feature {name} must be one sentence on one line")
        parameters = list(inspect.signature(formula).parameters)
        for parameter in parameters:
            if parameter not in INPUTS:
                raise DeclarationError(
                    f"feature {name} uses {parameter}, which no formula may use; there are: {', '.join(INPUTS)}"
                )
        columns = tuple(f"{name}:{option}" for option in options) or (name,)
        return cls(name, description, unit, formula, tuple(INPUTS[parameter] for parameter in parameters), columns)

    def describe(self, column: str) -> str:
        """The description of one of the feature's columns."""
        return self.description.replace("{}", column.partition(":")[2])


class FeatureTable:
    """Features in the order of their declaration.

    >>> table = FeatureTable()
    >>> @table.feature(unit="items")
    ... def user_items(user_n: Counts) -> Values:
    ...     "Number of items that the user has rated."
    ...     return user_n.astype(np.float64)
    >>> table.features[0].name, table.features[0].inputs, table.columns
    ('user_items', (('user', 'n'),), ('user_items',))
    """

    def __init__(self) -> None:
        self._features: dict[str, Feature] = {}

    def feature(self, *, unit: str, options: Iterable[str] = ()) -> Callable[[F], F]:
        """Declare the decorated function as a feature (see `Feature.of`).

        Raises:
            DeclarationError: if it cannot be one, or there is another of its name.
        """

        def declare(formula: F) -> F:
            declared = Feature.of(formula, unit, options)
            if declared.name in self._features:
                raise DeclarationError(f"there are two features of the name {declared.name}; rename one")
            self._features[declared.name] = declared
            return formula

        return declare

    @property
    def features(self) -> tuple[Feature, ...]:
        """All features: those of one column first, as their place does not move when another list grows."""
        return tuple(sorted(self._features.values(), key=lambda feature: len(feature.columns) > 1))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the dense input."""
        return tuple(column for feature in self.features for column in feature.columns)

    def using(self, side: str, count: str) -> tuple[str, ...]:
        """Names of the features that use a count of the `user` or `item`."""
        return tuple(feature.name for feature in self.features if (side, count) in feature.inputs)

    def description(self, column: str) -> str:
        """The description of a column.

        Raises:
            StopIteration: if there is no such column.
        """
        return next(feature.describe(column) for feature in self.features if column in feature.columns)
