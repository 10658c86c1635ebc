"""A scripted core whose sources of sound are real ones: they play what the kernel hands over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lknb.core.source import SampleSource, open_source
from lknb.wire.frame import EncodedFrame
from tests.core.source.media import Recorder
from tests.rtc.scripted_core import Answer, ScriptedCore


class SoundingCore(ScriptedCore):
    """Each source of samples plays from when it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self._sources: dict[int, SampleSource] = {}
        self._recorders: dict[int, Recorder] = {}
        self.respond["source_open"] = self._open
        self.respond["source_close"] = self._close

    def post(self, header: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> bool:
        source = self._sources.get(header.get("source", 0))
        if source is not None and header["op"] == "samples":
            source.push(bytes(buffers[0]), header["due_us"])
        elif source is not None and header["op"] == "clear_samples":
            source.clear()
        return super().post(header, [bytes(buffer) for buffer in buffers])

    def sound(self, handle: int) -> list[EncodedFrame]:
        """What a source has sent."""
        return list(self._recorders[handle].frames)

    def stop(self) -> None:
        for source in self._sources.values():
            source.stop()

    def _open(self, header: Mapping[str, Any], buffers: Sequence[bytes]) -> Answer:
        if header["type"] == "samples":
            source = open_source(header["type"], header["kind"], header)
            assert isinstance(source, SampleSource)
            self._sources[header["source"]] = source
            recorder = self._recorders[header["source"]] = Recorder()
            source.start(recorder)
        return {}, []

    def _close(self, header: Mapping[str, Any], buffers: Sequence[bytes]) -> Answer:
        source = self._sources.pop(header["source"], None)
        if source is not None:
            source.stop()
        return {}, []
