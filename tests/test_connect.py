"""Where `lknb.connect` goes, and as whom."""

from __future__ import annotations

import gc
import sys
import weakref
from typing import Any

import jwt
import pytest

import lknb
from lknb.access import make_token
from lknb.core.client import CoreClient
from lknb.errors import ConnectError, DevServerError
from lknb.rtc.way_in import join_again
from tests.rtc.scripted_core import ScriptedCore

SECRET = "s" * 32


class FakeServer:
    """Where a DevServer would be."""

    url, api_key, api_secret = "ws://127.0.0.1:1", "devkey", "d" * 32
    started = 0

    @classmethod
    def current(cls) -> type[FakeServer] | None:
        return cls if cls.started else None

    @classmethod
    def current_or_new(cls) -> type[FakeServer]:
        cls.started += 1
        return cls


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> ScriptedCore:
    fake = ScriptedCore()
    monkeypatch.setattr(CoreClient, "shared", lambda: fake)
    # `lknb.connect` is the function; its module has to be found another way
    monkeypatch.setattr(sys.modules["lknb.connect"], "DevServer", FakeServer)
    monkeypatch.setattr(FakeServer, "started", 0)
    for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    return fake


async def asked(core: ScriptedCore, *arguments: Any, **options: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The url, the claims of the token and the options the core was asked to connect with."""
    async with await lknb.connect(*arguments, **options):
        pass
    header = core.sent("connect")[-1]
    return header["url"], jwt.decode(header["token"], options={"verify_signature": False}), header["options"]


async def test_without_an_environment_the_embedded_server_is_started_once(core: ScriptedCore) -> None:
    url, claims, options = await asked(core, "studio", identity="me", name="Me")
    assert url == FakeServer.url
    assert (claims["iss"], claims["sub"], claims["name"]) == ("devkey", "me", "Me")
    assert claims["video"]["room"] == "studio"
    assert claims["video"]["canUpdateOwnMetadata"]
    assert claims["exp"] - claims["nbf"] == 600
    assert options["auto_subscribe"]
    await asked(core, room="studio")
    assert FakeServer.started == 1


async def test_without_an_identity_everybody_is_somebody_else(core: ScriptedCore) -> None:
    identities = {(await asked(core))[1]["sub"] for _ in range(3)}
    assert len(identities) == 3
    assert (await asked(core))[1]["video"]["room"] == "notebook"


async def test_the_environment_says_where(core: ScriptedCore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEKIT_URL", "wss://cloud")
    monkeypatch.setenv("LIVEKIT_API_KEY", "key")
    monkeypatch.setenv("LIVEKIT_API_SECRET", SECRET)
    url, claims, _ = await asked(core, "studio", identity="me")
    assert (url, claims["iss"]) == ("wss://cloud", "key")
    header = core.sent("connect")[-1]
    assert jwt.decode(header["token"], SECRET, algorithms=["HS256"])["sub"] == "me"
    assert (await asked(core, url="wss://other"))[0] == "wss://other"
    assert FakeServer.started == 0
    url, claims, _ = await asked(core, server=FakeServer)
    assert (url, claims["iss"]) == (FakeServer.url, "devkey")


@pytest.mark.parametrize(
    ("key", "secret", "named"),
    [
        ("", "", "LIVEKIT_API_KEY and LIVEKIT_API_SECRET"),
        ("key", "", "set LIVEKIT_API_SECRET"),
        ("", "s", "set LIVEKIT_API_KEY"),
    ],
)
async def test_a_url_without_keys_says_what_to_set(
    core: ScriptedCore, monkeypatch: pytest.MonkeyPatch, key: str, secret: str, named: str
) -> None:
    monkeypatch.setenv("LIVEKIT_URL", "wss://cloud")
    monkeypatch.setenv("LIVEKIT_API_KEY", key)
    monkeypatch.setenv("LIVEKIT_API_SECRET", secret)
    with pytest.raises(ConnectError, match=named) as caught:
        await lknb.connect("studio")
    assert caught.value.kind == "not_allowed"
    assert core.requests == []


async def test_a_token_needs_no_keys(core: ScriptedCore, monkeypatch: pytest.MonkeyPatch) -> None:
    token = jwt.encode({"sub": "somebody"}, SECRET)
    url, claims, _ = await asked(core, url="wss://cloud", token=token)
    assert (url, claims) == ("wss://cloud", {"sub": "somebody"})
    monkeypatch.setenv("LIVEKIT_URL", "wss://environment")
    assert (await asked(core, token=token))[0] == "wss://environment"


async def test_a_room_is_joined_again_with_a_fresh_token(core: ScriptedCore, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def make(*arguments: Any, **options: Any) -> str:
        made.append(make_token(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(sys.modules["lknb.connect"], "make_token", make)
    room = await lknb.connect("studio", auto_subscribe=False)
    for times in (2, 3):
        await room.disconnect()
        await join_again(room)
        assert len(made) == times
    headers = core.sent("connect")
    assert [header["token"] for header in headers] == made
    claims = [jwt.decode(token, options={"verify_signature": False}) for token in made]
    assert len({(it["sub"], it["video"]["room"]) for it in claims}) == 1
    assert all(it["video"]["canUpdateOwnMetadata"] for it in claims)
    assert headers[0]["options"] == headers[-1]["options"]
    await join_again(room)
    assert len(core.sent("connect")) == 3, "it is joined already"
    await room.disconnect()
    assert room._way_in is not None
    held = weakref.ref(room._way_in.make_token)
    del room
    gc.collect()
    assert held() is None, "the key went with the room"


async def test_the_options_reach_the_core(core: ScriptedCore) -> None:
    options = (await asked(core, auto_subscribe=False, dynacast=True, connect_timeout=1.5))[2]
    assert (options["auto_subscribe"], options["dynacast"]) == (False, True)
    assert options["connect_timeout_s"] == 1.5


async def test_what_cannot_be(core: ScriptedCore, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConnectError, match="not both"):
        await lknb.connect(url="wss://cloud", server=FakeServer)  # type: ignore[arg-type]

    def fail() -> None:
        raise DevServerError("no ports left")

    monkeypatch.setattr(FakeServer, "current_or_new", fail)
    with pytest.raises(ConnectError, match="no ports left"):
        await lknb.connect()
