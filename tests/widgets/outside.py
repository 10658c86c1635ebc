"""Who is outside of a notebook under test: a server that counts what it sends, and an official client.

Both for tests that are plain functions: the server runs on a loop in a thread, the client in a process of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from lknb.server.app import Server
from lknb.server.config import ServerConfig
from lknb.server.stream import Stream
from lknb.server.subscription import Subscription
from lknb.wire.rtp import RtpView
from tests.kit.poll import TIME_FACTOR, wait_until_sync
from tests.kit.server import ROOT
from tests.kit.token import API_KEY, API_SECRET, make_token

ANSWER_S = 30.0
ROOM = "studio"


class CountedServer:
    """lknb's server, and what it sends: bytes by (subscriber's identity, track sid), counted where they are encrypted; and
    what it gets: bytes of media by track sid, without headers, where they are decrypted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.received: Counter[str] = Counter()
        self.size: Counter[tuple[str, str]] = Counter()
        self.widths: Counter[tuple[str, str]] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="counted server")
        self._server = Server(ServerConfig(keys={API_KEY: API_SECRET}, port=0))
        start = Subscription.start

        def counted_start(it: Subscription, payload_type: int, send: Callable[[bytes], None], now: float) -> None:
            key = (it.subscriber.participant.identity, it.publication.sid)

            def counted(packet: bytes) -> None:
                self.size[key] += len(packet)
                send(packet)

            start(it, payload_type, counted, now)

        monkeypatch.setattr(Subscription, "start", counted_start)
        receive = Stream.receive

        def counted_receive(it: Stream, view: RtpView, arrival_us: int, now: float) -> None:
            self.received[it.publication.sid] += len(view.payload)
            receive(it, view, arrival_us, now)

        monkeypatch.setattr(Stream, "receive", counted_receive)
        self._thread.start()
        self._run(self._server.start())

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.port}"

    @property
    def rtc_port(self) -> int:
        return self._server.rtc_port

    def flows(self, identity: str, sid: str, over_s: float = 0.6) -> bool:
        """Whether media of a track go to a subscriber just now: True as soon as they do, False when none did for so long."""
        before, end = self.size[identity, sid], time.monotonic() + over_s
        while self.size[identity, sid] - before <= 1_000:
            if time.monotonic() >= end:
                return False
            time.sleep(0.02)
        return True

    def wait_flows(self, identity: str, sid: str, *, flows: bool) -> None:
        word = "flows" if flows else "does not flow"
        wait_until_sync(lambda: self.flows(identity, sid) is flows, 15, what=f"{sid} {word} to {identity}")

    def close(self) -> None:
        self._run(self._server.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10 * TIME_FACTOR)


class OutsidePeer:
    """A participant on the official wheel; `tests/kit/room_child.py` has its operations."""

    def __init__(self, server: CountedServer, identity: str, *, name: str = "") -> None:
        self.identity = identity
        self._numbers = itertools.count(1)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kit.room_child", "livekit.rtc"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT,
        )  # fmt: skip
        token = make_token(identity, ROOM, name=name)
        self.call(
            "connect", url=server.url, token=token, single_peer_connection=True, auto_subscribe=True, dynacast=True
        )

    def call(self, operation: str, **arguments: Any) -> Any:
        number = next(self._numbers)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"id": number, "op": operation, **arguments}).encode() + b"\n")
        self._process.stdin.flush()
        reply = json.loads(self._process.stdout.readline())
        assert reply["id"] == number
        assert "error" not in reply, reply["error"]
        return reply["ok"]

    def publish(self, colour: tuple[int, int, int], width: int = 960, height: int = 540) -> str:
        """A camera of one colour, in layers; its sid."""
        sid = self.call(
            "publish_video", colour=colour, width=width, height=height, frame_rate=12, simulcast=True, codec="vp8"
        )
        return str(sid)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10 * TIME_FACTOR)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
