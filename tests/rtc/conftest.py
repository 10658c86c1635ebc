"""A room on a core that is told what to do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lknb.core.client import CoreClient
from tests.rtc.scripted_core import ScriptedCore
from tests.rtc.sounding_core import SoundingCore


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> ScriptedCore:
    """The core every room of the test connects through."""
    fake = ScriptedCore()
    monkeypatch.setattr(CoreClient, "shared", lambda: fake)
    return fake


@pytest.fixture
def sounding_core() -> Iterator[SoundingCore]:
    core = SoundingCore()
    yield core
    core.stop()
