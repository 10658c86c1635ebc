"""`lknb serve` as a process: what it prints, what it refuses, how it ends."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time

import aiohttp
import psutil
import pytest
from livekit.protocol import models

from lknb.server.config import check_keys, is_loopback, parse_keys
from tests.kit.poll import TIME_FACTOR, wait_until, wait_until_sync
from tests.kit.program import has_ended
from tests.kit.raw import RawClient
from tests.kit.server import ROOT, ServerProcess
from tests.kit.token import make_token

SECRET = "0123456789abcdef0123456789abcdef"


def run(*flags: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A server that is expected to refuse its flags."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        [sys.executable, "-m", "lknb", "serve", "--port", "0", *flags],
        capture_output=True,
        text=True,
        timeout=30,
        env=environment,
    )


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--keys", "key: short"], "32 bytes"),
        (["--keys", "no colon"], "key: secret"),
        (["--keys", "\n"], "no key given"),
        (["--bind", "0.0.0.0", "--keys", f"k: {SECRET}"], "--insecure"),
        (["--bind", "0.0.0.0", "--insecure", "--dev"], "loopback"),
    ],
)
def test_flags_that_cannot_be_are_refused_with_a_reason(flags: list[str], reason: str) -> None:
    result = run(*flags)
    assert result.returncode == 2
    assert reason in result.stderr
    assert SECRET not in result.stderr


def test_keys_are_read_as_livekit_server_takes_them() -> None:
    assert parse_keys("a: one\n b : two, three\n") == {"a": "one", "b": "two, three"}
    check_keys({"a": SECRET})
    with pytest.raises(ValueError, match="32 bytes") as raised:
        check_keys({"a": SECRET[:-1]})
    assert SECRET[:-1] not in str(raised.value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("x", False),
    ],
)
def test_loopback_addresses(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


async def test_it_is_ready_soon_says_where_and_listens_on_loopback_only() -> None:
    with ServerProcess() as process:
        server = process.server
        assert server.url == f"ws://127.0.0.1:{process.port}"
        assert process.ready_after_s < 1.0 * 5 * TIME_FACTOR
        print(f"ready after {process.ready_after_s:.2f} s")
        connections = psutil.Process(server.pid).net_connections("inet")
        assert {c.laddr.ip for c in connections} == {"127.0.0.1"}
        assert {c.laddr.port for c in connections} == {process.port, server.rtc_port}
        async with aiohttp.ClientSession() as session, session.get(process.server.http_url) as response:
            assert await response.text() == "OK"


async def test_sigterm_tells_the_clients_and_ends_with_0() -> None:
    process = ServerProcess()
    server = process.start()
    client = RawClient(server.url, make_token("alice", "room"))
    try:
        await client.connect()
        code = await asyncio.to_thread(process.stop)
        leave = await client.wait_for("leave")
        assert leave.reason == models.DisconnectReason.SERVER_SHUTDOWN
        assert code == 0
    finally:
        await client.close()


def test_keys_made_here_are_printed_once_and_keys_given_never() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("LIVEKIT_KEYS", None)
    for given in ({}, {"LIVEKIT_KEYS": f"k: {SECRET}"}):
        with subprocess.Popen(
            [sys.executable, "-m", "lknb", "serve", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env={**environment, **given},
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline().startswith("lknb serve: ready on ws://127.0.0.1:")
            if not given:
                assert process.stderr is not None
                assert process.stderr.readline().startswith("API key: API")
                assert len(process.stderr.readline().removeprefix("API secret: ").strip()) >= 32
            process.terminate()
            rest = process.communicate(timeout=20)
            assert process.returncode == 0
            assert SECRET not in "".join(rest)


def test_a_port_that_is_taken_is_said() -> None:
    with ServerProcess() as process:
        result = run("--port", str(process.port), "--keys", f"k: {SECRET}")
        assert result.returncode == 1
        assert "cannot listen" in result.stderr


def test_it_dies_with_its_parent_even_after_kill_9() -> None:
    script = (
        "import subprocess, sys, os, time\n"
        f"p = subprocess.Popen([sys.executable, '-m', 'lknb', 'serve', '--json', '--port', '0', '--keys', 'k: {SECRET}',"
        " '--parent', str(os.getpid())], stdout=subprocess.PIPE)\n"
        "p.stdout.readline(); print(p.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    began = time.monotonic()
    wait_until_sync(lambda: has_ended(pid))
    print(f"gone after {time.monotonic() - began:.2f} s")
    assert time.monotonic() - began < 3 * TIME_FACTOR


async def test_kill_9_is_noticed_by_the_client() -> None:
    process = ServerProcess()
    server = process.start()
    client = RawClient(server.url, make_token("alice", "room"))
    try:
        await client.connect()
        process.kill()
        await wait_until(lambda: client.socket.closed)
    finally:
        await client.close()
