"""The sources the kernel has opened: what it asks of them, and what it is told."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lknb.core.capture import Captures
from lknb.core.dispatch import Notice, Reply, Request
from lknb.core.feed import Feed
from lknb.core.message import Buffer, Header
from lknb.core.source import EncodedSource, FrameSource, SampleSource, describe_source, open_source
from lknb.core.source.frames import frame_from_header
from lknb.core.source.page import PageSource
from lknb.errors import CoreError, MediaError, WireError

logger = logging.getLogger(__name__)


class Sourcing:
    """All sources of one kernel, by handle, each with its feed.

    `send(header, buffers)` is the link to the kernel, `end_feed(feed)` ends what is published of a source that is gone for
    good.
    """

    def __init__(
        self,
        send: Callable[[Mapping[str, Any], Sequence[Buffer]], None],
        captures: Captures,
        end_feed: Callable[[Feed], None],
    ) -> None:
        self._send = send
        self._captures = captures
        self._end_feed = end_feed
        self._feeds: dict[int, Feed] = {}
        self.requests: dict[str, Request] = {
            "source_open": self._open_source,
            "source_control": self._control_source,
            "source_close": self._close_source,
            "devices": self._devices,
            "speaker": self._switch_speaker,
        }
        self.notices: dict[str, Notice] = {
            "frame": self._frame,
            "samples": self._samples,
            "clear_samples": self._clear_samples,
        }

    def feed(self, header: Header) -> Feed:
        """The feed a request names. Raises `MediaError` when it is closed."""
        feed = self.feed_of(header["source"])
        if feed is None:
            raise MediaError("the source is closed")
        return feed

    def feed_of(self, handle: int) -> Feed | None:
        """The feed of a source, if it is open."""
        return self._feeds.get(handle)

    def close(self) -> None:
        """Stop all sources."""
        for feed in self._feeds.values():
            feed.close()

    async def _open_source(self, header: Header, buffers: list[bytes]) -> Reply:
        handle, kind = header["source"], header["kind"]
        if handle in self._feeds:
            raise CoreError(f"there is a source with handle {handle} already")
        if header["type"] == "page":
            return self._keep_source(handle, await self._captures.open_source(handle, header))
        # a file is read to find out what is in it
        opening = asyncio.get_running_loop().run_in_executor(None, open_source, header["type"], kind, header)
        try:
            source = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_stop_opened)
            raise
        return self._keep_source(handle, source)

    def _keep_source(self, handle: int, source: EncodedSource) -> Reply:
        self._feeds[handle] = Feed(handle, source, lambda error: self._source_ended(handle, error))
        if isinstance(source, FrameSource):
            tell = {"source": handle}
            source.on_keyframe_request = lambda rid: self._send({"event": "keyframe_request", **tell, "rid": rid}, ())
            source.on_control = lambda action, parameters: self._send(
                {"event": "source_control", **tell, "action": action, **parameters}, ()
            )
        return Reply(describe_source(source), undo=functools.partial(self._drop_source, handle))

    async def _control_source(self, header: Header, buffers: list[bytes]) -> Reply:
        parameters = {name: value for name, value in header.items() if name not in ("op", "id", "source", "action")}
        source, action = self.feed(header).source, header["action"]
        if isinstance(source, PageSource) and action == "acquire":
            await source.acquire()
        elif isinstance(source, PageSource) and action == "switch":
            await source.switch(header["device_id"])
        else:
            return Reply(source.control(action, **parameters) or {})
        return Reply()

    async def _devices(self, header: Header, buffers: list[bytes]) -> Reply:
        return Reply({"devices": await self._captures.devices(header)})

    async def _switch_speaker(self, header: Header, buffers: list[bytes]) -> Reply:
        return Reply(await self._captures.switch_speaker(header))

    async def _close_source(self, header: Header, buffers: list[bytes]) -> Reply:
        await self._drop_source(header["source"])
        return Reply()

    async def _drop_source(self, handle: int) -> None:
        feed = self._feeds.pop(handle, None)
        if feed is not None:
            feed.close()

    def _frame(self, header: Header, buffers: list[bytes]) -> None:
        feed = self._feeds.get(header["source"])
        if feed is None or not isinstance(feed.source, FrameSource):
            return
        try:
            frame = frame_from_header(header, buffers[0] if buffers else b"")
        except WireError:
            logger.exception("a frame of the kernel cannot be read")
            return
        feed.source.push(frame)

    def _samples(self, header: Header, buffers: list[bytes]) -> None:
        feed = self._feeds.get(header["source"])
        if feed is None or not isinstance(feed.source, SampleSource):
            return
        try:
            feed.source.push(buffers[0] if buffers else b"", header.get("due_us", 0))
        except MediaError:
            logger.exception("sound of the kernel cannot be read")

    def _clear_samples(self, header: Header, buffers: list[bytes]) -> None:
        feed = self._feeds.get(header["source"])
        if feed is not None and isinstance(feed.source, SampleSource):
            feed.source.clear()

    def _source_ended(self, handle: int, error: str | None) -> None:
        feed = self._feeds.get(handle)
        if feed is not None and isinstance(feed.source, PageSource):
            # the page is gone, and the kernel may be busy: nobody is to look at a picture that stands still
            self._end_feed(feed)
            # and what is about to be published of it is not
            feed.close()
        self._send({"event": "source_ended", "source": handle, "error": error}, ())


def _stop_opened(opening: asyncio.Future[EncodedSource]) -> None:
    """Nobody waits for this source any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().stop()
