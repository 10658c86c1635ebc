"""The hooks of tests/conftest.py, on a suite of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUITE = """
import socket
import pytest
from tests.kit.together import side_by_side

LEFT = []

@pytest.mark.interop("good")
@pytest.mark.parametrize("mode", ["v1"])
def test_good(mode, request):
    request.node.user_properties.append(("evidence", "seen and heard"))

@pytest.mark.interop("bad")
def test_bad():
    assert False

@pytest.mark.interop("partly bad")
def test_partly_bad(subtests):
    with subtests.test("a part"):
        assert False

@pytest.mark.interop("one of two bad")
async def test_one_of_two_bad(subtests, request):
    async def case(good):
        assert good
        request.node.user_properties.append(("evidence", "the other ran"))

    await side_by_side(subtests, {"bad": case(False), "good": case(True)})

@pytest.mark.interop("never set up")
def test_never_set_up(missing_fixture):
    pass

@pytest.mark.interop("leaking")
def test_leaking():
    LEFT.append(socket.socket())

@pytest.mark.interop("skipped")
@pytest.mark.livekit_server
def test_skipped():
    assert False

@pytest.mark.interop("want of a browser")
def test_excused():
    pytest.skip("no browser here")

def test_no_row():
    pass
"""


@pytest.mark.parametrize("processes", ["0", "2"])
def test_rows_that_ran_are_counted_and_rows_that_failed_in_any_way_did_not_pass(tmp_path: Path, processes: str) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LKNB_TEST_", "PYTEST_"))}
    environment["LKNB_TEST_TIME_FACTOR"] = "0.1"
    told = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            # it imports nbformat, whose grammar of addresses takes each process a second
            "-p",
            "no:nbval",
            "-p",
            "tests.conftest",
            "-n",
            processes,
            "-c",
            ROOT / "pyproject.toml",
            "--rootdir",
            tmp_path,
            tmp_path,
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert "interop matrix: 7 rows ran, 1 passed" in told, told
    assert "passed  good [v1]  seen and heard" in told
    assert "FAILED  one of two bad  the other ran" in told
    assert "FAILED  leaking" in told
    assert "FAILED  want of a browser" in told
    assert "skipped" not in told.partition("= interop matrix =")[2].partition("rows ran")[0]
