"""The page's code: plain ES modules in js/, joined as text.

anywidget runs one module from a string, where nothing can be imported by a relative path; and a widget whose `_esm` is a
`Path` is never collected. So modules are put one after the other, without their imports and exports, and what runs in
the Worker is handed to the page as a string. That works because no two of them declare the same name, which the tests
check, and needs no Node to build or install.

A browser keeps every module it ever loaded. Therefore `_esm`, loaded for each widget, is a small loader, and the code
travels beside it, in a trait the browser can forget.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from importlib.resources import files

PAGE_MODULES = (
    "host",
    "uplink",
    "dialer",
    "dom",
    "page",
    "speaker",
    "output",
    "hear",
    "figure",
    "badge",
    "face",
    "tile",
    "session",
    "video",
)
WORKER_MODULES = ("message", "channel", "codec", "gate", "painter", "still", "player", "worker")
LOADER_MODULES = ("loader",)
CAPTURE_MODULES = (
    "host",
    "uplink",
    "dialer",
    "dom",
    "page",
    "speaker",
    "device_fault",
    "device_list",
    "speaker_choice",
    "capture_feed",
    "capture_screen",
    "capture_report",
    "capture_device",
    "kernel_watch",
    "capture_session",
)
BAR_MODULES = (*CAPTURE_MODULES, "speaker_menu", "control_bar", "bar_widget")
TAB_MODULES = (*CAPTURE_MODULES, "speaker_menu", "control_bar", "tab_model", "tab_dialer", "capture_tab")
PREVIEW_MODULES = (
    "host",
    "dom",
    "page",
    "speaker",
    "device_fault",
    "device_list",
    "speaker_choice",
    "speaker_menu",
    "kernel_watch",
    "preview",
)
CAPTURE_WORKER_MODULES = (
    "message",
    "channel",
    "batch",
    "encoder_pace",
    "video_uplink",
    "audio_uplink",
    "capture_worker",
)
TAP_MODULES = ("tap",)
CONTROL_MODULES = ("dom", "page", "speaker", "output", "hear", "figure", "control")
"""Before the module of each view without video, see `control_code`."""
AUDIO_MODULES = (
    "host",
    "uplink",
    "dialer",
    "dom",
    "page",
    "speaker",
    "output",
    "hear",
    "loopback",
    "route",
    "mixing",
    "bar",
    "hearer",
    "audio",
)
AUDIO_WORKER_MODULES = ("message", "channel", "listener", "ear")
MIXER_MODULES = ("ring", "mixer")

_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default\b)", re.MULTILINE)
# The text goes to the page with every widget, and into notebooks that are saved with their widgets.
_COMMENT = re.compile(r"^[ \t]*(?://[^\n]*|/\*(?:(?!\*/).)*\*/)\n", re.MULTILINE | re.DOTALL)
_BLANK = re.compile(r"^[ \t]*\n|^[ \t]+", re.MULTILINE)


@cache
def video_code() -> str:
    """The module of `VideoView` proper: its default export makes what anywidget calls a widget. ASCII."""
    return _insert(WORKER_SOURCE=_join(WORKER_MODULES)) + _join(PAGE_MODULES)


@cache
def video_esm() -> str:
    """The loader of `video_code()`, which it expects in the trait `_code`."""
    return _load(video_code())


@cache
def video_css() -> str:
    """The style of `VideoView`, in the theme's colours."""
    return _style("video.css", "grid.css", "hear.css")


@cache
def audio_code() -> str:
    """As `video_code`, for `RoomAudio` and `AudioView`, with the text of their audio thread."""
    mixer = _join(MIXER_MODULES)
    name = f"lknb-mixer-{_digest(mixer)}"
    inserted = _insert(
        WORKER_SOURCE=_join(AUDIO_WORKER_MODULES), MIXER_NAME=name, MIXER_SOURCE=_insert(MIXER_NAME=name) + mixer
    )
    return inserted + _join(AUDIO_MODULES)


@cache
def audio_esm() -> str:
    """The loader of `audio_code()`."""
    return _load(audio_code())


@cache
def audio_css() -> str:
    """The style of `RoomAudio` and `AudioView`."""
    return _style("audio.css", "hear.css")


@cache
def control_code(module: str) -> str:
    """As `video_code`, for the view without video that this module draws."""
    return _join((*CONTROL_MODULES, module))


@cache
def control_esm(module: str) -> str:
    """The loader of `control_code(module)`."""
    return _load(control_code(module))


@cache
def control_css() -> str:
    """The style of the views without video."""
    names = ("control", "table", "quality", "speakers", "plot", "note", "header", "publish", "hear")
    return _style(*(f"{name}.css" for name in names))


@cache
def bar_code() -> str:
    """As `video_code`, for `ControlBar`."""
    return _capture_sources() + _join(BAR_MODULES)


@cache
def preview_code() -> str:
    """As `video_code`, for `CameraPreview` and `DevicePicker`."""
    return _join(PREVIEW_MODULES)


@cache
def preview_esm() -> str:
    """The loader of `preview_code()`."""
    return _load(preview_code())


@cache
def bar_esm() -> str:
    """The loader of `bar_code()`."""
    return _load(bar_code())


@cache
def bar_css() -> str:
    """The style of the buttons of a call."""
    return _style("control_bar.css")


@cache
def tab_esm() -> str:
    """The module of the camera page, which is no widget: it runs by itself."""
    return _capture_sources() + _join(TAB_MODULES)


@cache
def tab_css() -> str:
    """The style of the camera page."""
    return _style("control_bar.css", "capture_tab.css")


def _capture_sources() -> str:
    return _insert(CAPTURE_WORKER_SOURCE=_join(CAPTURE_WORKER_MODULES), TAP_SOURCE=_join(TAP_MODULES))


def _load(code: str) -> str:
    return _insert(CODE_ID=_digest(code)) + _join(LOADER_MODULES)


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def _style(*names: str) -> str:
    return "".join(_BLANK.sub("", _COMMENT.sub("", _read(name))) for name in names)


def _insert(**values: str) -> str:
    return "".join(f"const {name} = {json.dumps(value)};\n" for name, value in values.items())


def _join(names: tuple[str, ...]) -> str:
    return "".join(_strip(_read(f"{name}.js")) for name in names)


def _strip(source: str) -> str:
    for pattern in (_IMPORT, _EXPORT, _COMMENT, _BLANK):
        source = pattern.sub("", source)
    # a text of one byte a character takes half the memory in a browser; beyond ASCII there are words in strings only
    return source.encode("ascii", "backslashreplace").decode("ascii")


def _read(name: str) -> str:
    return files("lknb.widgets").joinpath("js", name).read_text(encoding="utf-8")
