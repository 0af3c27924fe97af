"""A page says what is away, and goes on."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.system.conftest import System
from tests.system.pages.browser import Visit
from tests.system.test_degraded import without


@pytest.mark.parametrize(("part", "name"), [("elasticsearch", "Elasticsearch"), ("redis", "Redis")])
def test_the_stream_names_a_store_that_is_away_and_shows_it_again_when_it_is_back(
    system: System, browser: Browser, part: str, name: str
) -> None:
    with Visit(browser, system.api) as visit:
        page = visit.open("/stream")
        expect(page.locator("#stores .tag.good")).to_have_count(5)
        with without(system, part):
            expect(page.locator("#notice")).to_contain_text(f"Not answering: {name}")
            expect(page.locator("#stores tr", has_text=name).locator(".tag")).to_have_text("down")
            visit.shoot(f"stream-without-{part}")
            expect(page.locator("#pulse")).to_have_attribute("data-state", "live")
        expect(page.locator("#stores .tag.good")).to_have_count(5)
        expect(page.locator("#notice")).to_be_hidden()
        assert visit.troubles == []


def test_a_list_made_without_a_store_says_so(system: System, browser: Browser) -> None:
    with Visit(browser, system.api) as visit:
        with without(system, "elasticsearch"):
            page = visit.open(f"/live?user={system.events[0].userid}")
            expect(page.locator("#notice")).to_contain_text("elasticsearch")
            expect(page.locator("#list li")).to_have_count(20)
        assert visit.troubles == []
