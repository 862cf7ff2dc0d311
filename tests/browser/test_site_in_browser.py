"""The documentation as a person reads it: from the disk or from a server, and nothing is fetched from elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from docs_kit import build_site
from playwright.sync_api import Browser, expect

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(params=["disk", "server"])
def address(request: pytest.FixtureRequest, site: Path) -> Iterator[str]:
    """Where the site begins."""
    if request.param == "disk":
        yield site.as_uri()
        return
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_search_finds_and_nothing_is_fetched_from_elsewhere(browser: Browser, address: str) -> None:
    page = browser.new_page()
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{address}/how-to/look.html")
    page.locator(".md-search__input").click()
    page.keyboard.type("chunk_border")
    found = page.locator(".md-search-result__link", has_text="chunk_border").first
    expect(found).to_be_visible(timeout=15_000)
    found.click()
    page.wait_for_url(f"{address}/reference/guards.html**")
    page.close()
    assert len(requests) > 5
    assert [each for each in requests if not each.startswith(address)] == []
    assert complaints == []


def test_every_page_fits_a_phone_and_has_one_heading(browser: Browser, site: Path) -> None:
    page = browser.new_page(viewport=PHONE)
    for path in site.rglob("*.html"):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
        assert page.locator("h1").count() == 1, path
    page.close()
