"""`lknb join`: a participant without a notebook, who publishes files or a test picture. Flags as those of `lk room join`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lknb.access import DEV_KEY, DEV_SECRET, make_token
from lknb.connect import KEY_VARIABLE, SECRET_VARIABLE, URL_VARIABLE, connect
from lknb.errors import ConnectError, LknbError

if TYPE_CHECKING:
    from lknb.rtc.media_file import MediaFile
    from lknb.rtc.room import Room

DEV_URL = "ws://127.0.0.1:7880"
"""Where `lknb serve --dev` and `livekit-server --dev` listen."""

_TERMINAL_EVERY_S = 0.5
_LOG_EVERY_S = 5.0
_BARE_STREAMS = (".h264", ".264")
_SOCKET_FORMATS = {"h264": "h264", "vp8": "ivf", "opus": "ogg"}
"""What is read from a socket, as `lk` does, by the scheme of its URL: the containers are those of its files."""
_DTMF_DIGITS = "0123456789*#ABCD"
"""In the order of their codes (RFC 4733 section 3.2)."""
_DTMF_PAUSE, _DTMF_PAUSE_S = "w", 0.5


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of the verb."""
    parser.add_argument("room", metavar="ROOM", nargs="?", default="", help="name of the room")
    parser.add_argument("--room", dest="room_flag", metavar="ROOM", help="the same, as a flag")
    parser.add_argument("--url", help=f"URL of the server; else {URL_VARIABLE}, else {DEV_URL}")
    parser.add_argument("--api-key", metavar="KEY", help=f"else {KEY_VARIABLE}")
    parser.add_argument("--api-secret", metavar="SECRET", help=f"else {SECRET_VARIABLE}")
    parser.add_argument("--dev", action="store_true", help=f"use the key {DEV_KEY} with secret {DEV_SECRET}")
    parser.add_argument("--identity", "-i", metavar="ID", help="who to be; a random one unless given")
    parser.add_argument(
        "--publish",
        action="append",
        default=[],
        metavar="FILE",
        help="a media file to publish, its picture and its sound, or a socket to read from: h264://, vp8:// or opus:// with "
        "HOST:PORT or /PATH; may be given several times",
    )
    parser.add_argument(
        "--publish-demo", action="store_true", help="publish a test picture in three layers, and a tone"
    )
    parser.add_argument(
        "--fps", type=float, help="frame rate of files that do not say, such as .h264 (25 unless given)"
    )
    parser.add_argument("--publish-data", metavar="TEXT", help="send this to everybody in the room")
    parser.add_argument("--publish-dtmf", metavar="DIGITS", help="send these digits; w waits for half a second")
    parser.add_argument("--exit-after-publish", action="store_true", help="leave when all files have been played")
    parser.add_argument(
        "--attribute", action="append", default=[], metavar="KEY=VALUE", help="may be given several times"
    )
    parser.add_argument("--attribute-file", metavar="JSON", help="a file with attributes")
    parser.add_argument("--auto-subscribe", action="store_true", help="receive what others publish")
    parser.add_argument("--metadata", default="", help="metadata of the participant")


def run(options: argparse.Namespace) -> int:
    """The verb: 0 when it was left by Ctrl-C, or at the end of what was published; 1 for an error, 2 for wrong flags."""
    try:
        options.room = _room(options)
        _check_digits(options.publish_dtmf or "")
        if options.fps is not None and not options.fps > 0:
            raise ValueError(f"--fps is a number above 0, not {options.fps:g}")
        attributes = _attributes(options)
        where = _where(options)
    except ValueError as error:
        print(f"lknb join: {error}", file=sys.stderr)
        return 2
    missing = [path for path in options.publish if "://" not in path and not Path(path).expanduser().is_file()]
    if missing:
        print(f"lknb join: no such file: {', '.join(missing)}", file=sys.stderr)
        return 2
    try:
        return asyncio.run(_join(options, where, attributes))
    except LknbError as error:
        print(f"lknb join: {error.message}{_advice(error, where)}", file=sys.stderr)
        return 1


@dataclass(frozen=True)
class _Where:
    url: str
    api_key: str
    api_secret: str = field(repr=False)


def _where(options: argparse.Namespace) -> _Where:
    """Flags come before the environment, and that before the server of this machine. Raises ValueError."""
    url = options.url or os.environ.get(URL_VARIABLE) or DEV_URL
    key = options.api_key or os.environ.get(KEY_VARIABLE, "")
    secret = options.api_secret or os.environ.get(SECRET_VARIABLE, "")
    if options.dev or (url == DEV_URL and not key and not secret):
        return _Where(url, DEV_KEY, DEV_SECRET)
    if not key or not secret:
        raise ValueError(
            f"no key for {url}: give --api-key and --api-secret, or set {KEY_VARIABLE} and {SECRET_VARIABLE}, "
            "or --dev for a server started with --dev"
        )
    return _Where(url, key, secret)


def _room(options: argparse.Namespace) -> str:
    name = str(options.room_flag or options.room)
    if not name.strip():
        raise ValueError("which room? lknb join ROOM")
    return name


def _check_digits(digits: str) -> None:
    if wrong := set(digits) - {*_DTMF_DIGITS, _DTMF_PAUSE}:
        raise ValueError(f"no DTMF digit: {''.join(sorted(wrong))!r}; there are {_DTMF_DIGITS}, and w to wait")


def _file(path: str, fps: float | None) -> MediaFile:
    """What `--publish` names: a file, anything else PyAV opens, or a socket."""
    from lknb.rtc.media_file import MediaFile

    scheme, found, place = path.partition("://")
    container = _SOCKET_FORMATS.get(scheme) if found else None
    if container is not None:
        path = f"unix://{place}" if place.startswith("/") else f"tcp://{place}"
    bare = container == "h264" or Path(path).suffix.lower() in _BARE_STREAMS
    rate = {"framerate": f"{fps:g}"} if fps and bare else None
    return MediaFile(path, format=container, options=rate)


def _attributes(options: argparse.Namespace) -> dict[str, str]:
    attributes = {}
    for pair in options.attribute:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise ValueError(f"an attribute is KEY=VALUE, not {pair!r}")
        attributes[key] = value
    if options.attribute_file:
        try:
            found = json.loads(Path(options.attribute_file).expanduser().read_text())
        except (OSError, ValueError) as error:
            raise ValueError(f"{options.attribute_file} cannot be read: {error}") from None
        if not isinstance(found, dict):
            raise ValueError(f"{options.attribute_file} holds no object of attributes")
        attributes |= {str(key): str(value) for key, value in found.items()}
    return attributes


def _advice(error: LknbError, where: _Where) -> str:
    if isinstance(error, ConnectError) and error.kind == "unavailable" and where.url == DEV_URL:
        return " For this command: `lknb serve --dev`, or another server by --url."
    return ""


async def _join(options: argparse.Namespace, where: _Where, attributes: dict[str, str]) -> int:
    identity = options.identity or f"lknb-{secrets.token_hex(3)}"
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    token = make_token(
        where.api_key, where.api_secret, identity, options.room, metadata=options.metadata, attributes=attributes
    )
    joining = asyncio.create_task(
        connect(options.room, url=where.url, token=token, auto_subscribe=options.auto_subscribe)
    )
    if not await _first(joining, stopped):
        return 0
    async with joining.result() as room:
        _say(f"in room {room.name} as {identity}, on {where.url}")
        ended: list[str] = []

        @room.on("disconnected")
        def end(reason: Any) -> None:
            ended.append(reason.name)
            stopped.set()

        publishing = asyncio.create_task(_publish(room, options))
        if await _first(publishing, stopped):
            publishing.result()
            if not options.exit_after_publish:
                await stopped.wait()
        if ended:
            _say(f"lknb join: the server ended it: {ended[0]}")
            return 1
    _say("left the room")
    return 0


async def _first(task: asyncio.Task[Any], stopped: asyncio.Event) -> bool:
    """Whether a task was done before we were to stop; it is cancelled otherwise."""
    waiting = asyncio.create_task(stopped.wait())
    await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        return True
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, LknbError):
        await task
    return False


async def _publish(room: Room, options: argparse.Namespace) -> None:
    """Publish all that was asked for, and follow files to their end."""
    from lknb.rtc.file_publication import publish_as_device
    from lknb.rtc.running_source import TestPattern, Tone
    from lknb.rtc.track import LocalAudioTrack, LocalVideoTrack

    if options.publish_data is not None:
        await room.local_participant.publish_data(options.publish_data)
        _say("data sent")
    if options.publish_dtmf is not None:
        await _send_digits(room, options.publish_dtmf)
    if options.publish_demo:
        for track in (
            LocalVideoTrack.create_video_track("demo", TestPattern(1280, 720)),
            LocalAudioTrack.create_audio_track("demo", Tone(440.0)),
        ):
            await publish_as_device(room.local_participant, track)
        _say("publishing demo: 1280x720 in three layers, and a tone of 440 Hz")
    playing = []
    for path in options.publish:
        file = _file(path, options.fps)
        sids = await _publish_file(room, file)
        playing.append(asyncio.create_task(_follow(room, file, sids)))
    try:
        await asyncio.gather(*playing)
    finally:
        for task in playing:
            task.cancel()


async def _publish_file(room: Room, file: MediaFile) -> list[str]:
    """Publish picture and sound of a file; the sids. Raises `PublishTrackError` when it has neither, or cannot be read."""
    from lknb.rtc.enumeration import TrackKind
    from lknb.rtc.file_publication import publish_file

    name = _name_of(file)
    published = await publish_file(room.local_participant, file, name)
    # the server may not have said yet what it is encoded as
    kinds = " and ".join(
        publication.mime_type or ("video" if publication.kind == TrackKind.KIND_VIDEO else "audio")
        for publication in published
    )
    length = f", {file.duration:.1f} s" if file.duration is not None else ""
    _say(f"publishing {name}: {kinds}{length}")
    return [publication.sid for publication in published]


def _name_of(file: MediaFile) -> str:
    return Path(file.path).name


async def _send_digits(room: Room, digits: str) -> None:
    for digit in digits:
        if digit == _DTMF_PAUSE:
            await asyncio.sleep(_DTMF_PAUSE_S)
        else:
            await room.local_participant.publish_dtmf(code=_DTMF_DIGITS.index(digit), digit=digit)
    _say("digits sent")


async def _follow(room: Room, file: MediaFile, sids: list[str]) -> None:
    """Show how far a file is, and unpublish it at its end. Raises `MediaError` when it ended with a fault."""
    name = _name_of(file)
    on_terminal = sys.stderr.isatty()
    ending = asyncio.create_task(file.wait_for_end())
    try:
        while not (await asyncio.wait({ending}, timeout=_TERMINAL_EVERY_S if on_terminal else _LOG_EVERY_S))[0]:
            position_s = await file.position()
            length = f" of {file.duration:.1f}" if file.duration is not None else ""
            _say(f"{name}: {position_s:.1f}{length} s", passing=on_terminal)
        ending.result()
    finally:
        ending.cancel()
    _say(f"finished {name}")
    for sid in sids:
        await room.local_participant.unpublish_track(sid)


def _say(text: str, *, passing: bool = False) -> None:
    """To stderr, so that stdout stays free; what passes is written over by what comes next."""
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{clear}{text}", end="" if passing else "\n", file=sys.stderr, flush=True)
