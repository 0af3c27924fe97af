"""Drafts of descriptions of odd data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from features.dataset import PointInTime
from offline.data.tables import Texts
from tests.offline.test_draft import EVENTS, ITEMS, assume, drafted, events, folder, goods, iso, write_csv

__all__ = ["folder"]
"""A fixture."""


def test_numbers_with_leading_zeros_are_texts(tmp_path: Path) -> None:
    write_csv(
        tmp_path / "log.csv",
        ("user", "item", "time"),
        [(who.zfill(4), what, int(when)) for who, what, when, _ in events(user="{}", item="{}")],
    )
    dataset, _, _ = drafted(tmp_path)
    assert (dataset.users.ids, dataset.items.ids) == ("string", "integer")


def test_few_events_of_each_user_are_split_by_time(tmp_path: Path) -> None:
    rows = [(f"u{place // 4}", what, int(when)) for place, (_, what, when, _) in enumerate(events())]
    write_csv(tmp_path / "log.csv", ("user", "item", "time"), rows)
    dataset, data, done = drafted(tmp_path)
    assert isinstance(dataset.split, PointInTime)
    later = data.events.time >= dataset.split.at.timestamp() * 1_000_000
    assert 0.19 < later.mean() < 0.21
    assume(done, "most users have few events")


def test_where_several_columns_may_hold_times_the_one_taken_is_named(tmp_path: Path) -> None:
    rows = [(who, what, iso(when), iso(when + 60)) for who, what, when, _ in events()]
    write_csv(tmp_path / "log.csv", ("user", "item", "time", "delivered"), rows)
    dataset, _, done = drafted(tmp_path)
    assert dataset.events[0].time == "time"
    assume(done, "'time' is when an event happened", "delivered holds times too")


def test_sessions_are_not_taken_for_users(tmp_path: Path) -> None:
    rows = [(f"s{place // 3}", who, what, int(when)) for place, (who, what, when, _) in enumerate(events())]
    write_csv(tmp_path / "log.csv", ("user_session", "user_id", "product_id", "event_time"), rows)
    dataset, _, _ = drafted(tmp_path)
    assert dataset.events[0].user == "user_id"


def test_sentences_are_texts_and_no_list_of_values(tmp_path: Path) -> None:
    rows = [(who, what, int(when)) for who, what, when, _ in events()]
    write_csv(tmp_path / "log.csv", ("user", "item", "time"), rows)
    words = ["well", "made", "and", "solid", "a", "bit", "heavy", "lovely", "for", "any", "home"]
    rng = np.random.default_rng(3)
    items = [
        {
            "item": f"art-{number}",
            "name": f"Thing {number}",
            "about": ", ".join(" ".join(rng.choice(words, 6)) for _ in range(3)),
        }
        for number in range(1, ITEMS + 1)
    ]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    dataset, _, _ = drafted(tmp_path)
    assert dataset.items.attributes["about"].kind == "text"


def test_names_that_are_in_use_are_changed(tmp_path: Path) -> None:
    rows = [(who, what, int(when), {"looked": "Title", "bought": "value"}[kind]) for who, what, when, kind in events()]
    write_csv(tmp_path / "log.csv", ("user", "item", "time", "event"), rows)
    goods_ = [(row[0], row[1], f"s{place % 4}", place % 3) for place, row in enumerate(goods())]
    write_csv(tmp_path / "items.csv", ("item", "name", "score", "User"), goods_)
    dataset, data, _ = drafted(tmp_path)
    assert set(data.types) == {"event_title", "event_value"}
    assert set(dataset.items.attributes) == {"title", "of_score", "of_user"}


def test_an_attribute_and_the_singular_of_another_have_different_names(tmp_path: Path) -> None:
    rows = [(who, what, int(when)) for who, what, when, _ in events()]
    write_csv(tmp_path / "log.csv", ("user", "item", "time"), rows)
    write_csv(
        tmp_path / "items.csv",
        ("item", "name", "tag", "tags"),
        [(*row[:2], f"t{len(str(row[1])) % 3}", row[2]) for row in goods()],
    )
    dataset, _, _ = drafted(tmp_path)
    assert set(dataset.items.attributes) == {"title", "tag", "tags"}


@pytest.mark.parametrize(
    ("texts", "types"),
    [
        (("View", "view", "Purchase"), {"view", "purchase"}),
        (("просмотр", "покупка", "возврат"), {"type_1", "type_2", "type_3"}),
        (("1", "2", "4"), {"event_1", "event_2", "event_4"}),
        (("add to cart", "remove from cart", "page view"), {"add_to_cart", "remove_from_cart", "page_view"}),
    ],
)
def test_types_get_names_of_their_own_whatever_the_texts(
    tmp_path: Path, texts: tuple[str, str, str], types: set[str]
) -> None:
    rows = [
        (who, what, int(when), texts[place % 6 // 3 + (place % 6 == 5)])
        for place, (who, what, when, _) in enumerate(events())
    ]
    write_csv(tmp_path / "log.csv", ("user", "item", "time", "event_type"), rows)
    dataset, data, _ = drafted(tmp_path)
    assert set(dataset.feedback) == types
    assert np.bincount(data.events.type).sum() == EVENTS
    if "remove_from_cart" in types:
        assert dataset.feedback["remove_from_cart"].negative.text == "always"


def test_amounts_are_no_ratings(tmp_path: Path) -> None:
    rows = [(who, what, int(when), place % 5 + 1) for place, (who, what, when, _) in enumerate(events())]
    write_csv(tmp_path / "orders.csv", ("user", "item", "time", "pieces"), rows)
    dataset, _, _ = drafted(tmp_path)
    assert list(dataset.feedback) == ["order"]
    (tmp_path / "orders.csv").rename(tmp_path / "log.csv")
    assert list(drafted(tmp_path)[0].feedback) == ["rating"]
    write_csv(tmp_path / "log.csv", ("user", "item", "time", "quantity"), rows)
    assert list(drafted(tmp_path)[0].feedback) == ["interaction"]


def test_numbers_with_decimal_commas_are_left_out(tmp_path: Path) -> None:
    rows = [(who, what, int(when)) for who, what, when, _ in events()]
    write_csv(tmp_path / "log.csv", ("user", "item", "time"), rows, ";")
    priced = [(f"art-{number}", f"Thing {number}", f"{number % 6},50") for number in range(1, ITEMS + 1)]
    write_csv(tmp_path / "items.csv", ("item", "name", "price"), priced, ";")
    dataset, _, done = drafted(tmp_path)
    assert set(dataset.items.attributes) == {"title"}
    assume(done, "'price' is left out: numbers with a decimal comma")


def test_days_that_could_be_months_are_named(tmp_path: Path) -> None:
    rows = [
        (who, what, f"{place % 12 + 1:02}/{place % 7 + 1:02}/2023") for place, (who, what, *_) in enumerate(events())
    ]
    write_csv(tmp_path / "log.csv", ("user", "item", "date"), rows)
    dataset, _, done = drafted(tmp_path)
    assert dataset.events[0].time_format == "%d/%m/%Y"
    assume(done, "in 'date' the day comes first")


def test_quotes_within_values_and_empty_lines_at_the_end_are_read(tmp_path: Path) -> None:
    rows = [(who, what, int(when)) for who, what, when, _ in events()]
    write_csv(tmp_path / "log.csv", ("user", "item", "time"), rows)
    (tmp_path / "log.csv").write_text((tmp_path / "log.csv").read_text().replace("\n", "\r\n") + "\r\n\r\n")
    quoted = [(f"art-{number}", f'A "{number}" inch, thing', number) for number in range(1, ITEMS + 1)]
    (tmp_path / "items.tsv").write_text(
        "item\tname\tsize\n" + "".join("\t".join(map(str, row)) + "\n" for row in quoted)
    )
    _, data, done = drafted(tmp_path)
    assert done.events == EVENTS
    title = data.items.attributes["title"]
    assert isinstance(title, Texts) and title.texts == tuple(row[1] for row in quoted)


def test_events_of_items_that_the_file_lacks_are_kept(folder: Path) -> None:
    rows = [row for row in goods() if row[0] != "art-3"]
    write_csv(folder / "wares.csv", ("ref", "caption", "marks", "maker", "kg"), rows, ";")
    dataset, data, done = drafted(folder)
    assert not dataset.items.complete
    assert len(data.items) == ITEMS
    assume(done, "events name 1 items that the file lacks")
