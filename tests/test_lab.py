from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.error import URLError

import nbformat
import pytest

from lknb import lab
from tests.kit.poll import wait_until_sync

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def notebook(tmp_path):
    """Writes a notebook of these code cells; its path."""

    def write(name: str, *cells: str) -> Path:
        path = tmp_path / name
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        nbformat.write(made, path)
        return path

    return write


def headless(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lknb", "lab", "--headless", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_cells_are_run_and_shown_and_the_file_stays_as_it_was(notebook):
    good = notebook("good.ipynb", "print('hello'); 6 * 7", "# only a remark", "await __import__('asyncio').sleep(0)")
    before = good.read_bytes()
    told = headless(good)
    assert told.returncode == 0, told.stderr
    assert "| hello" in told.stdout
    assert "| 42" in told.stdout
    assert "passed, 3 cells" in told.stdout
    assert good.read_bytes() == before


def test_a_failing_cell_ends_its_notebook_and_the_command_with_1(notebook):
    bad = notebook("bad.ipynb", "print('first')", "1 / 0", "print('never')")
    good = notebook("good.ipynb", "import os; print(os.getcwd())")
    told = headless(bad, good)
    assert told.returncode == 1
    assert "FAILED: ZeroDivisionError: division by zero" in told.stdout
    assert "| never" not in told.stdout
    # the kernel's folder is the notebook's, and the next notebook is run all the same
    assert f"| {good.parent}" in told.stdout
    assert "\x1b" not in told.stdout


def test_a_cell_that_never_ends_is_ended(notebook):
    told = headless("--cell-timeout", 1, notebook("slow.ipynb", "while True: pass", "print('never')"))
    assert told.returncode == 1
    assert "FAILED: not done after 1 s" in told.stdout


def test_a_kernel_that_dies_is_a_failure(notebook):
    told = headless(notebook("dead.ipynb", "import os; os._exit(3)"))
    assert told.returncode == 1
    assert "FAILED: the kernel died" in told.stdout


def test_what_cannot_be_run_is_refused(capsys, tmp_path, monkeypatch):
    assert lab.run([str(tmp_path / "none.ipynb")], headless=True, cell_timeout_s=1, flags=[]) == 2
    assert "no such notebook" in capsys.readouterr().err
    assert lab.run([], headless=True, cell_timeout_s=1, flags=[]) == 2
    assert "at least one" in capsys.readouterr().err
    monkeypatch.setattr(lab.importlib.util, "find_spec", lambda name: None)
    assert lab.run([], headless=False, cell_timeout_s=1, flags=[]) == 2
    assert 'pip install "lknb[lab]"' in capsys.readouterr().err


def test_jupyterlab_is_opened_on_the_first_notebook_in_the_folder_of_all(tmp_path):
    paths = [tmp_path / "a" / "one.ipynb", tmp_path / "b" / "two.ipynb"]
    command = lab.lab_command(paths, ["--no-browser"])
    assert f"--ServerApp.root_dir={tmp_path}" in command
    assert command[-2:] == [str(paths[0]), "--no-browser"]
    assert not [word for word in lab.lab_command([]) if "root_dir" in word]


def test_jupyterlab_starts_with_these_settings(notebook):
    path = notebook("good.ipynb", "1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["--no-browser", f"--port={port}", "--IdentityProvider.token=abc", "--ServerApp.port_retries=0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lknb", "lab", path, "--", *flags],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:

        def listed() -> list[str]:
            url = f"http://127.0.0.1:{port}/api/contents?token=abc"
            try:
                with urllib.request.urlopen(url, timeout=2) as answer:
                    return [entry["name"] for entry in json.load(answer)["content"]]
            except URLError:
                assert process.poll() is None, "JupyterLab ended"
                return []

        assert wait_until_sync(listed, 60, what="JupyterLab answers") == ["good.ipynb"]
    finally:
        process.terminate()
        process.wait(20)
