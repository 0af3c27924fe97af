"""The pages in the terms of a shop, in a real browser, which show any text of the data set as it is."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, expect

from drift import Series
from drift.records import Alarm, DriftNow, DriftUpdate, DriftWindow, QualityWindow, Segment, SeriesHistogram, SeriesNow
from stores import DriftStore, connect
from tests.api.conftest import MARKUP, USER, ShopApi
from tests.shop import SCHEMA
from tests.system.pages.browser import NARROW, WIDE, Visit, chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
def test_the_page_live_speaks_of_events_and_shows_any_text_as_it_is(
    shop_api: ShopApi, browser: Browser, width: int, scheme: str
) -> None:
    with Visit(browser, shop_api.address, width, scheme) as visit:
        page = visit.open(f"/live?user={quote(USER, safe='')}")
        expect(page.locator("#user")).to_have_value(USER)
        expect(page.locator("h1 + p")).to_have_text("Send an event, and the next list reflects it.")
        expect(page.locator("#last-title")).to_have_text("Last events")
        expect(page.locator("#profile dt").first).to_have_text("events")
        expect(page.locator("#last li").first).to_have_text("ï 2%view")
        expect(page.locator("#last li").last).to_have_text(f"Spade {MARKUP}view")
        expect(page.locator("#kinds li").first).to_have_text("view2")
        expect(page.locator("#leanings li", has_text="brand 1")).to_be_visible()
        expect(page.locator("#notice")).to_contain_text("elasticsearch")
        row = page.locator("#list li", has_text="Toy").first
        expect(row.locator(".values")).to_have_text(re.compile(r"^toys · brand 3 · price \d+$"))
        expect(row.get_by_role("button")).to_have_text(["view", "cart", "purchase"])
        assert page.locator("main img").count() == 0
        assert page.title() == "Live · reelstream"
        assert visit.fits()
        visit.shoot(f"shop-live-{width}-{scheme}")
        assert visit.troubles == []


def test_an_event_is_sent_from_the_list_and_arrives(shop_api: ShopApi, browser: Browser) -> None:
    before = len(shop_api.log())
    with Visit(browser, shop_api.address) as visit:
        page = visit.open(f"/live?user={quote(USER, safe='')}")
        row = page.locator("#list li", has_text="Toy").first
        title = row.locator(".name").inner_text()
        row.get_by_role("button", name="cart").click()
        expect(page.locator("#took")).to_contain_text(f"{title}: cart, in the log after")
        expect(page.locator("#arriving li").first).to_contain_text(f"User {USER} {title}")
        expect(page.locator("#arriving li").first.locator(".tag")).to_have_text("cart")
        assert page.locator("main img").count() == 0
        assert visit.troubles == []
    assert len(shop_api.log()) == before + 1


def test_a_user_who_arrives_is_shown_by_a_click_whatever_the_id(shop_api: ShopApi, browser: Browser) -> None:
    userid = "50% off/<b>&#39;"
    answer = shop_api.post("/events", {"userid": userid, "itemid": MARKUP, "event": "purchase"})
    assert answer.status_code == 202
    with Visit(browser, shop_api.address) as visit:
        page = visit.open("/live")
        page.get_by_role("button", name=f"User {userid}", exact=True).first.click()
        expect(page.locator("#user")).to_have_value(userid)
        expect(page.locator("#notice")).to_have_text(f"User {userid} is not known yet; these items are popular.")
        expect(page.locator("#profile")).to_have_text("This user is not known yet.")
        assert visit.troubles == []


def drifted(series: str, label: str) -> DriftUpdate:
    """The findings of drift: one window, in which a series has shifted."""
    now = time.time()
    known = SeriesNow(
        name=series,
        kind="label",
        n=1000,
        psi=0.5,
        threshold=0.1,
        js=0.2,
        missing=0.0,
        out_of_range=0.0,
        alarm_since=1000,
    )
    alarm = Alarm(
        series=series, detector="psi", opened=1000, opened_wall_ts=now, opened_event_ts=400, value=0.5, threshold=0.1
    )
    window = DriftWindow(events=1000, wall_ts=now, event_ts=400, psi={series: 0.5}, threshold={series: 0.1})
    figures = Segment(scored=50, auc=0.7, logloss=0.5, label_rate=0.3)
    quality = QualityWindow(
        events=1000,
        wall_ts=now,
        event_ts=400,
        run=label,
        seen=1000,
        scored=500,
        listed=100,
        sampling=0.5,
        auc=0.7,
        logloss=0.5,
        segments={f"history:{n}": figures for n in ("20-99", "under 20")}
        | {"segment:regular": figures, f"segment:{label}": figures, "segment:new": figures},
    )
    return DriftUpdate(
        now=DriftNow(events=1000, wall_ts=now, event_ts=400, window=1000, run=label, series=[known]),
        histograms=[SeriesHistogram(name=series, labels=[label, "1"], reference=[0.6, 0.4], now=[0.2, 0.8])],
        windows=[window],
        opened=[alarm],
        quality=[quality],
    )


@pytest.fixture
def with_drift(shop_api: ShopApi) -> ShopApi:
    """The shop after drift in a series of its own; a run, a bin and a segment have markup in their names."""
    store = DriftStore(connect(shop_api.settings.redis))
    assert "label:toys" in Series(SCHEMA).names
    store.start_over(0)
    store.write(0, 1, drifted("label:toys", MARKUP))
    return shop_api


def test_drift_and_quality_are_shown_by_the_series_and_segments_of_the_shop(
    with_drift: ShopApi, browser: Browser
) -> None:
    with Visit(browser, with_drift.address) as visit:
        page = visit.open("/drift")
        expect(page.locator("h1 + p")).to_contain_text("scores and events compared")
        expect(page.locator("#series")).to_have_text("label:toys")
        expect(page.locator("#meaning")).to_have_text("1 where an event of the category toys is positive, else 0.")
        expect(page.locator("#histogram .xtick text").first).to_have_text(MARKUP)
        expect(page.locator("#alarms li", has_text="label:toys").first).to_be_visible()
        visit.shoot("shop-drift")
        page = visit.open("/quality")
        expect(page.locator("h1 + p")).to_have_text("Events are predicted before the system learns from them.")
        expect(page.locator("#segments tbody tr td:first-child")).to_have_text(
            [
                *(f"segment {MARKUP}", "segment new", "segment regular"),
                *("Users with under 20 events", "Users with 20-99 events"),
            ]
        )
        expect(page.locator("#how")).to_contain_text("scored events")
        assert page.locator("main img").count() == 0
        visit.shoot("shop-quality")
        assert visit.troubles == []


def test_the_stream_is_one_of_events(shop_api: ShopApi, browser: Browser) -> None:
    with Visit(browser, shop_api.address) as visit:
        page = visit.open("/stream")
        expect(page.locator("h1 + p")).to_have_text("Events on their way from the log to the lists.")
        assert visit.troubles == []
