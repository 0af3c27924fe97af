"""Headless Chromium, and what a page must not do in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

from tests.programs import required_program

NAMES = "chromium chromium-browser google-chrome google-chrome-stable"
WIDE, NARROW = 1280, 390
SHOTS = Path(__file__).resolve().parents[3] / ".artifacts" / "pages"
"""Folder of screenshots; not under version control."""

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser."""
    with sync_playwright() as playwright:
        program = required_program(NAMES, "the pages", "chromium", "REELSTREAM_TEST_CHROMIUM")
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page opened by somebody, in a session of their own.

    Args:
        browser: a running browser.
        api: address of the API.
        width: of the window, in pixels.
        scheme: light or dark.

    Attributes:
        page: Playwright's page.
        troubles: errors on the console, errors in scripts, requests that failed and requests to other addresses.
    """

    def __init__(self, browser: Browser, api: str, width: int = WIDE, scheme: str = "light") -> None:
        self.api = api
        self.width = width
        self.troubles: list[str] = []
        self._context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
            base_url=api,
        )
        self._context.set_default_timeout(15_000)
        self.page: Page = self._context.new_page()
        self.page.on(
            "console",
            lambda said: self._trouble(
                said.type in ("error", "warning"), f"console: {said.text} {said.location.get('url', '')}"
            ),
        )
        self.page.on("pageerror", lambda error: self._trouble(True, f"script: {error}"))
        self.page.on("requestfailed", lambda asked: self._trouble(True, f"failed: {asked.url} {asked.failure}"))
        self.page.on("request", lambda asked: self._trouble(not self._ours(asked.url), f"elsewhere: {asked.url}"))

    def __enter__(self) -> Visit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._context.close()

    def open(self, path: str) -> Page:
        """Go to a page and wait until it is live."""
        self.page.goto(path)
        self.page.wait_for_selector("#pulse[data-state=live]")
        return self.page

    def shoot(self, name: str) -> None:
        """Keep a screenshot."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    def fits(self) -> bool:
        """Return True if nothing is wider than the window."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"))

    def cookies(self) -> list[dict[str, object]]:
        """The cookies of the session."""
        return [dict(cookie) for cookie in self._context.cookies()]

    def _trouble(self, is_one: bool, what: str) -> None:
        if is_one:
            self.troubles.append(what)

    def _ours(self, url: str) -> bool:
        parts = urlsplit(url)
        return parts.scheme in ("data", "blob") or f"{parts.scheme}://{parts.netloc}" == self.api
