"""What `pip install lknb` brings: the wheel is built, installed where nothing of the source is, and imported there."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """What the command printed; its words are the failure."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(done.stdout + done.stderr, pytrace=False)
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without the network by the hatchling that is installed."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's files alone; what it depends on comes from this environment."""
    target = tmp_path_factory.mktemp("target")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", "--target", target, wheel, cwd=target)
    return target


def test_every_source_is_in_the_wheel_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.partition("/")[0].endswith(".dist-info")}
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "lknb").rglob("*")
        if path.is_file() and not {"__pycache__", "node_modules"}.intersection(path.parts)
    }
    assert names == ours
    assert {"lknb/py.typed", "lknb/__main__.py"} < names
    assert {"lknb/widgets/js/" + path.name for path in (ROOT / "lknb/widgets/js").glob("*.js")} < names


def test_the_licence_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (licence,) = (name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()


def test_the_installed_package_is_imported_and_finds_its_scripts(installed: Path, tmp_path: Path) -> None:
    code = (
        "import lknb, lknb.widgets, pathlib; from lknb import api, rtc; "
        "print(lknb.__file__, rtc.Room.__module__, api.AccessToken.__name__)"
    )
    told = run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(installed))
    assert told.startswith(str(installed)), told


@pytest.mark.parametrize("verb", [("--version",), ("serve", "--help"), ("lab", "--help")], ids=" ".join)
def test_the_command_answers(verb: tuple[str, ...], installed: Path, tmp_path: Path) -> None:
    command = installed / "bin" / "lknb"
    assert "lknb" in run(sys.executable, command, *verb, cwd=tmp_path, PYTHONPATH=str(installed))
