"""For every test: the leak check, and the count of interop rows at the end."""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import astuple, dataclass

import hypothesis
import pytest
import pytest_asyncio

pytest.register_assert_rewrite("tests.kit", "tests.interop.row")

from tests.kit.leaks import Held, assert_no_leak, assert_no_task_left
from tests.kit.turns import Turns

_FAILED = pytest.StashKey[bool]()
_SERVER_VARIABLES = ("LKNB_TEST_LIVEKIT_URL", "LKNB_TEST_LIVEKIT_API_KEY", "LKNB_TEST_LIVEKIT_API_SECRET")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the interop matrix, as it went."""

    name: str
    passed: bool
    evidence: str


class Matrix:
    """The rows, read from the reports: these come from other processes when pytest-xdist runs the tests there."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "row"):
            self.rows[report.nodeid] = Row(*report.row)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.rows:
            return
        terminalreporter.section("interop matrix")
        for row in self.rows.values():
            terminalreporter.write_line(f"{'passed' if row.passed else 'FAILED'}  {row.name}  {row.evidence}")
        passed = sum(row.passed for row in self.rows.values())
        terminalreporter.write_line(f"interop matrix: {len(self.rows)} rows ran, {passed} passed")


# How long an example takes says how busy the machine is: one that stands still for 0.2 s would fail a test of values.
hypothesis.settings.register_profile("lknb", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("lknb")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Matrix())
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(Turns())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without the real server its tests are skipped: the only skip there is. A missing browser or client fails."""
    missing = [name for name in _SERVER_VARIABLES if not os.environ.get(name)]
    if not missing:
        return
    for item in items:
        if item.get_closest_marker("livekit_server"):
            item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and not item.get_closest_marker("livekit_server"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which only tests of the real server may be: {report.longrepr}"
    if report.failed:
        item.stash[_FAILED] = True
    mark = item.get_closest_marker("interop")
    if mark is not None and (report.failed or (report.when == "call" and not report.skipped)):
        # a row counts when it was tried; it passed when neither it, nor a part of it, nor its clean-up failed
        callspec = getattr(item, "callspec", None)
        row = Row(
            name=f"{mark.args[0]} [{callspec.id}]" if callspec else mark.args[0],
            passed=not item.stash.get(_FAILED, False),
            evidence="; ".join(str(value) for key, value in item.user_properties if key == "evidence"),
        )
        report.row = astuple(row)
    return report


@pytest.fixture(autouse=True)
def leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Threads, descriptors and child processes are the same after a test as before it."""
    before = Held.now()
    yield
    if not request.node.stash.get(_FAILED, False):
        assert_no_leak(before)


@pytest.fixture(autouse=True)
def task_leaks(leaks: None, request: pytest.FixtureRequest) -> None:
    """No task is left on the loop of a test. Built after `leaks`, so the loop itself is gone when that one looks."""
    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue("_tasks_of_the_loop")


@pytest_asyncio.fixture
async def _tasks_of_the_loop(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    yield
    if not request.node.stash.get(_FAILED, False):
        await assert_no_task_left()
