"""Rules that join parts of a description: names of files, columns, event types and attributes."""

from __future__ import annotations

from collections.abc import Iterator

from features.dataset.attributes import Title
from features.dataset.codes import Codes
from features.dataset.description import DataSet, Entities
from features.dataset.feedback import NEVER

RESERVED_TYPES = ("userid", "itemid", "event", "value", "ts", "schema_version", "erase", "title")
"""Names of fields of events and answers, which no type of event may have."""

RESERVED_ITEMS = (
    *("userid", "itemid", "title", "score", "explain", "n", "likes", "recent_n", "recent_likes", "first_ts", "last_ts"),
    *("version", "withdrawn", "terms", "seen", "recent", "as_of", "prior", "vector"),
)
"""Names of fields of rows, documents and answers, which no attribute of items may have but for a title."""

RESERVED_USERS = (
    *("userid", "itemid", "history", "version", "n", "likes", "n10", "likes10", "n30", "likes30"),
    *("first_ts", "last_ts"),
)
"""Names of fields of rows and of groups of users, which no attribute of users may have."""

Location = tuple[str | int, ...]
"""A place in the description, as keys and numbers."""

Broken = tuple[Location, str]
"""A broken rule: where, and what follows the name of the place in a sentence."""


def broken_references(dataset: DataSet) -> Iterator[Broken]:
    """Find names that refer to nothing, and parts that contradict each other."""
    yield from _events(dataset)
    yield from _feedback(dataset)
    for part, entities in (("items", dataset.items), ("users", dataset.users)):
        yield from _entities(dataset, part, entities)
        yield from _derived(part, entities)
    yield from _names(dataset)
    for number, name in enumerate(dataset.files):
        if dataset.paths[number] in dataset.paths[:number]:
            yield ("files", name, "path"), f"is {dataset.paths[number]!r}, as of another file"


def _column(dataset: DataSet, where: Location, file: str, column: str) -> Iterator[Broken]:
    """A column that a file without a header does not have; other files are read to know."""
    if (names := dataset.files[file].columns) and column not in names:
        yield where, f"is {column!r}, which is not a column of files.{file} ({', '.join(names)})"


def _file(dataset: DataSet, where: Location, file: str) -> Iterator[Broken]:
    if file not in dataset.files:
        yield where, f"is {file!r}, which is not in `files` ({', '.join(dataset.files)})"


def _events(dataset: DataSet) -> Iterator[Broken]:
    for number, source in enumerate(dataset.events):
        where: Location = ("events", number)
        yield from _file(dataset, (*where, "file"), source.file)
        if source.file in dataset.files:
            for key, column in source.columns.items():
                yield from _column(dataset, (*where, key), source.file, column)
        if source.event and source.event not in dataset.feedback:
            yield (*where, "event"), f"is {source.event!r}, which `feedback` does not declare"
        for text, name in source.names.items():
            if name not in dataset.feedback:
                yield (*where, "names", text), f"is {name!r}, which `feedback` does not declare"
        for name in source.ignore:
            if name in dataset.feedback:
                yield (*where, "ignore"), f"names {name!r}, which `feedback` declares"
        possible = [source.event] if source.event else list(dataset.feedback)
        valued = [name for name in possible if name in dataset.feedback and dataset.feedback[name].needs_value]
        if valued and not source.value:
            yield where, f"needs `value`, as events of the type {valued[0]!r} have one"


def _feedback(dataset: DataSet) -> Iterator[Broken]:
    if not any(rule.target and rule.positive.text != NEVER for rule in dataset.feedback.values()):
        first = next(iter(dataset.feedback))
        yield (
            ("feedback", first),
            "needs to have positive events and be a target, or another type: models learn from them",
        )


def _names(dataset: DataSet) -> Iterator[Broken]:
    """Names that are taken: by the fields of events, rows and answers, or by another attribute."""
    for name in dataset.feedback:
        if name in RESERVED_TYPES:
            yield ("feedback", name), f"has a name that events use themselves ({', '.join(RESERVED_TYPES)}); rename it"
    try:
        Codes(dataset.feedback)
    except ValueError as error:
        yield ("feedback",), str(error)
    for part, entities, reserved in (
        ("items", dataset.items, RESERVED_ITEMS),
        ("users", dataset.users, RESERVED_USERS),
    ):
        for name, attribute in entities.attributes.items():
            if name in reserved and attribute.kind != "title":
                yield (part, "attributes", name), f"has a name that is in use ({', '.join(reserved)}); rename it"
    taken: dict[str, str] = {}
    for name, attribute in dataset.items.attributes.items():
        singular = getattr(attribute, "singular", None) or name
        where: Location = ("items", "attributes", name)
        if singular in taken:
            yield where, f"has the singular {singular!r}, which {taken[singular]} has already; set another `singular`"
        if singular in {"user", "item"}:
            yield where, f"has the singular {singular!r}, which features use themselves; set another `singular`"
        taken[singular] = name


def _entities(dataset: DataSet, part: str, entities: Entities) -> Iterator[Broken]:
    if not entities.file:
        if entities.attributes or entities.id:
            yield (part,), "needs `file`, as it has attributes or `id`"
        return
    yield from _file(dataset, (part, "file"), entities.file)
    if entities.file not in dataset.files:
        return
    if not entities.id:
        yield (part,), "needs `id`, the column with the id"
        return
    yield from _column(dataset, (part, "id"), entities.file, entities.id)
    for name, attribute in entities.attributes.items():
        key = "flags" if len(attribute.columns) > 1 else "column"
        for column in attribute.columns:
            yield from _column(dataset, (part, "attributes", name, key), entities.file, column)


def _derived(part: str, entities: Entities) -> Iterator[Broken]:
    """Attributes that are derived from one that there is not, or from themselves; terms and titles that cannot be."""
    attributes = entities.attributes
    titles = [name for name, attribute in attributes.items() if isinstance(attribute, Title)]
    for name in titles[1:] if part == "items" else titles:
        reason = f"is a second title, after {titles[0]!r}" if part == "items" else "is a title, which only items have"
        yield (part, "attributes", name, "kind"), reason
    for name, attribute in attributes.items():
        where: Location = (part, "attributes", name)
        if attribute.term and not attribute.has_terms:
            yield (*where, "term"), "needs an attribute with values: a category, or a number with buckets"
        seen, source = {name}, attribute.of
        while source:
            if source not in attributes:
                yield (*where, "of"), f"is {attribute.of!r}, which leads to no attribute of {part}"
                break
            if source in seen:
                yield (*where, "of"), f"is {attribute.of!r}, which is derived from {name!r} itself"
                break
            if attributes[source].kind == "categories":
                yield (*where, "of"), f"is {attribute.of!r}, which has several values"
                break
            seen.add(source)
            source = attributes[source].of
