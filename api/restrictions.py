"""`filter` and `diversity` of a request as the restriction that `scoring` makes lists by."""

from __future__ import annotations

from collections.abc import Iterator

from api.messages import Body, RecommendationRequest, RequestError
from features.schema import Schema
from scoring.restriction import NO_RESTRICTION, AllOf, AnyOf, AtMost, Between, Condition, Restriction, RestrictionError


def restriction_of(schema: Schema, request: RecommendationRequest) -> Restriction:
    """The restriction of a request.

    Raises:
        RequestError: if it asks for what the data set does not have; names the field and the rule.
    """
    if request.filter is None and request.diversity is None:
        return NO_RESTRICTION
    conditions = tuple(conditions_of(request.filter))
    diversity = request.diversity
    at_most = (AtMost(diversity.attribute, diversity.most),) if diversity else ()
    field = "filter"
    try:
        Restriction.of(schema, conditions)
        field = "diversity"
        return Restriction.of(schema, conditions, at_most)
    except RestrictionError as error:
        raise RequestError(f"{field}: {error}") from None


def conditions_of(wanted: Body | None) -> Iterator[Condition]:
    """The conditions of `filter`.

    Raises:
        RequestError: if one says nothing.
    """
    asked = wanted.model_dump(by_alias=True, exclude_none=True) if wanted else {}
    for name, condition in asked.items():
        if not condition:
            raise RequestError(f"filter.{name}: needs any, all, min or max")
        if "any" in condition:
            yield AnyOf(name, tuple(dict.fromkeys(condition["any"])))
        if "all" in condition:
            yield AllOf(name, tuple(dict.fromkeys(condition["all"])))
        if "min" in condition or "max" in condition:
            yield Between(name, condition.get("min"), condition.get("max"))
