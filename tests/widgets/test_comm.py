"""The widget comm in a real ipykernel, with the test in the place of the page."""

import os
import queue
import time
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

from lknb.widgets import comm
from tests.kit.poll import TIME_FACTOR, wait_until_sync

ROOT = Path(__file__).resolve().parents[2]
SET_UP = """
import asyncio, threading, time
import matplotlib
import matplotlib.pyplot as plt
%matplotlib inline
from concurrent.futures import Future
from lknb.widgets import VideoView, comm
from tests.widgets.conftest import RecordedClient, RecordedTrack

class Client(RecordedClient):
    "Answers from a thread of its own, as the link to the core does."

    def request_threadsafe(self, header, buffers=()):
        future = super().request_threadsafe(header, buffers)
        threading.Thread(target=future.set_result, args=(({"port": 1, "ticket": "t"}, []),)).start()
        return future

def make():
    track = RecordedTrack(client=Client())
    return VideoView(track)

view = make()
"""


class Page:
    """What JupyterLab is to a kernel: cells on the main shell, comm messages on a subshell."""

    def __init__(self, kernel):
        self.client = kernel.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60 * TIME_FACTOR)
        self.seen = []
        request = self.client.session.msg("create_subshell_request")
        self.client.control_channel.send(request)
        self.subshell = self.client.get_control_msg(timeout=20)["content"]["subshell_id"]

    def close(self):
        self.client.stop_channels()

    def start(self, code):
        """Start a cell; the id of its request."""
        return self.client.execute(code)

    def finish(self, request, timeout_s=60):
        """Wait until the cell is idle. AssertionError when it failed."""
        wait_until_sync(lambda: self.idle(request), timeout_s, what="the cell ended")
        errors = [m["content"]["traceback"] for m in self.of(request, "error")]
        assert not errors, "\n".join(errors[0])
        return "".join(m["content"]["text"] for m in self.of(request, "stream"))

    def run(self, code):
        return self.finish(self.start(code))

    def listen(self):
        """Take in what the kernel has published."""
        while True:
            try:
                self.seen.append(self.client.get_iopub_msg(timeout=0.005))
            except queue.Empty:
                return

    def of(self, request, kind):
        self.listen()
        return [m for m in self.seen if m["parent_header"].get("msg_id") == request and m["msg_type"] == kind]

    def idle(self, request):
        return any(m["content"]["execution_state"] == "idle" for m in self.of(request, "status"))

    def say(self, comm_id, content, method="custom"):
        """A message to a widget, on the subshell, as JupyterLab sends it; its id."""
        body = {"comm_id": comm_id, "data": {"method": method, "content": content}}
        message = self.client.session.msg("comm_msg", body)
        message["header"]["subshell_id"] = self.subshell
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def heard(self, comm_id, kind="comm_msg"):
        """Comm messages of a widget so far."""
        self.listen()
        return [m for m in self.seen if m["msg_type"] == kind and m["content"].get("comm_id") == comm_id]

    def customs(self, comm_id):
        data = [m["content"]["data"] for m in self.heard(comm_id)]
        return [each["content"] for each in data if each.get("method") == "custom"]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    manager = KernelManager(kernel_name="python3")
    home = tmp_path_factory.mktemp("home")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(home), "MPLCONFIGDIR": str(home)}
    manager.start_kernel(env=environment, cwd=str(home))
    yield manager
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


@pytest.fixture(scope="module")
def page(kernel):
    page = Page(kernel)
    page.run(SET_UP)
    yield page
    page.close()


@pytest.fixture
def comm_id(page):
    return page.run("view = make(); print(view.comm.comm_id)").strip()


def hello(number):
    return {"type": "hello", "client": "page", "hello": number, "origin": "http://127.0.0.1:1"}


BUSY = {
    "sleeps": "time.sleep(2)",
    "loops": "end = time.monotonic() + 2\nwhile time.monotonic() < end: pass",
    "awaits": "await asyncio.sleep(2)",
}


@pytest.mark.parametrize("busy", BUSY.values(), ids=BUSY.keys())
def test_a_page_gets_its_ticket_while_a_cell_is_at_work(page, comm_id, busy):
    cell = page.start(f"view.name = 'busy'\n{busy}")
    wait_until_sync(lambda: any(m["content"]["data"]["method"] == "update" for m in page.heard(comm_id)))
    for number in range(3):
        page.say(comm_id, hello(number))
        wait_until_sync(lambda n=number: len(page.customs(comm_id)) == n + 1, what=f"hello {number} is answered")
    assert not page.idle(cell), "the cell had ended before the page was answered"
    assert [answer["hello"] for answer in page.customs(comm_id)] == [0, 1, 2]
    page.finish(cell)


def test_a_view_talked_to_from_its_own_cell_stays_with_the_subshell(page, comm_id):
    """ipykernel 7.4 routes replies to the shell that last sent on a comm; sending in a cell must not change it."""
    cell = page.start("view.fit = 'cover'; view.send({'mine': 1}); time.sleep(2)")
    wait_until_sync(lambda: {"mine": 1} in page.customs(comm_id))
    page.say(comm_id, hello(7))
    wait_until_sync(lambda: any(answer.get("hello") == 7 for answer in page.customs(comm_id)))
    assert not page.idle(cell)
    page.finish(cell)


def test_figures_of_a_running_cell_are_not_lost(page, comm_id):
    cell = page.start("plt.plot([1, 2, 3]); time.sleep(1.5); plt.title('x'); time.sleep(0.3)")
    said = 0
    while not page.idle(cell):
        page.say(comm_id, hello(said))
        said += 1
        time.sleep(1 / 15)
    page.finish(cell)
    assert said > 10
    wait_until_sync(lambda: len(page.customs(comm_id)) == said, what="every hello is answered")
    assert sum("image/png" in m["content"]["data"] for m in page.of(cell, "display_data")) == 1


def test_any_thread_may_send_and_its_messages_belong_to_no_cell(page, comm_id):
    cell = page.start(
        """
        def flood():
            for number in range(50):
                view.send({"number": number}, [bytes([number])])
        threads = [threading.Thread(target=flood) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        threading.Thread(target=lambda: view.set_trait("name", "from a thread")).start()
        """
    )
    page.finish(cell)
    wait_until_sync(lambda: len(page.customs(comm_id)) == 200)
    wait_until_sync(
        lambda: any(m["content"]["data"].get("state", {}).get("name") == "from a thread" for m in page.heard(comm_id))
    )
    numbered = [m for m in page.heard(comm_id) if m["content"]["data"]["method"] == "custom"]
    assert all(m["parent_header"] == {} for m in numbered)
    assert all(bytes(m["buffers"][0]) == bytes([m["content"]["data"]["content"]["number"]]) for m in numbered)


def test_a_page_recognises_the_state_it_asked_for(page, comm_id):
    """ipywidgets' slow way of restoring widgets waits for an update whose parent is its request, for ever."""
    request = page.say(comm_id, None, "request_state")
    wait_until_sync(lambda: page.of(request, "comm_msg"))
    (update,) = page.of(request, "comm_msg")
    assert update["content"]["data"]["method"] == "update"
    assert update["content"]["data"]["state"]["track_sid"] == "TR_cam"


def test_a_message_of_a_page_runs_no_hooks_of_cells(page, comm_id):
    page.run("ran = []; hook = lambda: ran.append(1); get_ipython().events.register('post_execute', hook)")
    before = int(page.run("print(len(ran))"))
    for number in range(5):
        page.say(comm_id, hello(number))
    wait_until_sync(lambda: len(page.customs(comm_id)) == 5)
    after = int(page.run("print(len(ran)); get_ipython().events.unregister('post_execute', hook)"))
    # one for the cell that printed the first number
    assert after - before == 1


def test_observers_run_where_cells_run(page, comm_id):
    cell = page.start(
        """
        seen = []
        view.observe(lambda change: seen.append((threading.current_thread().name, change["new"])), "state")
        (handler,) = view.track.client.listeners.values()
        threading.Thread(target=handler, args=({"event": "view", "type": "state", "state": "playing"}, [])).start()
        while view.state != "playing":
            await asyncio.sleep(0.01)
        print(seen == [("MainThread", "playing")])
        """
    )
    assert page.finish(cell, 20).strip() == "True"


def test_a_display_can_be_replaced_from_any_thread(page, comm_id):
    cell = page.start("display(view); view._picture.take(b'1', unseen=False)")
    page.finish(cell)
    (shown,) = page.of(cell, "display_data")
    display_id = shown["content"]["transient"]["display_id"]
    page.run(
        "threading.Thread(target=lambda: (view._picture.take(b'2', unseen=False), view._picture.replace())).start()"
    )

    def pictures():
        page.listen()
        updates = [m for m in page.seen if m["msg_type"] == "update_display_data"]
        mine = [m for m in updates if m["content"]["transient"]["display_id"] == display_id]
        return [m["content"]["data"]["image/png"] for m in mine]

    wait_until_sync(lambda: pictures() == ["MQ==", "Mg=="])


def test_two_hundred_views_leave_no_comm_in_a_kernel(page, comm_id):
    told = page.run(
        """
        import comm as comm_package, gc, weakref
        from ipywidgets.widgets.widget import _instances
        gc.collect()
        before = len(comm_package.get_comm_manager().comms), len(_instances)
        gone = []
        for _ in range(200):
            each = make()
            gone.append(weakref.ref(each))
            each.close()
        del each
        gc.collect()
        after = len(comm_package.get_comm_manager().comms), len(_instances)
        print(before == after, sum(ref() is not None for ref in gone))
        """
    )
    assert told.split() == ["True", "0"]


def test_without_a_kernel_nothing_is_private():
    """Outside ipykernel, hardening and sending fall back to the public ways."""

    class Plain:
        comm_id = "c"
        sent = ()

        def send(self, data, buffers):
            self.sent = (data, buffers)

    plain = Plain()
    comm.harden(plain)
    comm.send(plain, {"a": 1}, [b"x"])
    assert plain.sent == ({"a": 1}, [b"x"])
    assert not hasattr(plain, "handle_msg")
    assert comm.kernel_loop() is None
    ran = []
    comm.call_on_kernel_loop(lambda: ran.append(1))
    assert ran == [1]
