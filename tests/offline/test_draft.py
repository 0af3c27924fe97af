"""Drafts of descriptions from folders of files that nobody has described."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import Schema
from features.dataset import DataSet, parse
from offline.data import draft, generate, generate_shop
from offline.data.tables import Categorical, MultiCategorical, Numeric, Tables, Texts, read
from offline.errors import DataError

USERS, ITEMS, EVENTS = 30, 40, 900
BEGIN = datetime(2023, 5, 1, tzinfo=UTC).timestamp()

Rows = list[tuple[str, str, float, str]]


def events(seed: int = 1, user: str = "k{}", item: str = "art-{}") -> Rows:
    """(user, item, seconds, type) of some events in random order."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(["looked", "bought"], EVENTS, p=(0.8, 0.2)).tolist()
    seconds = (BEGIN + rng.integers(0, 10_000_000, EVENTS)).tolist()
    users, items = rng.integers(1, USERS + 1, EVENTS).tolist(), rng.integers(1, ITEMS + 1, EVENTS).tolist()
    rows = zip(users, items, seconds, kinds, strict=True)
    return [(user.format(who), item.format(what), float(when), kind) for who, what, when, kind in rows]


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]], separator: str = ",") -> None:
    lines = [header, *rows] if header else rows
    path.write_text("".join(separator.join(map(str, line)) + "\n" for line in lines))


def goods(item: str = "art-{}") -> list[list[object]]:
    """(id, name, tags, maker, weight) of each item, some without a maker or a weight."""
    rng = np.random.default_rng(2)
    tags = ["garden", "kitchen", "gift", "outdoor"]
    return [
        [
            item.format(number),
            f"Thing number {number}",
            "|".join(sorted({tags[place] for place in rng.integers(0, 4, 2)})),
            "" if number % 7 == 0 else f"maker {number % 5}",
            "NA" if number % 9 == 0 else round(float(rng.uniform(1, 90)), 2),
        ]
        for number in range(1, ITEMS + 1)
    ]


def drafted(folder: Path) -> tuple[DataSet, Tables, draft.Draft]:
    """The draft of a folder's description, and the data as it reads it."""
    done = draft.draft(folder, folder.parent)
    dataset = parse(done.text)
    Schema(dataset)
    return dataset, read(dataset, folder), done


def assume(done: draft.Draft, *words: str) -> None:
    """Check that an assumption with these words stands in a comment of the draft."""
    comments = " ".join(line.removeprefix("# ") for line in done.text.splitlines() if line.startswith("# "))
    assert any(all(word in assumed for word in words) for assumed in done.assumed), done.assumed
    assert all(word in comments for word in words)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two CSV files with names of columns of which no word is known, string ids and no ratings."""
    folder = tmp_path / "wares"
    folder.mkdir()
    rows = [(iso(when), who, kind, what) for who, what, when, kind in events()]
    write_csv(folder / "journal.csv", ("moment_x", "who", "step", "thing"), rows, ";")
    write_csv(folder / "wares.csv", ("ref", "caption", "marks", "maker", "kg"), goods(), ";")
    return folder


def test_two_csv_files_that_nobody_has_described_are_understood(folder: Path) -> None:
    dataset, data, done = drafted(folder)
    (source,) = dataset.events
    assert (source.user, source.item, source.time, source.type) == ("who", "thing", "moment_x", "step")
    assert (dataset.users.ids, dataset.items.ids, dataset.items.id) == ("string", "string", "ref")
    assert data.types == ("looked", "bought")
    assert dataset.feedback["bought"].positive.text == "always"
    assert dataset.feedback["looked"].positive.text == dataset.feedback["looked"].negative.text == "never"
    assert (done.events, done.items, done.users) == (EVENTS, ITEMS, USERS)
    wanted = sorted((who, what, round(when)) for who, what, when, _ in events())
    ids = data.users.ids.to_pylist(), data.items.ids.to_pylist()
    columns = (data.events.user.tolist(), data.events.item.tolist(), data.events.time.tolist())
    found = ((ids[0][user], ids[1][item], time // 1_000_000) for user, item, time in zip(*columns, strict=True))
    assert sorted(found) == wanted


def test_attributes_are_found_with_what_is_missing(folder: Path) -> None:
    dataset, data, done = drafted(folder)
    kinds = {name: attribute.kind for name, attribute in dataset.items.attributes.items()}
    assert kinds == {"title": "title", "marks": "categories", "maker": "category", "kg": "number"}
    marks, maker, kg = (data.items.attributes[name] for name in ("marks", "maker", "kg"))
    assert isinstance(marks, MultiCategorical) and isinstance(maker, Categorical) and isinstance(kg, Numeric)
    assert marks.values() == [sorted(str(row[2]).split("|"), key=marks.names.index) for row in goods()]
    assert maker.values() == [row[3] or None for row in goods()]
    assert [None if np.isnan(number) else number for number in kg.numbers] == [
        None if row[4] == "NA" else row[4] for row in goods()
    ]
    assume(done, "separated by '|'")
    assume(done, "'NA' stand for a missing value")
    assume(done, "5 of 40 rows have none")


def test_every_assumption_stands_in_the_draft(folder: Path) -> None:
    _, _, done = drafted(folder)
    assume(done, "'who' names the user of an event")
    assume(done, "neither positive nor negative")
    assume(done, "positive; the item is not recommended again")
    assume(done, "no file describes users")
    assert done.text.count("# Assumed: ") == len(done.assumed)


def test_the_draft_names_the_folder_relative_to_itself(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "descriptions" / "my.toml"
    out.parent.mkdir()
    done = draft.write(folder, out)
    assert out.read_text() == done.text
    assert parse(done.text).folder == "../wares"


def test_ratings_without_a_header_are_understood(tmp_path: Path) -> None:
    generate.make(tmp_path / "data", 60, 80, 2_000, 1)
    dataset, data, done = drafted(tmp_path / "data")
    assert list(dataset.feedback) == ["rating"]
    rating = dataset.feedback["rating"]
    assert rating.value is not None and rating.value.rule() == "a whole number from 1 to 5"
    assert (rating.positive.text, rating.negative.text, rating.identity) == ("value >= 4", "value < 4", "replace")
    assert (dataset.users.ids, dataset.items.ids) == ("integer", "integer")
    assert (len(data.events), len(data.items), len(data.users)) == (2_000, 80, 60)
    assert dataset.files["movies"].separator == "::"
    kinds = {name: attribute.kind for name, attribute in dataset.items.attributes.items()}
    assert kinds == {"title": "title", "year": "number", "column_3": "categories"}
    assert {attribute.kind for attribute in dataset.users.attributes.values()} == {"category"}
    assume(done, "holds ratings of 1 to 5")
    assume(done, "its first line names no columns")


def test_the_generated_shop_is_understood(tmp_path: Path) -> None:
    generate_shop.make(tmp_path / "shop", 60, 80, 1_200, 1)
    dataset, data, done = drafted(tmp_path / "shop")
    (source,) = dataset.events
    assert (source.user, source.item, source.time, source.time_format) == ("visitor", "product", "time", "iso")
    assert data.types == ("view", "cart", "purchase")
    rules = {name: (rule.positive.text, rule.weight, rule.hides) for name, rule in dataset.feedback.items()}
    assert rules == {"view": ("never", 1.0, False), "cart": ("always", 1.0, True), "purchase": ("always", 2.0, True)}
    assert set(dataset.items.attributes) == {"title", "categories", "brand", "price"}
    assert set(dataset.users.attributes) == {"segment"}
    assert not dataset.users.complete and dataset.items.complete
    assert done.events == 1_200


def test_flags_are_one_attribute(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [(who, what, int(when)) for who, what, when, _ in events(user="{}", item="{}")]
    write_csv(folder / "plays.csv", ("user_id", "song_id", "ts"), rows)
    songs = [
        (number, f"Song {number}", number % 2, int(number % 3 == 0), int(number % 5 == 0)) for number in range(1, 41)
    ]
    write_csv(folder / "songs.csv", ("song_id", "title", "rock", "folk", "jazz"), songs)
    dataset, data, _ = drafted(folder)
    flags = data.items.attributes["flags"]
    assert isinstance(flags, MultiCategorical) and flags.names == ("rock", "folk", "jazz")
    assert list(dataset.feedback) == ["play"]
    assert dataset.feedback["play"].positive.text == "always"


def test_several_files_of_events_are_events_of_several_types(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for name, kind in (("page_views", "looked"), ("orders", "bought")):
        rows = [(who, what, iso(when)) for who, what, when, which in events() if which == kind]
        write_csv(folder / f"{name}.csv", ("customer", "sku", "at"), rows)
    dataset, data, done = drafted(folder)
    assert [source.event for source in dataset.events] == ["view", "order"]
    assert data.types == ("view", "order")
    assert len(data.events) == EVENTS
    assert dataset.feedback["order"].positive.text == "always"
    assume(done, "no file describes items")


def test_lists_of_json_and_times_of_parquet_are_understood(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = events()
    columns: Mapping[str, pa.Array] = {
        "reader": pa.array([row[0] for row in rows]),
        "story": pa.array([row[1] for row in rows]),
        "read_at": pa.array([datetime.fromtimestamp(row[2], UTC) for row in rows], pa.timestamp("ms", "UTC")),
    }
    pq.write_table(pa.table(columns), folder / "reads.parquet")
    stories = [
        {
            "story": f"art-{number}",
            "headline": f"The story {number} of",
            "topics": ["a", "b"][: number % 3],
            "words": number,
        }
        for number in range(1, ITEMS + 1)
    ]
    (folder / "stories.jsonl").write_text("".join(json.dumps(story) + "\n" for story in stories))
    _, data, _ = drafted(folder)
    topics, words, title = (data.items.attributes[name] for name in ("topics", "words", "title"))
    assert isinstance(topics, MultiCategorical) and isinstance(words, Numeric) and isinstance(title, Texts)
    assert [len(values) for values in topics.values()] == [number % 3 for number in range(1, ITEMS + 1)]
    assert words.numbers.tolist() == list(range(1, ITEMS + 1))
    assert {round(time / 1_000_000) for time in data.events.time.tolist()} == {round(row[2]) for row in rows}


TIMES = {
    "s": lambda when: str(int(when)),
    "ms": lambda when: str(int(when * 1000)),
    "us": lambda when: str(int(when * 1_000_000)),
    "iso": lambda when: datetime.fromtimestamp(when, UTC).isoformat(),
    "%d.%m.%Y %H:%M": lambda when: datetime.fromtimestamp(when, UTC).strftime("%d.%m.%Y %H:%M"),
    "%d/%m/%Y": lambda when: datetime.fromtimestamp(when, UTC).strftime("%d/%m/%Y"),
    "%m/%d/%Y %H:%M:%S": lambda when: datetime.fromtimestamp(when, UTC).strftime("%m/%d/%Y %H:%M:%S"),
    "%d-%b-%Y": lambda when: datetime.fromtimestamp(when, UTC).strftime("%d-%b-%Y"),
    "%Y%m%d": lambda when: datetime.fromtimestamp(when, UTC).strftime("%Y%m%d"),
}


@settings(max_examples=40)
@given(
    name=st.sampled_from(sorted(TIMES)),
    separator=st.sampled_from([",", ";", "\t", "|", "::"]),
    order=st.permutations([0, 1, 2, 3]),
    kinds=st.sampled_from(["k{}", "{}"]),
    seed=st.integers(0, 100),
)
def test_any_separator_format_of_times_and_order_of_columns_is_understood(
    tmp_path_factory: pytest.TempPathFactory, name: str, separator: str, order: list[int], kinds: str, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    header = ("customer", "product", "time", "action")
    rows = [(who, what, TIMES[name](when), kind) for who, what, when, kind in events(seed, kinds, kinds)]
    picked = [[row[place] for place in order] for row in rows]
    write_csv(folder / "log.txt", [header[place] for place in order], picked, separator)
    dataset, data, _ = drafted(folder)
    (source,) = dataset.events
    assert (source.user, source.item, source.time, source.type) == header
    assert source.time_format == name
    assert dataset.users.ids == dataset.items.ids == ("integer" if kinds == "{}" else "string")
    ids = data.users.ids.to_pylist()
    assert [str(ids[place]) for place in data.events.user.tolist()] == [row[0] for row in rows]


LOG = "user,item,time\n" + "".join(f"u{n % 12},i{n % 20},{1_700_000_000 + n}\n" for n in range(200))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no CSV, Parquet or JSON lines file with a table"),
        ({"notes.md": "# Notes\nA line, and more, of text\n"}, "holds no CSV, .*: notes.md has lines with different"),
        ({"log.csv": LOG.replace("time", "size").replace(",17000", ",")}, "no column of log.csv can hold the times of"),
        ({"log.csv": "time\n1700000000\n1700000001\n"}, "log.csv has lines with different .*, or a single value"),
        ({"log.csv": "time,what\n1700000000,a\n1700000001,b\n"}, "log.csv has times, but no two columns that can hold"),
        (
            {"log.csv": LOG, "items.csv": "item,name\n" + "".join(f"i{n % 19},Thing {n}\n" for n in range(20))},
            "items.csv, line 21: item i0 is on line 2 already; keep one",
        ),
        ({"a.parquet": "PAR1 and no more"}, "a.parquet is a damaged Parquet file"),
        ({"log.csv": LOG.replace("u3,i3", ",i3", 1)}, "log.csv, line 5: user must be an id of 1 to 128 characters"),
        ({"log.csv": LOG.replace("1700000003", "", 1)}, r"log.csv, line 5: time must be a number \(s since 1970\)"),
        ({"log.csv": "", "other.csv": "\n"}, "log.csv is empty; other.csv is empty"),
        ({"a.json": '{"a": 1}\n[2]\n'}, "a.json holds no JSON object on each line"),
    ],
)
def test_what_cannot_be_drafted_is_told_in_one_sentence_and_nothing_is_written(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(DataError, match=message) as told:
        draft.write(folder, tmp_path / "my.toml")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "my.toml").exists()


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("there.toml", "there.toml exists already; give another file"),
        ("my.txt", "my.txt must end in .toml"),
        ("nowhere/my.toml", "there is no folder .*nowhere to write my.toml into"),
    ],
)
def test_a_place_for_the_draft_that_does_not_do_is_refused(tmp_path: Path, out: str, message: str) -> None:
    (tmp_path / "there.toml").write_text("kept")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "log.csv").write_text(LOG)
    with pytest.raises(DataError, match=message):
        draft.write(tmp_path / "data", tmp_path / out)
    assert (tmp_path / "there.toml").read_text() == "kept"


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere is not a folder"):
        draft.write(tmp_path / "nowhere", tmp_path / "my.toml")
