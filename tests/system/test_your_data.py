"""Two CSV files that nobody has described: from `reelstream init` to lists, by the commands of docs/your-data.md."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from offline.data import generate_shop
from settings import Settings, load
from tests.commands import command, refuse, succeed
from tests.polling import until
from tests.servers_fixture import own_environment
from tests.system.conftest import PATIENT, SMALL

PAGE = Path(__file__).parents[2] / "docs" / "your-data.md"
ACTIONS = {"view": "looked_at", "cart": "put_in_basket", "purchase": "bought"}


def write_wares(folder: Path, users: int, items: int, events: int) -> None:
    """Write a generated shop as two CSV files with other columns: no file of users, no ratings."""
    generate_shop.make(folder / "shop", users, items, events, 5)
    wares = folder / "wares"
    wares.mkdir()
    with (folder / "shop" / generate_shop.EVENTS).open() as file, (wares / "clicks.csv").open("w", newline="") as out:
        clicks = csv.writer(out, delimiter=";")
        clicks.writerow(["when", "shopper", "ware", "action"])
        for row in csv.DictReader(file):
            when = row["time"].replace("T", " ").rstrip("Z")
            clicks.writerow([when, row["visitor"], row["product"], ACTIONS[row["event"]]])
    with (wares / "wares.csv").open("w", newline="") as out:
        goods = csv.writer(out, delimiter=";")
        goods.writerow(["code", "caption", "tags", "maker", "price_eur"])
        for line in (folder / "shop" / generate_shop.PRODUCTS).read_text().splitlines():
            item = json.loads(line)
            price = "NA" if item["price"] is None else item["price"]
            goods.writerow([item["product"], item["title"], "|".join(item["categories"]), item["brand"] or "", price])


@dataclass
class Served:
    """The system that serves them.

    Attributes:
        settings: its settings.
        drafted, trained, replayed: what the commands reported.
        userid: a user whose events were replayed.
    """

    settings: Settings
    drafted: dict[str, Any]
    trained: dict[str, Any]
    replayed: dict[str, Any]
    userid: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("your-data")
    write_wares(folder, 90, 120, 4_000)
    with own_environment(folder / "state", **SMALL, **PATIENT), pytest.MonkeyPatch.context() as patch:
        patch.delenv("ML1M_DIR", raising=False)
        patch.chdir(folder)
        drafted = succeed("init", "wares", "--out", "my.toml")
        patch.setenv("REELSTREAM_DATA__DATASET", "my.toml")
        try:
            trained = succeed("train")
            assert command("up").returncode == 0
            assert command("publish", "--reset").returncode == 0
            replayed = succeed("replay", "--max")
            with (folder / "wares" / "clicks.csv").open() as file:
                *_, last = csv.DictReader(file, delimiter=";")
            yield Served(load(), drafted, trained, replayed, last["shopper"])
        finally:
            command("down")


def test_the_data_is_described_trained_on_and_replayed(served: Served) -> None:
    assert (served.drafted["events"], served.drafted["users"], served.drafted["items"]) == (4_000, 90, 120)
    assert set(served.drafted["types"]) == {*ACTIONS.values()}
    assert served.trained["run"]
    assert served.replayed["sent"] > 500 and served.replayed["failed"] == 0


def test_an_event_changes_the_list_of_a_user_with_a_text_for_an_id(served: Served) -> None:
    before = succeed("rec", served.userid)
    assert len(before["item_list"]) == 10 and not before["degraded"]
    first = before["item_list"][0]
    assert set(first) >= {"itemid", "title", "tags", "maker", "price_eur", "score"}
    position = succeed("event", served.userid, first["itemid"], "bought")
    assert position["offset"] >= 0

    def bought_is_hidden() -> bool:
        return first["itemid"] not in [item["itemid"] for item in succeed("rec", served.userid)["item_list"]]

    until(bought_is_hidden, 60)


def test_what_the_description_does_not_have_is_refused_in_one_line(served: Served) -> None:
    itemid = succeed("rec", served.userid)["item_list"][0]["itemid"]
    assert "must be one of looked_at, put_in_basket, bought" in refuse("event", served.userid, itemid, "purchase")
    assert "one of" in refuse("rate", served.userid, itemid, "5")


def test_items_come_change_and_go_by_the_commands(served: Served) -> None:
    with (Path("wares") / "wares.csv").open() as file:
        known = next(csv.DictReader(file, delimiter=";"))
    with Path("more-wares.csv").open("w", newline="") as out:
        more = csv.DictWriter(out, list(known), delimiter=";")
        more.writeheader()
        more.writerows([known | {"price_eur": "9.5"}, known | {"code": "TE-0001", "caption": "Green Tea"}])
    assert succeed("items", "import", "more-wares.csv")["items"] == 2
    tags = json.dumps(known["tags"].split("|"))
    put = succeed("items", "put", "TE-0777", "title=Marlow Green Tea", f"tags={tags}", "price_eur=9.5")
    assert len(put["positions"]) == served.settings.kafka.partitions
    withdrawn = succeed("rec", served.userid)["item_list"][0]["itemid"]
    assert succeed("items", "withdraw", withdrawn)["version"] > put["version"]

    def item(itemid: str) -> dict[str, Any]:
        answer = requests.get(f"http://127.0.0.1:{served.settings.api.port}/items/{itemid}", timeout=30)
        return answer.json() if answer.status_code == 200 else {}

    listed = ["rec", served.userid]
    until(lambda: withdrawn not in [each["itemid"] for each in succeed(*listed)["item_list"]], 60)
    until(lambda: item("TE-0001").get("title") == "Green Tea", 60, lambda: str(item("TE-0001")))
    until(lambda: item(known["code"]).get("price_eur") == 9.5, 60, lambda: str(item(known["code"])))


def test_the_state_is_that_of_the_log(served: Served) -> None:
    verified = succeed("verify")
    assert verified["differences"] == 0, verified
    assert verified["compared"]["profiles"] >= 85 and verified["events"] >= served.replayed["sent"]


def test_the_run_is_measured_against_popularity_and_item_knn(served: Served) -> None:
    figures = succeed("evaluate")
    for systems in (figures["pipeline"], figures["popularity"], figures["baselines"]["item_knn"]):
        assert 0.0 <= systems["live"]["hr@10"] <= 1.0
    assert figures["events"] > 50


def test_the_page_names_the_commands_that_were_run(served: Served) -> None:
    typed = re.findall(r"^    reelstream (\w+)", PAGE.read_text(), flags=re.MULTILINE)
    commands = ["init", "train", "evaluate", "up", "publish", "replay", "rec", "event", "rec", "verify"]
    assert typed == [*commands, "items", "items", "items"]
    assert os.environ["REELSTREAM_DATA__DATASET"] == "my.toml"
