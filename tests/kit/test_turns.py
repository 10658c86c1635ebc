"""Tests in two processes, one of them alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MANY = """
import time
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", range(30))
def test_many(number):
    running, seen = Path(__file__).with_name("running"), Path(__file__).with_name("seen")
    running.touch()
    end = time.monotonic() + 60
    # the other process may be late to begin
    while not seen.exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    time.sleep(0.02)
    running.unlink()
"""
ALONE = """
import time
from pathlib import Path
import pytest

running = Path(__file__).with_name("running")

def test_others_are_there():
    end = time.monotonic() + 60
    while not running.exists():
        assert time.monotonic() < end
    running.with_name("seen").touch()

@pytest.mark.alone
def test_nobody_is_there():
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        assert not running.exists()
"""


def test_a_test_marked_alone_has_no_other_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_many.py").write_text(MANY)
    (folder / "test_alone.py").write_text(ALONE)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [
            # nbval imports nbformat, whose grammar of addresses takes each process a second
            sys.executable, "-m", "pytest", "-p", "no:nbval", "-p", "tests.conftest", "-n", "2", "--dist", "loadfile",
            "-c", ROOT / "pyproject.toml", folder,
        ],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "32 passed" in done.stdout
