"""The embedded server as a child process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import jwt
import psutil
import pytest

from lknb.dev_server import DevServer
from lknb.errors import DevServerError
from tests.kit.poll import wait_until_sync
from tests.kit.program import has_ended

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def server() -> Iterator[DevServer]:
    with DevServer() as made:
        yield made


def accepts(server: DevServer, token: str) -> int:
    """The status the server gives a join with this token."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/rtc/validate", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_it_runs_on_loopback_with_keys_of_its_own(server: DevServer) -> None:
    assert server.url == f"ws://127.0.0.1:{server.port}"
    assert server.rtc_port > 0
    assert server.alive
    assert len(server.api_secret) >= 32
    addresses = {connection.laddr.ip for connection in psutil.Process(server.pid).net_connections()}
    assert addresses == {"127.0.0.1"}


def test_it_takes_its_tokens_and_no_others(server: DevServer) -> None:
    assert accepts(server, server.token("me", "studio")) == 200
    other = jwt.encode({"iss": server.api_key, "sub": "me", "exp": 2**31, "video": {"roomJoin": True}}, "x" * 32)
    assert accepts(server, other) == 401


def test_a_token_says_what_was_asked_for(server: DevServer) -> None:
    token = server.token(
        "me", "studio", name="Me", metadata="m", attributes={"a": "b"}, ttl_s=60, can_publish=False, hidden=True
    )
    claims = jwt.decode(token, server.api_secret, algorithms=["HS256"])
    assert (claims["sub"], claims["name"], claims["metadata"], claims["attributes"]) == ("me", "Me", "m", {"a": "b"})
    assert claims["video"]["room"] == "studio"
    assert (claims["video"]["roomJoin"], claims["video"]["canPublish"], claims["video"]["hidden"]) == (
        True,
        False,
        True,
    )
    assert claims["exp"] - claims["nbf"] == 60
    with pytest.raises(TypeError):
        server.token("me", "studio", can_fly=True)


def test_the_secret_is_shown_nowhere(server: DevServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.print_join_info("studio", "guest")
    printed = capsys.readouterr().out
    assert server.url in printed
    assert server.api_secret not in printed + repr(server)
    assert server.api_key not in repr(server)
    assert not any(server.api_secret in part for part in psutil.Process(server.pid).cmdline())
    token = printed.split("Token: ")[1].split()[0]
    assert accepts(server, token) == 200


def test_the_current_server_is_the_last_that_runs(server: DevServer) -> None:
    assert DevServer.current() is server
    with DevServer() as second:
        assert DevServer.current() is second
        assert DevServer.current_or_new() is second
        os.kill(second.pid, signal.SIGKILL)
        wait_until_sync(lambda: not second.alive)
        assert DevServer.current() is server
        assert "ended" in repr(second)
        assert DevServer.current_or_new() is server
    second.close()


async def test_async_with() -> None:
    async with DevServer() as server:
        assert server.alive
    assert not server.alive
    assert has_ended(server.pid)


def test_a_server_that_does_not_come_up_is_an_error_with_its_last_words(server: DevServer) -> None:
    with pytest.raises(DevServerError, match=r"ended with status 1; its last words:\n.*cannot listen"):
        DevServer(port=server.port)
    assert DevServer.current() is server


def test_a_server_that_is_too_slow_is_ended(server: DevServer) -> None:
    with pytest.raises(DevServerError, match=r"not ready within 0 s"):
        DevServer(start_timeout=0)


CHILD = """
import json, os, signal, sys
import lknb
server = lknb.DevServer()
print(json.dumps({"pid": server.pid}), flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("end", ["exit", "kill"])
def test_it_ends_with_its_parent(end: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        pid = json.loads(process.stdout.readline())["pid"]
        assert not has_ended(pid)
        if end == "kill":
            process.kill()
        else:
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.wait(5) == 0
    wait_until_sync(lambda: has_ended(pid), 3, what="the server outlived its parent by 3 s")


def test_a_forked_child_leaves_it_alone(server: DevServer) -> None:
    pid = os.fork()
    if pid == 0:
        # no test framework in here, whatever happens
        try:
            server.close()
            os._exit(0 if not server.alive and DevServer.current() is None else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert server.alive


def test_closing_leaves_nothing() -> None:
    before = {"threads": psutil.Process().num_threads(), "fds": psutil.Process().num_fds()}
    server = DevServer()
    server.close()
    server.close()
    assert has_ended(server.pid)
    assert {"threads": psutil.Process().num_threads(), "fds": psutil.Process().num_fds()} == before
