from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lknb import cli
from lknb._version import __version__
from tests.kit.poll import TIME_FACTOR
from tests.kit.server import ServerProcess

ROOT = Path(__file__).resolve().parents[1]


def test_the_version_is_the_package_s(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"lknb {__version__}\n"


def test_without_a_verb_it_says_which_there_are(capsys):
    assert cli.main([]) == 2
    told = capsys.readouterr().out
    assert "serve" in told
    assert "lab" in told


def test_an_unknown_verb_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["launch"])
    assert "launch" in capsys.readouterr().err


def test_serve_gets_its_flags_as_they_are(monkeypatch):
    import lknb.server.cli

    got = []
    monkeypatch.setattr(lknb.server.cli, "main", lambda argv: got.append(argv) or 3)
    assert cli.main(["serve", "--help", "--json", "--port", "0"]) == 3
    assert got == [["--help", "--json", "--port", "0"]]


@pytest.mark.parametrize(
    ("argv", "asked"),
    [
        (["lab"], ([], False, 120.0, [])),
        (["lab", "a.ipynb", "b.ipynb"], (["a.ipynb", "b.ipynb"], False, 120.0, [])),
        (["lab", "--headless", "--cell-timeout", "5", "a.ipynb"], (["a.ipynb"], True, 5.0, [])),
        (["lab", "a.ipynb", "--", "--port", "1", "--", "x"], (["a.ipynb"], False, 120.0, ["--port", "1", "--", "x"])),
    ],
)
def test_lab_gets_notebooks_and_the_rest_is_jupyterlab_s(monkeypatch, argv, asked):
    import lknb.lab

    got = []

    def run(notebooks, *, headless, cell_timeout_s, flags):
        got.append((notebooks, headless, cell_timeout_s, flags))
        return 1

    monkeypatch.setattr(lknb.lab, "run", run)
    assert cli.main(argv) == 1
    assert got == [asked]


def test_the_module_is_the_command():
    told = subprocess.run(
        [sys.executable, "-m", "lknb", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert told.stdout == f"lknb {__version__}\n"


@pytest.mark.alone
def test_serve_is_ready_at_once():
    with ServerProcess() as process:
        # half of it on an idle machine; the wide margin is for busy ones
        assert process.ready_after_s < 3.0 * TIME_FACTOR
        print(f"lknb serve was ready after {process.ready_after_s:.2f} s")
        assert process.server.url == f"ws://127.0.0.1:{process.port}"
        assert process.stop() == 0
