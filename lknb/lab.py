"""`lknb lab`: notebooks opened in JupyterLab with the settings live media needs, or run here without a browser."""

from __future__ import annotations

import importlib.util
import math
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

_SHOWN_LINES = 12
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def run(notebooks: Sequence[str], *, headless: bool, cell_timeout_s: float, flags: Sequence[str]) -> int:
    """The verb: 0 when all went well, 1 when a cell failed, 2 for what cannot be run."""
    paths = [Path(notebook) for notebook in notebooks]
    needed = ("nbclient", "ipykernel") if headless else ("jupyterlab",)
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    absent = [str(path) for path in paths if not path.is_file()]
    if missing:
        return _refuse(f'{" and ".join(missing)} missing: pip install "lknb[lab]"')
    if absent:
        return _refuse(f"no such notebook: {', '.join(absent)}")
    if not headless:
        open_lab(paths, flags)
    if not paths:
        return _refuse("--headless needs at least one notebook")
    return 1 if [path for path in paths if not execute_notebook(path, cell_timeout_s)] else 0


def lab_command(paths: Sequence[Path], flags: Sequence[str] = ()) -> list[str]:
    """How JupyterLab is started: on the first notebook, in the folder that holds all of them.

    On loopback, where a page may use camera and microphone without https. The limits of jupyter_server are raised:
    they count a widget's messages as output, and past them it drops messages without a word, so that a cell that
    prints much would stop the video. No news from the network. `flags` come last and so win.
    """
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--ServerApp.ip=127.0.0.1",
        "--ZMQChannelsWebsocketConnection.iopub_msg_rate_limit=10000",
        "--ZMQChannelsWebsocketConnection.iopub_data_rate_limit=50000000",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # containers; Jupyter refuses root without being told
        command.append("--ServerApp.allow_root=True")
    if paths:
        folders = [str(path.resolve().parent) for path in paths]
        command += [f"--ServerApp.root_dir={os.path.commonpath(folders)}", str(paths[0].resolve())]
    return command + list(flags)


def open_lab(paths: Sequence[Path], flags: Sequence[str] = ()) -> NoReturn:
    """Become JupyterLab: its signals, its terminal and its end are then its own."""
    command = lab_command(paths, flags)
    sys.stdout.flush()
    os.execv(command[0], command)


def execute_notebook(path: Path, cell_timeout_s: float = 120.0) -> bool:
    """Run every cell in a kernel of its own, and print each with its time and its output. False when one failed.

    The file is not changed. The kernel's working folder is the notebook's, as in JupyterLab.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    print(path, flush=True)
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    code = [(index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "code" and cell.source]
    client = NotebookClient(
        notebook, timeout=math.ceil(cell_timeout_s), resources={"metadata": {"path": str(path.resolve().parent)}}
    )
    began = time.monotonic()
    with client.setup_kernel():
        for number, (index, cell) in enumerate(code, 1):
            cell_began = time.monotonic()
            failure = ""
            try:
                client.execute_cell(cell, index)
            except CellTimeoutError:
                failure = f"not done after {cell_timeout_s:g} s"
            except DeadKernelError:
                failure = "the kernel died"
            except CellExecutionError as error:
                failure = f"{error.ename}: {error.evalue}"
            title = next(iter(cell.source.strip().splitlines()), "")
            print(f"  [{number}/{len(code)}] {time.monotonic() - cell_began:6.2f} s  {title}", flush=True)
            for line in _shown(cell.outputs):
                print(f"      | {line}", flush=True)
            if failure:
                print(f"  FAILED: {_ANSI.sub('', failure)}", flush=True)
                return False
    print(f"  passed, {len(code)} cells in {time.monotonic() - began:.1f} s", flush=True)
    return True


def _shown(outputs: Sequence[Any]) -> list[str]:
    lines: list[str] = []
    for output in outputs:
        if output.output_type == "stream":
            text = output.text
        elif output.output_type == "error":
            text = "\n".join(output.traceback)
            lines += _ANSI.sub("", text).splitlines()
            continue
        else:
            text = output.data.get("text/plain", ", ".join(output.data))
        told = _ANSI.sub("", text).splitlines()
        lines += told[:_SHOWN_LINES]
        if len(told) > _SHOWN_LINES:
            lines.append(f"... {len(told) - _SHOWN_LINES} more lines")
    return lines


def _refuse(reason: str) -> int:
    print(f"lknb lab: {reason}", file=sys.stderr)
    return 2
