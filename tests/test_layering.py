"""Imports only point down. Every import statement of the package is read, those for types alone included.

widgets > rtc, api > core | server > codec > transport > logic > wire > errors, limits. Core and server never know each
other, nor do rtc and api; pixels (codec) are not the server's. Modules beside the floors (connect, cli ...) stand above all.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "lknb"

GROUND = frozenset({"errors", "limits", "_version"})
BELOW_TRANSPORT = GROUND | {"wire", "logic"}
# what each floor may import, besides itself
ALLOWED: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "limits": frozenset(),
    "_version": frozenset(),
    "wire": GROUND,
    "logic": GROUND | {"wire"},
    "transport": BELOW_TRANSPORT,
    "codec": BELOW_TRANSPORT,
    "server": BELOW_TRANSPORT | {"transport"},
    "core": BELOW_TRANSPORT | {"transport", "codec"},
    "api": GROUND,
    "rtc": BELOW_TRANSPORT | {"codec", "core"},
    "widgets": BELOW_TRANSPORT | {"codec", "core", "rtc", "api"},
}
# packages of others that belong to some floors alone: {import name: floors}
ONLY_IN = {
    "aiortc": {"transport"},
    "aioice": {"transport"},
    "pylibsrtp": {"transport"},
    "av": {"codec"},
    "anywidget": {"widgets"},
    "ipywidgets": {"widgets"},
}
# of the standard library: bytes and states need neither a clock nor a loop nor chance
PURE = {"wire", "logic"}
IMPURE = {
    "asyncio",
    "socket",
    "ssl",
    "threading",
    "time",
    "random",
    "secrets",
    "os",
    "subprocess",
    "multiprocessing",
    "select",
}


def floor_of(path: Path) -> str:
    """The floor a file stands on; "" for those above all floors."""
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return name if name in ALLOWED else ""


def imports_of(path: Path) -> list[tuple[int, str]]:
    """(line, dotted module) of every import statement, relative ones resolved, `from lknb import rtc` as lknb.rtc."""
    package = list(path.relative_to(ROOT).parent.parts)
    found = []
    tree = ast.parse(path.read_text(), str(path))
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.Import)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue  # the name of a type of somebody else's package: nothing is imported
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            # the names may be modules: of the package itself they are what is imported
            found += [(node.lineno, f"{module}.{alias.name}" if module == "lknb" else module) for alias in node.names]
    return sorted(set(found))


SOURCES = sorted(PACKAGE.rglob("*.py"))


def faults_of(path: Path) -> list[str]:
    """What this file imports and may not."""
    floor = floor_of(path)
    faults = []
    for line, module in imports_of(path):
        top, _, rest = module.partition(".")
        place = f"{path.relative_to(ROOT)}:{line}"
        if top == "lknb":
            target = rest.partition(".")[0]
            if floor and target != floor and target not in ALLOWED[floor]:
                faults.append(f"{place} {floor} imports {module}")
        elif top == "av" and path.is_relative_to(PACKAGE / "core" / "source"):
            continue  # the core's own sources read containers, and hand what is in them to codec
        elif floor not in ONLY_IN.get(top, {floor}):
            faults.append(
                f"{place} {floor or 'a module above the floors'} imports {top}, of {', '.join(ONLY_IN[top])} alone"
            )
        elif floor in PURE and top in IMPURE:
            faults.append(f"{place} {floor} imports {top}")
    return faults


def test_every_floor_is_known() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert folders <= ALLOWED.keys()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    assert not faults_of(path)


@pytest.mark.parametrize(
    ("place", "statement"),
    [
        ("wire/rtp.py", "from lknb.logic.nack import Nack"),
        ("wire/rtp.py", "import asyncio"),
        ("logic/nack.py", "from time import monotonic"),
        ("logic/nack.py", "from ..transport import peer"),
        ("transport/peer.py", "from lknb import core"),
        ("codec/opus.py", "from lknb.rtc.track import Track"),
        ("server/room.py", "import lknb.core.client"),
        ("server/room.py", "import lknb.codec.opus"),
        ("server/room.py", "from aiortc import RTCDtlsTransport"),
        ("core/client.py", "from lknb.server import app"),
        ("core/client.py", "import av.frame"),
        ("rtc/room.py", "from lknb.widgets import view"),
        ("rtc/room.py", "from lknb import connect"),
        ("rtc/room.py", "from lknb import DevServer"),
        ("api.py", "from lknb import rtc"),
        ("connect.py", "import aioice"),
    ],
)
def test_an_import_that_points_up_or_sideways_is_found(
    place: str, statement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path / "lknb")
    path = tmp_path / "lknb" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"def late():\n    {statement}\n")
    assert len(faults_of(path)) == 1


@pytest.mark.parametrize(
    ("module", "foreign"),
    [
        # the kernel talks to its core through this, and must not pay for WebRTC and codecs
        ("lknb.core.client", "aiortc"),
        ("lknb.core.client", "av"),
        ("lknb.rtc", "aiortc"),
        # frames of pictures are nothing a server knows
        ("lknb.server.cli", "av"),
        ("lknb.cli", "aiohttp"),
        ("lknb.cli", "numpy"),
    ],
)
def test_a_module_does_not_bring(module: str, foreign: str) -> None:
    code = f"import {module}, sys; sys.exit({foreign!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
