"""LiveKit rooms inside a notebook.

    import lknb

    room = await lknb.connect("studio", identity="me")
    await room.local_participant.publish_track(lknb.TestPattern())

`lknb.rtc` and `lknb.api` are drop-ins for `livekit.rtc` and `livekit.api`. They, and all that knows media, are imported at
their first use: `import lknb` itself is quick.

    connect.py      one call into a room            dev_server.py   the embedded server, as a child process
    access.py       access tokens                   api.py          livekit-api, re-exported
    errors.py       all errors, in one tree         limits.py       all bounds on what peers may send
    cli.py          the `lknb` command              lab.py, join.py its verbs for notebooks, and for a guest without one

    widgets/  >  rtc/  >  core/ | server/ and codec/  >  transport/  >  logic/  >  wire/      imports point down only
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from lknb._version import __version__

# not at first use: the module of the same name must not take the place of the function
from lknb.connect import connect
from lknb.dev_server import DevServer

if TYPE_CHECKING:
    from lknb import api, errors, rtc, widgets
    from lknb.rtc.device_bridge import devices
    from lknb.rtc.recorder import Recorder
    from lknb.rtc.running_source import MediaFile, TestPattern, Tone
    from lknb.widgets import (
        CallPanel,
        CameraPreview,
        ControlBar,
        DevicePicker,
        ParticipantGrid,
        ParticipantTile,
        PublishPanel,
        QualitySelector,
        RoomAudio,
        RoomPanel,
        SpeakerIndicator,
        StatsPlot,
        SubscriptionTable,
        VideoView,
    )

__all__ = [
    "CallPanel",
    "CameraPreview",
    "ControlBar",
    "DevServer",
    "DevicePicker",
    "MediaFile",
    "ParticipantGrid",
    "ParticipantTile",
    "PublishPanel",
    "QualitySelector",
    "Recorder",
    "RoomAudio",
    "RoomPanel",
    "SpeakerIndicator",
    "StatsPlot",
    "SubscriptionTable",
    "TestPattern",
    "Tone",
    "VideoView",
    "__version__",
    "api",
    "connect",
    "devices",
    "errors",
    "rtc",
    "widgets",
]

_MODULES = frozenset({"api", "errors", "rtc", "widgets"})
_HOMES = {
    "CallPanel": "lknb.widgets",
    "CameraPreview": "lknb.widgets",
    "DevicePicker": "lknb.widgets",
    "PublishPanel": "lknb.widgets",
    "ControlBar": "lknb.widgets",
    "MediaFile": "lknb.rtc.running_source",
    "Recorder": "lknb.rtc.recorder",
    "TestPattern": "lknb.rtc.running_source",
    "Tone": "lknb.rtc.running_source",
    "ParticipantGrid": "lknb.widgets",
    "ParticipantTile": "lknb.widgets",
    "QualitySelector": "lknb.widgets",
    "RoomAudio": "lknb.widgets",
    "RoomPanel": "lknb.widgets",
    "SpeakerIndicator": "lknb.widgets",
    "StatsPlot": "lknb.widgets",
    "SubscriptionTable": "lknb.widgets",
    "VideoView": "lknb.widgets",
    "devices": "lknb.rtc.device_bridge",
}
_SHOWN_IN_CELLS = {
    "lknb.rtc.room": ("Room",),
    "lknb.rtc.participant": ("RemoteParticipant",),
    "lknb.rtc.local_participant": ("LocalParticipant",),
    "lknb.rtc.track": ("LocalAudioTrack", "LocalVideoTrack", "RemoteAudioTrack", "RemoteVideoTrack"),
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"lknb.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lknb' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _show_in_cells() -> None:
    """In a kernel, have rooms and tracks shown by `lknb.widgets`, which is imported when the first one is shown."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return

    def show(thing: Any) -> None:
        importlib.import_module("lknb.widgets")
        thing._ipython_display_()

    formatter = shell.display_formatter.ipython_display_formatter
    for module, classes in _SHOWN_IN_CELLS.items():
        for name in classes:
            formatter.for_type_by_name(module, name, show)


_show_in_cells()
