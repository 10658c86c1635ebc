"""A loudspeaker that is not there, and what it plays: Firefox runs no sound, and no microphone, without one.

    with SoundServer() as loudspeaker, Firefox(environment=loudspeaker.environment) as firefox:
        ...
        loudspeaker.record(2.0)

It is a PulseAudio of its own, where the machine has the program; no test needs it, and `tests/run` does not install it.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.kit.poll import TIME_FACTOR, wait_until_sync
from tests.kit.program import Program

SAMPLE_RATE_HZ = 48_000


def find_pulseaudio() -> str | None:
    return shutil.which("pulseaudio")


class SoundServer:
    """`with`. `environment` is what a process needs to play there."""

    def __enter__(self) -> SoundServer:
        executable = find_pulseaudio()
        assert executable, "no pulseaudio on this machine"
        # not pytest's folder: the path of a socket has 107 letters at most
        self._folder = Path(tempfile.mkdtemp(prefix="lknb_sound_"))
        played, heard = self._folder / "played", self._folder / "heard"
        modules = (
            f"module-null-sink sink_name=out rate={SAMPLE_RATE_HZ}",
            f"module-native-protocol-unix socket={played} auth-anonymous=1",
            f"module-simple-protocol-unix socket={heard} record=1 playback=0 source=out.monitor format=s16le channels=1"
            f" rate={SAMPLE_RATE_HZ}",
        )
        self._program = Program(
            [
                executable, "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes",
                *(f"--load={module}" for module in modules),
            ],
            self._folder / "output.log",
            environment={"HOME": str(self._folder), "XDG_RUNTIME_DIR": str(self._folder)},
        )  # fmt: skip
        self.environment = {"PULSE_SERVER": f"unix:{played}"}
        self._heard = heard
        try:
            wait_until_sync(lambda: played.exists() and heard.exists(), what=self._program.written)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def record(self, seconds: float) -> np.ndarray[Any, np.dtype[np.float64]]:
        """What it plays from now on, from -1 to 1."""
        wanted = int(seconds * SAMPLE_RATE_HZ) * 2
        got = bytearray()
        with socket.socket(socket.AF_UNIX) as recorder:
            recorder.settimeout((seconds + 10) * TIME_FACTOR)
            recorder.connect(str(self._heard))
            while len(got) < wanted:
                data = recorder.recv(65_536)
                assert data, f"the sound server ended: {self._program.written()}"
                got += data
        return np.frombuffer(bytes(got[:wanted]), np.int16) / 32_768

    def _end(self) -> None:
        self._program.end()
        shutil.rmtree(self._folder, ignore_errors=True)
