from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading

import pytest

from tests.kit.leaks import Held, assert_no_leak, assert_no_task_left, no_leak

GRACE_S = 0.05


def test_nothing_opened_is_no_leak():
    with no_leak(GRACE_S):
        pass


def test_a_descriptor_is_a_leak():
    before = Held.now()
    left = socket.socket()
    with pytest.raises(AssertionError, match=r"descriptor .*socket"):
        assert_no_leak(before, GRACE_S)
    left.close()
    assert_no_leak(before, GRACE_S)


def test_a_thread_is_a_leak():
    before, end = Held.now(), threading.Event()
    left = threading.Thread(target=end.wait, name="left over")
    left.start()
    with pytest.raises(AssertionError, match="thread left over"):
        assert_no_leak(before, GRACE_S)
    end.set()
    left.join()
    assert_no_leak(before, GRACE_S)


def test_a_child_process_is_a_leak_also_when_it_ended_and_nobody_waited():
    before = Held.now()
    left = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with pytest.raises(AssertionError, match=r"child process .*input"):
        assert_no_leak(before, GRACE_S)
    left.communicate(b"\n")
    assert_no_leak(before, GRACE_S)


async def test_a_task_is_a_leak():
    left = asyncio.create_task(asyncio.sleep(100), name="left over")
    await asyncio.sleep(0)
    with pytest.raises(AssertionError, match="left over sleep"):
        await assert_no_task_left(GRACE_S)
    left.cancel()
    await assert_no_task_left(GRACE_S)


def test_what_closes_a_moment_later_is_no_leak():
    with no_leak(2.0):
        threading.Timer(0.1, lambda: None).start()
