"""Beyond the loopback address the pages ask for a token, and show nothing before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.system.conftest import System
from tests.system.pages.browser import Visit
from tests.system.second_api import public_api


@pytest.fixture(scope="module")
def public(system: System) -> Iterator[str]:
    with public_api(system) as address:
        yield address


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def test_a_page_asks_for_a_token_and_goes_on_where_it_was_asked_for(public: str, browser: Browser) -> None:
    with Visit(browser, public) as visit:
        page = visit.page
        page.goto("/stream")
        expect(page).to_have_url(f"{public}/sign-in?page=stream")
        sign_in(page, "wrong")
        expect(page.get_by_role("alert")).to_contain_text("Unknown token")
        sign_in(page, "reader")
        expect(page).to_have_url(f"{public}/stream")
        page.wait_for_selector("#pulse[data-state=live]")
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(f"{public}/sign-in")
        page.goto("/drift")
        expect(page).to_have_url(f"{public}/sign-in?page=drift")


def test_the_token_is_kept_where_scripts_and_other_sites_do_not_get_it(public: str, browser: Browser) -> None:
    with Visit(browser, public) as visit:
        page = visit.page
        page.goto("/live")
        sign_in(page, "writer")
        page.wait_for_selector("#pulse[data-state=live]")
        (cookie,) = visit.cookies()
        assert (cookie["value"], cookie["httpOnly"], cookie["sameSite"]) == ("writer", True, "Strict")
        assert page.evaluate("document.cookie") == ""
        assert "writer" not in page.content()
        assert visit.troubles == []


def test_only_who_may_write_sees_stars(system: System, public: str, browser: Browser) -> None:
    for token, stars in (("reader", False), ("writer", True)):
        with Visit(browser, public) as visit:
            page = visit.page
            page.goto("/live")
            sign_in(page, token)
            visit.open(f"/live?user={system.events[0].userid}")
            expect(page.locator("#list li")).to_have_count(20)
            assert (page.locator("#list .rate").count() > 0) == stars


def test_without_a_token_there_is_a_form_and_nothing_of_what_it_guards(public: str) -> None:
    html = {"Accept": "text/html"}
    for path in ("/", "/live", "/drift", "/quality", "/stream", "/pages/static/live.js", "/pages/plotly.js"):
        answer = requests.get(public + path, headers=html, timeout=10, allow_redirects=False)
        assert answer.status_code == 302, path
        assert answer.headers["Location"].startswith("/sign-in"), path
    form = requests.get(f"{public}/sign-in", timeout=10)
    assert "<script" not in form.text
    assert form.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_signing_in_leads_to_pages_of_this_api_alone(public: str) -> None:
    answer = requests.post(
        f"{public}/sign-in?page=https://elsewhere.example", {"token": "reader"}, timeout=10, allow_redirects=False
    )
    assert answer.headers["Location"] == "/live"
