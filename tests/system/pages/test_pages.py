"""The pages in a real browser, on the running system."""

from __future__ import annotations

import re

import pytest
import requests
from playwright.sync_api import Browser, expect

from features import Event
from tests.system.conftest import System
from tests.system.pages.browser import NARROW, WIDE, Visit

PAGES = ("live", "drift", "quality", "stream")


def test_the_address_of_the_api_leads_to_the_pages(system: System) -> None:
    answer = requests.get(system.api, timeout=10)
    assert answer.url == f"{system.api}/live"
    for page in PAGES:
        assert f'href="/{page}"' in answer.text


@pytest.mark.usefixtures("arriving")
@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_loads_without_an_error_while_ratings_arrive(
    system: System, browser: Browser, page: str, width: int, scheme: str
) -> None:
    with Visit(browser, system.api, width, scheme) as visit:
        opened = visit.open(f"/{page}")
        assert visit.fits()
        opened.wait_for_timeout(1000)
        visit.shoot(f"{page}-{width}-{scheme}")
        assert visit.troubles == []
        assert visit.fits()
        expect(opened.locator("nav a[aria-current]")).to_have_text(page.capitalize())


def test_a_page_follows_the_colours_that_its_reader_prefers(system: System, browser: Browser) -> None:
    shades = []
    for scheme in ("light", "dark"):
        with Visit(browser, system.api, scheme=scheme) as visit:
            shades.append(visit.open("/stream").evaluate("getComputedStyle(document.body).backgroundColor"))
    light, dark = (sum(map(int, re.findall(r"\d+", shade)[:3])) for shade in shades)
    assert dark < 3 * 60 < 3 * 200 < light


@pytest.mark.usefixtures("arriving")
def test_the_figures_of_the_stream_move(system: System, browser: Browser) -> None:
    with Visit(browser, system.api) as visit:
        page = visit.open("/stream")
        folded = page.locator(".tile", has_text="Folded").locator(".value span")
        expect(folded).to_have_text(re.compile(r"^[1-9]"))
        expect(page.locator(".tile", has_text="Freshness, median").locator(".value span")).to_have_text(
            re.compile(r"^\d")
        )
        written = page.locator("#workers tbody tr td.right").first
        before = written.inner_text()
        expect(written).not_to_have_text(before)
        expect(page.locator("#stores .tag.good")).to_have_count(5)
        expect(page.locator("#partitions tbody tr")).to_have_count(system.settings.kafka.partitions)


@pytest.mark.usefixtures("arriving")
def test_ratings_that_arrive_are_shown_and_lead_to_their_user(system: System, browser: Browser) -> None:
    with Visit(browser, system.api) as visit:
        page = visit.open("/live")
        someone = page.locator("#arriving button").nth(2)
        name = someone.inner_text()
        someone.click()
        expect(page.locator("#user")).to_have_value(name.removeprefix("User "))


def test_a_star_takes_the_item_off_the_list_and_the_page_says_how_long_it_took(
    system: System, browser: Browser
) -> None:
    userid = system.events[20].userid
    before = system.get(f"/users/{userid}").json()["n"]
    with Visit(browser, system.api) as visit:
        page = visit.open(f"/live?user={userid}")
        rows = page.locator("#list li")
        expect(rows).to_have_count(20)
        keys = page.eval_on_selector_all("#list li", "rows => rows.map(row => row.dataset.key)")
        rows.first.get_by_role("button", name="5 of 5").click()
        expect(page.locator("#took")).to_contain_text(re.compile(r"^[\d.]+ m?s"))
        expect(page.locator(f'#list li[data-key="{keys[0]}"]')).to_have_count(0)
        after = page.eval_on_selector_all("#list li", "rows => rows.map(row => row.dataset.key)")
        assert after[:-1] != keys[1:]
        expect(page.locator("#n")).to_have_text(str(before + 1))
        expect(page.locator("#last li").first.get_by_role("img")).to_have_attribute("aria-label", "5 of 5")
        visit.shoot("live-rated")
        assert visit.troubles == []
    assert system.get(f"/users/{userid}").json()["n"] == before + 1


def test_an_item_can_be_rated_by_keyboard(system: System, browser: Browser) -> None:
    userid = system.events[30].userid
    before = system.get(f"/users/{userid}").json()["n"]
    with Visit(browser, system.api) as visit:
        page = visit.open(f"/live?user={userid}")
        expect(page.locator("#list li")).to_have_count(20)
        page.focus("#anyone")
        page.keyboard.press("Tab")
        for _ in range(30):
            if page.evaluate("document.activeElement.closest('#list') !== null"):
                break
            page.keyboard.press("Tab")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Enter")
        expect(page.locator("#took")).to_contain_text("3 of 5")
        expect(page.locator("#n")).to_have_text(str(before + 1))


def test_the_list_changes_when_a_rating_arrives_from_elsewhere(system: System, browser: Browser) -> None:
    event = system.events[40]
    with Visit(browser, system.api) as visit:
        page = visit.open(f"/live?user={event.userid}")
        expect(page.locator("#list li")).to_have_count(20)
        first = page.locator("#list li").first.get_attribute("data-key")
        assert first is not None
        system.send_events([Event(event.userid, int(first), 1, 1_780_000_000)])
        expect(page.locator(f'#list li[data-key="{first}"]')).to_have_count(0)
        assert visit.troubles == []


def test_a_user_of_whom_nothing_is_known_gets_what_is_popular_and_is_told_so(system: System, browser: Browser) -> None:
    with Visit(browser, system.api) as visit:
        page = visit.open("/live?user=999998")
        expect(page.locator("#notice")).to_contain_text("popular")
        expect(page.locator("#list li")).to_have_count(20)
