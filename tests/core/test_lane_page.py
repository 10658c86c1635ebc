"""The page the core serves itself: who gets it, what it may do, and what its ticket opens."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from lknb.core.capture import Captures
from lknb.core.lane import PROTOCOL, TICKET_PREFIX, LaneServer
from lknb.core.lane_ticket import LINK_LIFETIME_S, OWN_ORIGIN, TAB_VIEW
from lknb.core.message import decode_message, encode_message
from tests.kit.poll import wait_until

STYLE = "body { margin: 0 }"
SCRIPT = 'const brace = "{}"; // as it is'


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Answer:
    """What a browser gets."""

    status: int
    headers: Mapping[str, str]
    text: str
    port: int


class Page:
    """The camera page, or one in a notebook, on its lane."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, **header: Any) -> None:
        await self.socket.send_bytes(encode_message(header))

    async def hear(self) -> dict[str, Any]:
        message = await self.socket.receive(timeout=10)
        assert message.type is aiohttp.WSMsgType.BINARY, message
        return decode_message(message.data)[0]

    async def greet(self, *, able: bool = True) -> None:
        assert await self.hear() == {"type": "open"}
        await self.say(type="hello", lane="direct", client="page", codecs=["vp8", "opus"], captures=[], able=able)


class Bench:
    """A core's lanes with one room, and browsers that come to it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.rooms = {1}
        self.events: list[dict[str, Any]] = []
        self.captures = Captures(
            lambda room: room in self.rooms,
            lambda header, buffers: self.events.append(header),
            lambda *_: False,
            lambda room, view: self.server.link(room, view),
        )
        self.server = LaneServer(
            lambda room, sid: None,
            kinds={"capture": self.captures},
            on_event=lambda header, buffers: self.events.append(header),
            clock=self.clock,
        )
        self.server.own_page.fill(STYLE, SCRIPT)
        self.http = aiohttp.ClientSession()

    async def link(self) -> tuple[int, str]:
        return await wait_until(lambda: self.server.link(1, TAB_VIEW))

    async def get(self, path: str = "/capture", *, host: str = "", method: str = "GET") -> Answer:
        port, _ = await self.link()
        headers = {"Host": host.format(port=port)} if host else {}
        async with self.http.request(method, f"http://127.0.0.1:{port}{path}", headers=headers) as answer:
            return Answer(answer.status, answer.headers, await answer.text(), port)

    async def dial(self, port: int, ticket: str, *, origin: str = "", host: str = "") -> Page:
        headers = {"Host": host} if host else {}
        socket = await self.http.ws_connect(
            f"ws://127.0.0.1:{port}/",
            protocols=(PROTOCOL, TICKET_PREFIX + ticket),
            origin=origin or f"http://127.0.0.1:{port}",
            headers=headers,
        )
        return Page(socket)

    async def close(self) -> None:
        await self.http.close()
        await self.server.close()


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.close()


async def test_the_page_is_one_document_that_may_do_what_it_needs(bench: Bench) -> None:
    answer = await bench.get()
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    text = answer.text
    assert SCRIPT in text
    assert STYLE in text
    assert not re.search(r"\son\w+=", text), "no handler stands in the markup"
    assert not re.search(r"(?:src|href)=.?https?:", text), "nothing is loaded from anywhere"
    policy = answer.headers["Content-Security-Policy"]
    for part in (SCRIPT, STYLE):
        assert "sha256-" + base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() in policy
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == rules["frame-ancestors"] == "'none'"
    assert "unsafe" not in policy
    assert rules["connect-src"] == f"'self' ws://127.0.0.1:{answer.port}"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "host", ["localhost:{port}", "127.0.0.1:{port}", "localhost:40001", "[::1]:{port}", "localhost"]
)
async def test_it_may_be_asked_for_by_the_names_of_this_machine_and_by_a_forwarded_port(
    bench: Bench, host: str
) -> None:
    assert (await bench.get(host=host)).status == 200


HOSTILE = (
    "evil.example", "evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example:{port}", "localhost:80:80",
    "evil.example#localhost", "127.0.0.1@evil.example", "localhost;x", "0.0.0.0:{port}", "localhost:123456",
)  # fmt: skip


@pytest.mark.parametrize("host", HOSTILE)
async def test_a_name_that_was_made_to_point_here_gets_nothing(bench: Bench, host: str) -> None:
    answer = await bench.get(host=host)
    assert answer.status == 421
    assert SCRIPT not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/capture/",
        "/capture/../capture2",
        "//capture",
        "/CAPTURE",
        "/capture.js",
        "/capture?ticket=1",
        "/favicon.ico",
    ],
)
async def test_there_is_no_other_page(bench: Bench, path: str) -> None:
    answer = await bench.get(path)
    assert answer.status in (403, 404)
    assert SCRIPT not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_it_can_only_be_looked_at(bench: Bench, method: str) -> None:
    answer = await bench.get(method=method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"


async def test_a_look_without_the_body_shows_that_somebody_is_there(bench: Bench) -> None:
    answer = await bench.get(method="HEAD")
    assert (answer.status, answer.text) == (200, "")


async def test_there_is_none_before_the_kernel_has_told_its_parts(bench: Bench) -> None:
    from lknb.core.lane_page import OwnPage

    bench.server.own_page = OwnPage()
    assert (await bench.get()).status == 404


async def test_a_ticket_opens_one_lane_to_the_room(bench: Bench) -> None:
    port, ticket = await bench.link()
    page = await bench.dial(port, ticket)
    await page.greet()
    await wait_until(
        lambda: any(event.get("lane") == "direct" for event in bench.events), what="the kernel knows of it"
    )
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await bench.dial(port, ticket)
    assert refusal.value.status == 403
    await page.socket.close()


async def test_a_ticket_is_good_for_a_while_and_for_a_room_that_is_there(bench: Bench) -> None:
    port, late = await bench.link()
    bench.clock.now += LINK_LIFETIME_S
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await bench.dial(port, late)
    assert refusal.value.status == 403
    port, ticket = await bench.link()
    bench.rooms.clear()
    page = await bench.dial(port, ticket)
    assert await page.hear() == {"type": "open"}
    assert (await page.socket.receive()).type is aiohttp.WSMsgType.CLOSE
    assert page.socket.close_code == 1000
    assert bench.events == []


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example", ""),
        ("http://evil.example", "evil.example"),
        ("http://127.0.0.1:1", ""),
        ("https://127.0.0.1:{port}", ""),
        ("null", ""),
        (OWN_ORIGIN + "/", ""),
    ],
)
async def test_a_ticket_that_was_found_is_of_no_use_to_another_page(bench: Bench, origin: str, host: str) -> None:
    port, ticket = await bench.link()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await bench.dial(port, ticket, origin=origin.format(port=port), host=host)
    assert refusal.value.status == 403
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await bench.dial(port, ticket)


async def test_behind_a_forwarded_port_it_is_the_same_page(bench: Bench) -> None:
    port, ticket = await bench.link()
    page = await bench.dial(port, ticket, origin="http://localhost:40001", host="localhost:40001")
    await page.greet()
    await page.socket.close()


async def test_a_page_that_cannot_capture_gets_a_link_and_another_one_when_it_was_used(bench: Bench) -> None:
    port, ticket = await bench.server.issue(1, "capture", "", "view-1", "http://lab")
    notebook = await bench.dial(port, ticket, origin="http://lab")
    await notebook.greet(able=False)
    first = await notebook.hear()
    assert (first["type"], first["port"]) == ("link", port)
    tab = await bench.dial(port, first["ticket"])
    await tab.greet()
    second = await notebook.hear()
    assert second["ticket"] != first["ticket"]
    # and the tab one for its next lane
    assert (await tab.hear())["type"] == "link"
    await tab.socket.close()
    await notebook.socket.close()


async def test_a_page_that_can_capture_gets_none(bench: Bench) -> None:
    port, ticket = await bench.server.issue(1, "capture", "", "view-1", "http://lab")
    notebook = await bench.dial(port, ticket, origin="http://lab")
    await notebook.greet()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(notebook.socket.receive(), 0.4)
    await notebook.socket.close()


@pytest.mark.parametrize(("code", "at_once"), [(1001, True), (1000, False)])
async def test_a_page_that_is_closed_is_gone_at_once(bench: Bench, code: int, at_once: bool) -> None:
    page = await bench.dial(*await bench.link())
    await page.greet()
    await wait_until(lambda: bench.captures._pages, what="it is known")
    (known,) = bench.captures._pages.values()
    await page.socket.close(code=code)
    await wait_until(lambda: not known.present, what="its lane is closed")
    assert bool(bench.captures._pages) is not at_once, "another one may come after a lane that broke"
    known.close()
