"""A feature of the ranker's dense input, and the declarations from which those of a data set are made."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from features.attributes import Attribute

Counts = npt.NDArray[Any]
"""A count of N pairs of user and item: [N], for a list [N, length]; [1] where all pairs are of one user."""

OneHot = npt.NDArray[np.float32]
"""A list attribute of N items: FP32 [N, length] of 0 and 1."""

Values = npt.NDArray[np.floating[Any]]
"""A feature of N pairs: [N] (or [1]), for a feature of several columns [N, columns]."""

Formula = Callable[..., Values]
F = TypeVar("F", bound=Formula)

Inputs = Mapping[str, tuple[str, str]]
"""The counts and attributes that formulas may use, by the name of the parameter: the owner, and the name there."""


class DeclarationError(ValueError):
    """A feature that cannot be declared as it is; the message says what to change."""


class Each(Enum):
    """The attributes of items for each of which a declaration stands.

    In the name, the parameters and the description of a declaration, `term` stands for the singular name of a term,
    `item_term` for its values, and `number` for the name of a number.
    """

    WINDOWED = "terms with counts over the last events"
    OTHER_TERM = "other terms"
    NUMBER = "numbers"
    COLUMNS = "terms with a column for each value"

    def of(self, attributes: Sequence[Attribute]) -> list[Attribute]:
        """The attributes."""
        if self is Each.NUMBER:
            return [attribute for attribute in attributes if attribute.kind == "number" and not attribute.of]
        wanted = self is not Each.OTHER_TERM
        return [attribute for attribute in attributes if attribute.term and attribute.windowed == wanted]


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
        several: True if it has a column for each value of an attribute.
    """

    name: str
    description: str
    unit: str
    formula: Formula
    inputs: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    several: bool = False

    def describe(self, column: str) -> str:
        """The description of one of the feature's columns."""
        return self.description.replace("{}", column.partition(":")[2])


@dataclass(frozen=True)
class Declaration:
    """The declaration of a feature, or of one for each of some attributes.

    Attributes:
        formula: the function: its name, its parameters, its docstring and its body. Parameters that only have names are
            `share` (of positive events), and `center` and `scale` of a number.
        unit: unit or range of the values.
        each: the attributes; None for a single feature.
    """

    formula: Formula
    unit: str
    each: Each | None

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.formula.__name__

    def feature(self, attribute: Attribute | None, inputs: Inputs, share: float) -> Feature:
        """The feature, for an attribute where there is one for each.

        Raises:
            DeclarationError: if a parameter names no count, or the description is missing or not one sentence.
        """
        name = self._renamed(self.name, attribute)
        description = inspect.getdoc(self.formula) or ""
        if "\n" in description or not description.endswith("."):
            raise DeclarationError(f"the docstring of feature {self.name} must be one sentence on one line")
        used, constants = [], dict[str, float]()
        for parameter in inspect.signature(self.formula).parameters.values():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                constants[parameter.name] = self._constant(parameter.name, attribute, share)
                continue
            count = self._count(parameter.name, attribute)
            if count not in inputs:
                raise DeclarationError(
                    f"feature {self.name} uses {count}, which no formula may use; there are: {', '.join(inputs)}"
                )
            used.append(inputs[count])
        several = self.each is Each.COLUMNS
        columns: tuple[str, ...] = (name,)
        if attribute is not None:
            description = description.replace("{term}", attribute.singular).replace("{number}", attribute.name)
            description = description.replace("{center}", f"{attribute.center:g}")
            description = description.replace("{scale}", f"{attribute.scale:g}")
            if several:
                columns = tuple(f"{name}:{value}" for value in attribute.values)
        formula = partial(self.formula, **constants) if constants else self.formula
        return Feature(name, description, self.unit, formula, tuple(used), columns, several)

    @staticmethod
    def _renamed(name: str, attribute: Attribute | None) -> str:
        if attribute is None:
            return name
        return name.replace("term", attribute.singular, 1).replace("number", attribute.name, 1)

    def _count(self, parameter: str, attribute: Attribute | None) -> str:
        """The name of the count that a parameter stands for."""
        if attribute is not None and parameter == "item_term":
            return f"item_{attribute.term_field}"
        if attribute is not None and parameter == "item_number":
            return f"item_{attribute.name}"
        return parameter.replace("user_term_", f"user_{attribute.singular}_", 1) if attribute else parameter

    def _constant(self, name: str, attribute: Attribute | None, share: float) -> float:
        if name == "share":
            return share
        if attribute is not None and name in {"center", "scale"}:
            return float(getattr(attribute, name))
        raise DeclarationError(f"feature {self.name} uses the constant {name}; there are share, center and scale")


class Declarations:
    """Declarations in their order.

    >>> declared = Declarations()
    >>> @declared.feature(unit="events")
    ... def user_events(user_n: Counts) -> Values:
    ...     "Events of the user."
    ...     return user_n.astype(np.float64)
    >>> table = declared.table((), {"user_n": ("user", "n")}, share=0.5)
    >>> table.features[0].name, table.features[0].inputs, table.columns
    ('user_events', (('user', 'n'),), ('user_events',))
    """

    def __init__(self) -> None:
        self.declared: list[Declaration] = []

    def feature(self, *, unit: str, each: Each | None = None) -> Callable[[F], F]:
        """Declare the decorated function as a feature, or as one for each of some attributes.

        Raises:
            DeclarationError: if there is another of its name for the same attributes.
        """

        def declare(formula: F) -> F:
            declaration = Declaration(formula, unit, each)
            if any((other.name, other.each) == (declaration.name, each) for other in self.declared):
                raise DeclarationError(f"there are two features of the name {declaration.name}; rename one")
            self.declared.append(declaration)
            return formula

        return declare

    def table(self, attributes: Sequence[Attribute], inputs: Inputs, share: float) -> FeatureTable:
        """The features of a data set whose items have these attributes.

        Declarations that follow each other and stand for the same attributes give all their features of the first
        attribute, then those of the second.

        Raises:
            DeclarationError: if a declaration gives no feature, or two features have one name.
        """
        return FeatureTable(tuple(self._features(attributes, inputs, share)))

    def _features(self, attributes: Sequence[Attribute], inputs: Inputs, share: float) -> Iterator[Feature]:
        names: set[str] = set()
        for each, group in groupby(self.declared, key=lambda declaration: declaration.each):
            declarations = list(group)
            owners: list[Attribute | None] = [None] if each is None else [*each.of(attributes)]
            for attribute in owners:
                for declaration in declarations:
                    feature = declaration.feature(attribute, inputs, share)
                    if feature.name in names:
                        raise DeclarationError(f"there are two features of the name {feature.name}; rename one")
                    names.add(feature.name)
                    yield feature


class FeatureTable:
    """The features of a data set.

    Attributes:
        features: those of one column first, as their place does not move when another list grows.
    """

    def __init__(self, features: Collection[Feature]) -> None:
        self.features = tuple(sorted(features, key=lambda feature: feature.several))

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
