"""The page's code: plain ES modules in js/, joined into one module as text.

anywidget runs one module from a string, where nothing can be imported by a relative path; and a widget whose `_esm` is a
`Path` is never collected. So the modules are put one after the other, without their imports and exports, and what runs
in the Worker is handed to the page as a string. That works because no two modules declare the same name, which the tests
check, and needs no Node to build or install.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files

PAGE_MODULES = ("host", "face", "tile", "session", "video")
WORKER_MODULES = ("message", "codec", "gate", "painter", "player", "worker")

_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default\b)", re.MULTILINE)
# The text goes to the page with every widget, and into notebooks that are saved with their widgets.
_COMMENT = re.compile(r"^[ \t]*(?://[^\n]*|/\*(?:(?!\*/).)*\*/)\n", re.MULTILINE | re.DOTALL)
_BLANK = re.compile(r"^[ \t]*\n", re.MULTILINE)


@cache
def video_esm() -> str:
    """The module of `VideoView`: default export with `initialize` and `render`."""
    worker = f"const WORKER_SOURCE = {json.dumps(_join(WORKER_MODULES))};\n"
    return worker + _join(PAGE_MODULES)


@cache
def video_css() -> str:
    """The style of `VideoView`, in the theme's colours."""
    return _BLANK.sub("", _COMMENT.sub("", _read("video.css")))


def _join(names: tuple[str, ...]) -> str:
    return "".join(_strip(_read(f"{name}.js")) for name in names)


def _strip(source: str) -> str:
    for pattern in (_IMPORT, _EXPORT, _COMMENT, _BLANK):
        source = pattern.sub("", source)
    return source


def _read(name: str) -> str:
    return files("lknb.widgets").joinpath("js", name).read_text(encoding="utf-8")
