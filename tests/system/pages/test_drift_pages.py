"""Drift and quality as the pages show them, while the stream changes."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, expect

from stores import DriftStore
from tests.polling import until
from tests.system.conftest import System
from tests.system.pages.browser import NARROW, Visit
from tests.system.test_drift import WITHIN_S, send, send_inverted, start_over

LATE_MS = 60_000
"""Longest wait, in milliseconds, for what the stream has to count first."""


def test_an_alarm_of_inverted_ratings_appears_on_the_open_page(system: System, browser: Browser) -> None:
    start_over(system)
    with Visit(browser, system.api) as visit:
        page = visit.open("/drift")
        expect(page.locator("#empty")).to_be_visible()
        label = send_inverted(system)
        alarm = page.locator("#alarms li", has_text=label).first
        expect(alarm.locator(".tag")).to_have_text("open", timeout=LATE_MS)
        expect(page.locator("#empty")).to_be_hidden()

        alarm.get_by_role("button", name=label).click()
        expect(page.locator("#series")).to_have_text(label)
        expect(page.locator("#verdict")).to_have_text(re.compile(r"^\d\.\d\d: .+; normal is under \d\.\d\d$"))
        expect(page.locator("#histogram .bars .point").first).to_be_visible()
        expect(page.locator("#timeline .scatterlayer .trace")).to_have_count(2)
        row = page.locator(f'#heat .row[data-key="{label}"]')
        expect(row).to_have_attribute("aria-selected", "true")
        expect(row.locator(".cells i").last).to_have_attribute("data-heat", re.compile("[234]"))
        visit.shoot("drift-inverted")
        assert visit.troubles == []


def test_the_series_are_walked_by_keyboard_and_sorted_worst_first(system: System, browser: Browser) -> None:
    store = DriftStore(system.profiles.client)
    if store.now() is None:
        send(system)
        until(store.now, WITHIN_S)
    system.wait_for_drift()
    with Visit(browser, system.api) as visit:
        page = visit.open("/drift")
        rows = page.locator("#heat .row")
        expect(rows.first).to_be_visible()
        rows.first.focus()
        page.keyboard.press("ArrowDown")
        expect(rows.nth(1)).to_be_focused()
        expect(page.locator("#series")).to_have_text(str(rows.nth(1).get_attribute("data-key")))

        def worst_first() -> bool:
            """Compare the page, which asks once a second, with what drift has written by now."""
            now = store.now()
            assert now is not None
            worst = [series.name for series in sorted(now.series, key=lambda series: series.ratio, reverse=True)]
            shown = [row.get_attribute("data-key") for row in rows.all()]
            return shown == worst[: len(shown)]

        until(worst_first, WITHIN_S)
        page.locator("label", has_text="Likes").click()
        expect(page.locator('#heat .row[data-key="label"]')).to_be_visible()
        expect(page.locator('#heat .row[data-key="item_year"]')).to_have_count(0)


def test_a_page_that_still_shows_what_a_reset_has_deleted_asks_without_an_error(
    system: System, browser: Browser
) -> None:
    store = start_over(system)
    send(system)
    system.wait_for_drift()
    until(store.now, WITHIN_S)
    with Visit(browser, system.api) as visit:
        page = visit.open("/drift")
        rows = page.locator("#heat .row")
        expect(page.locator("#histogram .bars .point").first).to_be_visible(timeout=LATE_MS)
        system.profiles.client.delete("{drift}:histograms")
        with page.expect_response(re.compile("/pages/data/histogram")) as asked:
            rows.nth(1).click()
        assert asked.value.json() is None
        expect(page.locator("#series")).to_have_text(str(rows.nth(1).get_attribute("data-key")))
        assert visit.troubles == []


def test_the_quality_of_the_stream_stands_beside_that_at_training(system: System, browser: Browser) -> None:
    start_over(system)
    with Visit(browser, system.api, NARROW) as visit:
        page = visit.open("/quality")
        send(system, rate=60.0)
        card = page.locator('#figures > [data-key="logloss"]')
        expect(card.locator(".value span")).to_have_text(re.compile(r"^\d\.\d{3}$"), timeout=LATE_MS)
        expect(card.locator("small")).to_have_text(re.compile(r"^\d\.\d{3} at training$"))
        expect(page.locator("#how")).to_contain_text("scored")
        visit.shoot("quality-narrow")
        assert visit.fits()
        assert visit.troubles == []
