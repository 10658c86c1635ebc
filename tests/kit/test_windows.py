"""A window that goes from one notebook to the next takes nothing with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.kit.chromium import FLAGS, find_chromium
from tests.kit.windows import SIZE, Windows

# all that a page may leave: in itself, in its tab, with its browser, and what it may do
LEAVE = """async () => {
  globalThis.left = 1;
  sessionStorage.left = localStorage.left = 1;
  document.cookie = 'left=1';
  await new Promise((done) => Object.assign(indexedDB.open('left'), { onsuccess: done }));
  await caches.open('left');
  await navigator.mediaDevices.getUserMedia({ video: true });
  const fetch_one = () => fetch('/left').then(fetch_one);
  void fetch_one();
}"""
LEFT = """async () => [
  globalThis.left ?? 0, sessionStorage.length, localStorage.length, document.cookie,
  (await indexedDB.databases()).length, (await caches.keys()).length,
  (await navigator.permissions.query({ name: 'geolocation' })).state,
  navigator.userActivation.hasBeenActive, innerWidth, innerHeight,
]"""


class Site(ThreadingHTTPServer):
    """Serves an empty page, and counts what is asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Empty)
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"


class Empty(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=find_chromium(), headless=True, args=list(FLAGS))
        yield chromium
        chromium.close()


def test_a_window_that_is_given_back_is_taken_again_and_has_nothing_of_before(browser: Browser, site: Site) -> None:
    windows = Windows(browser)
    page = windows.take()
    page.goto(site.url)
    fresh = page.evaluate(LEFT)
    page.context.grant_permissions(["geolocation"])
    page.set_viewport_size({"width": 400, "height": 300})
    page.evaluate(LEAVE)
    left = page.evaluate(LEFT)
    assert [was != now for was, now in zip(fresh, left, strict=True)].count(True) >= 9
    assert windows.give_back(page, f"{site.url}empty")
    asked = len(site.asked)
    assert windows.take() is page
    page.goto(site.url)
    assert page.evaluate(LEFT) == fresh
    assert page.viewport_size == SIZE
    assert "/left" not in site.asked[asked:], "the page of before still runs"
    assert windows.take() is not page


def test_one_that_is_not_alone_or_gone_is_not_taken_again(browser: Browser, site: Site) -> None:
    windows = Windows(browser)
    beside, gone = windows.take(), windows.take()
    beside.context.new_page()
    gone.close()
    assert not windows.give_back(beside, site.url)
    assert not windows.give_back(gone, site.url)
    assert windows.take() not in (beside, gone)
