"""One participant in a process of its own: `python -m tests.kit.room_child livekit.rtc`.

The official wheel keeps threads and descriptors for the life of its process and can end it, so it never runs inside the
tests. The module is an argument, because `lknb.rtc` is a drop-in: the same participant then runs on lknb.

Protocol: one JSON object a line. In {"id", "op", ...arguments}; out {"id", "ok": value} or {"id", "error": text}.
The operations are the `do_` methods; `tests/kit/peer.py` says what they mean.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
import os
import sys
import time
from typing import Any

import numpy as np

from tests.kit.event_log import EventLog

SAMPLE_RATE_HZ = 48_000
SAMPLES_10_MS = 480
# A stream that is muted or unsubscribed ends with black 8x8 key frames of the server's making.
CLOSING_FRAME_SIDE = 16


AWAKE_STEP_S, AWAKE_STEP_MAX_S = 0.01, 0.03


class AwakeClock:
    """Seconds that this process had: it stands still while the machine gives the process no time."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        last_s = time.monotonic()
        while True:
            await asyncio.sleep(AWAKE_STEP_S)
            before_s, last_s = last_s, time.monotonic()
            self.now_s += min(last_s - before_s, AWAKE_STEP_MAX_S)


class VideoReader:
    """Everything decoded since one `track_subscribed` event."""

    def __init__(self, rtc: Any, track: Any, subscription: int) -> None:
        self.track, self.subscription = track, subscription
        self.frames = self.closing_frames = self.width = self.height = 0
        self.colour = [0, 0, 0]
        self.awake: AwakeClock | None = None
        """Pauses are noted by it from when somebody asks for them."""
        self.last_at_s = self.longest_gap_s = 0.0
        self.stream = rtc.VideoStream(track, format=rtc.VideoBufferType.RGBA)
        self.task = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        async for event in self.stream:
            frame = event.frame
            if frame.width <= CLOSING_FRAME_SIDE:
                self.closing_frames += 1
                continue
            self.frames += 1
            if self.awake is not None:
                self.longest_gap_s = max(self.longest_gap_s, self.awake.now_s - self.last_at_s)
                self.last_at_s = self.awake.now_s
            self.width, self.height = frame.width, frame.height
            picture = np.frombuffer(frame.data, np.uint8).reshape(frame.height, frame.width, 4)
            middle = picture[frame.height // 4 : -frame.height // 4, frame.width // 4 : -frame.width // 4, :3]
            self.colour = [round(float(value)) for value in middle.reshape(-1, 3).mean(axis=0)]

    async def report(self) -> dict[str, Any]:
        codec, ssrc = await inbound_codec(self.track)
        return {
            "subscription": self.subscription,
            "frames": self.frames,
            "closing_frames": self.closing_frames,
            "width": self.width,
            "height": self.height,
            "colour": self.colour,
            "codec": codec,
            "ssrc": ssrc,
        }


class AudioReader:
    """The last half second heard since one `track_subscribed` event."""

    def __init__(self, rtc: Any, track: Any, subscription: int) -> None:
        self.track, self.subscription = track, subscription
        self.frames = 0
        self.heard = np.zeros(SAMPLE_RATE_HZ // 2, np.float64)
        self.loudness: list[float] = []
        self.stream = rtc.AudioStream(track, sample_rate=SAMPLE_RATE_HZ, num_channels=1)
        self.task = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        async for event in self.stream:
            samples = np.frombuffer(event.frame.data, np.int16) / 32768.0
            self.frames += 1
            self.loudness.append(float(np.sqrt(np.mean(samples**2))))
            self.heard = np.concatenate((self.heard, samples))[-len(self.heard) :]

    async def report(self) -> dict[str, Any]:
        spectrum = np.abs(np.fft.rfft(self.heard * np.hanning(len(self.heard))))
        codec, ssrc = await inbound_codec(self.track)
        return {
            "subscription": self.subscription,
            "frames": self.frames,
            "peak_hz": float(np.argmax(spectrum) * SAMPLE_RATE_HZ / len(self.heard)),
            "level": float(np.sqrt(np.mean(self.heard**2))),
            "codec": codec,
            "ssrc": ssrc,
        }


async def inbound_codec(track: Any) -> tuple[str, int]:
    """The codec and SSRC a remote track is really received with, from its stats: ("vp8", 1234), else ("", 0)."""
    codecs, inbound = {}, None
    for stat in await track.get_stats():
        match stat.WhichOneof("stats"):
            case "codec":
                codecs[stat.codec.rtc.id] = stat.codec.codec.mime_type
            case "inbound_rtp":
                inbound = stat.inbound_rtp.stream
    if inbound is None:
        return "", 0
    return codecs.get(inbound.codec_id, "").partition("/")[2].lower(), inbound.ssrc


class RoomChild:
    """A room, what it publishes, and what is seen and heard in it."""

    def __init__(self, module: str) -> None:
        self.rtc = importlib.import_module(module)
        self.room = self.rtc.Room()
        self.events: list[dict[str, Any]] = []
        self.log = EventLog(self.room)
        self.readers: dict[str, VideoReader | AudioReader] = {}
        self.subscriptions: dict[str, int] = {}
        self.publications: dict[str, Any] = {}
        self.colours: dict[str, list[int]] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._listen()

    def _listen(self) -> None:
        for name in (
            "participant_connected", "participant_disconnected", "track_published", "track_unpublished",
            "track_subscribed", "track_unsubscribed", "track_muted", "track_unmuted", "local_track_published",
            "active_speakers_changed", "connection_state_changed", "reconnecting", "reconnected", "disconnected",
            "track_subscription_failed", "data_received", "sip_dtmf_received",
        ):  # fmt: skip
            self.room.on(name, lambda *arguments, name=name: self._on_event(name, arguments))

    def _on_event(self, name: str, arguments: tuple[Any, ...]) -> None:
        event: dict[str, Any] = {"name": name, "at_s": time.monotonic()}
        for argument in arguments:
            if name == "data_received":
                sender = argument.participant
                event["payload"] = base64.b64encode(argument.data).decode()
                event["topic"] = argument.topic or ""
                event["reliable"] = argument.kind == self.rtc.DataPacketKind.KIND_RELIABLE
                event["participant"] = sender.identity if sender is not None else ""
            elif name == "sip_dtmf_received":
                event["text"] = f"{argument.code} {argument.digit}"
            elif isinstance(argument, list):
                event["speakers"] = [participant.identity for participant in argument]
            elif hasattr(argument, "identity"):
                event["participant"] = argument.identity
            elif hasattr(argument, "sid"):
                event["track_sid"] = argument.sid
            else:
                event["text"] = str(argument)
        self.events.append(event)
        if name == "track_subscribed":
            self._open_reader(arguments[0])
        elif name == "track_unsubscribed":
            self._close_reader(event["track_sid"])

    def _open_reader(self, track: Any) -> None:
        self._close_reader(track.sid)
        self.subscriptions[track.sid] = self.subscriptions.get(track.sid, 0) + 1
        reader = VideoReader if track.kind == self.rtc.TrackKind.KIND_VIDEO else AudioReader
        self.readers[track.sid] = reader(self.rtc, track, self.subscriptions[track.sid])

    def _close_reader(self, track_sid: str) -> None:
        reader = self.readers.pop(track_sid, None)
        if reader is not None:
            self.tasks[f"close {id(reader)}"] = asyncio.ensure_future(reader.stream.aclose())

    async def do_connect(
        self, url: str, token: str, single_peer_connection: bool, auto_subscribe: bool, dynacast: bool
    ) -> dict[str, str]:
        options = self.rtc.RoomOptions(
            auto_subscribe=auto_subscribe, dynacast=dynacast, single_peer_connection=single_peer_connection
        )
        await self.room.connect(url, token, options)
        return {"sid": self.room.local_participant.sid}

    async def do_disconnect(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await self.room.disconnect()

    async def do_publish_video(
        self, colour: list[int], width: int, height: int, frame_rate: int, simulcast: bool, codec: str
    ) -> str:
        source = self.rtc.VideoSource(width, height)
        track = self.rtc.LocalVideoTrack.create_video_track("camera", source)
        options = self.rtc.TrackPublishOptions(
            source=self.rtc.TrackSource.SOURCE_CAMERA,
            simulcast=simulcast,
            video_codec=getattr(self.rtc.VideoCodec, codec.upper()),
        )
        publication = await self.room.local_participant.publish_track(track, options)
        self.publications[publication.sid] = publication
        self.colours[publication.sid] = colour
        feed = self._feed_video(publication.sid, source, width, height, frame_rate)
        self.tasks[publication.sid] = asyncio.ensure_future(feed)
        return str(publication.sid)

    async def _feed_video(self, sid: str, source: Any, width: int, height: int, frame_rate: int) -> None:
        picture = np.full((height, width, 4), 255, np.uint8)
        count = 0
        while True:
            picture[..., :3] = self.colours[sid]
            # moves, so that no encoder rests; outside the middle, whose colour is measured
            left = count * 8 % (width - width // 16)
            picture[: height // 8, left : left + width // 16, :3] = 255
            source.capture_frame(self.rtc.VideoFrame(width, height, self.rtc.VideoBufferType.RGBA, picture.tobytes()))
            count += 1
            await asyncio.sleep(1 / frame_rate)

    async def do_publish_audio(self, frequency_hz: float) -> str:
        source = self.rtc.AudioSource(SAMPLE_RATE_HZ, 1)
        track = self.rtc.LocalAudioTrack.create_audio_track("microphone", source)
        options = self.rtc.TrackPublishOptions(source=self.rtc.TrackSource.SOURCE_MICROPHONE)
        publication = await self.room.local_participant.publish_track(track, options)
        self.publications[publication.sid] = publication
        self.tasks[publication.sid] = asyncio.ensure_future(self._feed_audio(source, frequency_hz))
        return str(publication.sid)

    async def _feed_audio(self, source: Any, frequency_hz: float) -> None:
        count = 0
        while True:
            moments_s = (np.arange(SAMPLES_10_MS) + count) / SAMPLE_RATE_HZ
            samples = (np.sin(2 * np.pi * frequency_hz * moments_s) * 12_000).astype(np.int16)
            await source.capture_frame(self.rtc.AudioFrame(samples.tobytes(), SAMPLE_RATE_HZ, 1, SAMPLES_10_MS))
            count += SAMPLES_10_MS

    async def do_set_colour(self, track_sid: str, colour: list[int]) -> None:
        self.colours[track_sid] = colour

    async def do_publish_again(self, track_sid: str) -> str:
        track = self.publications.pop(track_sid).track
        options = self.rtc.TrackPublishOptions(source=self.rtc.TrackSource.SOURCE_CAMERA, simulcast=False)
        await self.room.local_participant.unpublish_track(track_sid)
        publication = await self.room.local_participant.publish_track(track, options)
        self.publications[publication.sid] = publication
        return str(publication.sid)

    async def do_unpublish(self, track_sid: str) -> None:
        self.tasks.pop(track_sid).cancel()
        await self.room.local_participant.unpublish_track(track_sid)

    async def do_set_muted(self, track_sid: str, muted: bool) -> None:
        track = self.publications[track_sid].track
        track.mute() if muted else track.unmute()

    def _remote(self, track_sid: str) -> Any:
        for participant in self.room.remote_participants.values():
            if track_sid in participant.track_publications:
                return participant.track_publications[track_sid]
        raise LookupError(f"no remote track {track_sid}")

    async def do_set_subscribed(self, track_sid: str, subscribed: bool) -> None:
        self._remote(track_sid).set_subscribed(subscribed)

    async def do_set_video_quality(self, track_sid: str, quality: str) -> None:
        value = getattr(self.rtc.VideoQuality, f"VIDEO_QUALITY_{quality.upper()}")
        self._remote(track_sid).set_video_quality(value)

    async def do_set_track_permissions(self, everybody: bool, tracks: dict[str, list[str] | None]) -> None:
        permissions = [
            self.rtc.ParticipantTrackPermission(
                participant_identity=identity, allow_all=sids is None, allowed_track_sids=sids or []
            )
            for identity, sids in tracks.items()
        ]
        self.room.local_participant.set_track_subscription_permissions(
            allow_all_participants=everybody, participant_permissions=permissions
        )

    async def do_send_data(self, payload: str, reliable: bool, topic: str, to: list[str]) -> None:
        await self.room.local_participant.publish_data(
            base64.b64decode(payload), reliable=reliable, topic=topic, destination_identities=to
        )

    async def do_describe(self, metadata: str, name: str, attributes: dict[str, str]) -> None:
        participant = self.room.local_participant
        await participant.set_metadata(metadata)
        await participant.set_name(name)
        await participant.set_attributes(attributes)

    async def do_log(self) -> list[list[Any]]:
        return self.log.lines

    async def do_events(self) -> list[dict[str, Any]]:
        return self.events

    async def do_participants(self) -> list[str]:
        return list(self.room.remote_participants)

    async def do_tracks(self) -> dict[str, dict[str, Any]]:
        return {
            sid: {
                "participant": identity,
                "muted": publication.muted,
                "codec": publication.mime_type.partition("/")[2].lower(),
            }
            for identity, participant in self.room.remote_participants.items()
            for sid, publication in participant.track_publications.items()
        }

    async def do_video(self, track_sid: str) -> dict[str, Any] | None:
        return await self._report(track_sid, VideoReader)

    async def do_loudness(self, track_sid: str) -> list[float]:
        reader = self.readers[track_sid]
        assert isinstance(reader, AudioReader)
        return reader.loudness

    async def do_audio(self, track_sid: str) -> dict[str, Any] | None:
        return await self._report(track_sid, AudioReader)

    async def do_inbound_audio(self, track_sid: str) -> dict[str, float]:
        """What libwebrtc counted of an audio track it receives: packets, and seconds of sound it made up itself."""
        for stat in await self._remote(track_sid).track.get_stats():
            if stat.WhichOneof("stats") == "inbound_rtp":
                inbound = stat.inbound_rtp
                concealed_s = inbound.inbound.concealed_samples / SAMPLE_RATE_HZ
                return {"packets": inbound.received.packets_received, "concealed_s": concealed_s}
        return {"packets": 0, "concealed_s": 0.0}

    async def do_media_bytes(self) -> int:
        """Bytes of media that all connections of the room have received so far."""
        stats = await self.room.get_rtc_stats()
        everything = [*stats.publisher_stats, *stats.subscriber_stats]
        inbound = [stat.inbound_rtp.inbound for stat in everything if stat.WhichOneof("stats") == "inbound_rtp"]
        return sum(item.bytes_received + item.header_bytes_received for item in inbound)

    async def do_flow(self, track_sid: str) -> dict[str, float]:
        """Of a video track that is received: what libwebrtc has counted, and the longest time without a picture since
        the last call, of that in which this process was given any."""
        reader = self.readers[track_sid]
        if reader.awake is None:
            reader.awake = AwakeClock()
        gap_s, reader.longest_gap_s = max(reader.longest_gap_s, reader.awake.now_s - reader.last_at_s), 0.0
        flow = {"width": 0, "frames": 0, "bytes": 0, "gap_s": gap_s}
        for stat in await reader.track.get_stats():
            if stat.WhichOneof("stats") == "inbound_rtp":
                inbound = stat.inbound_rtp.inbound
                flow |= {"width": reader.width, "frames": inbound.frames_decoded, "bytes": inbound.bytes_received}
        return flow

    async def _report(self, track_sid: str, kind: type[VideoReader] | type[AudioReader]) -> dict[str, Any] | None:
        reader = self.readers.get(track_sid)
        return await reader.report() if isinstance(reader, kind) else None


async def serve(module: str, output: int) -> None:
    """Answer requests until stdin ends."""
    child = RoomChild(module)
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    running: set[asyncio.Task[None]] = set()

    async def answer(request: dict[str, Any]) -> None:
        number, operation = request.pop("id"), request.pop("op")
        try:
            reply = {"id": number, "ok": await getattr(child, f"do_{operation}")(**request)}
        except Exception as error:
            reply = {"id": number, "error": f"{type(error).__name__}: {error}"}
        os.write(output, json.dumps(reply).encode() + b"\n")

    while line := await reader.readline():
        task = asyncio.ensure_future(answer(json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)


if __name__ == "__main__":
    # what a library prints must not stand between the answers
    answers = os.dup(1)
    os.dup2(2, 1)
    asyncio.run(serve(sys.argv[1], answers))
    sys.stderr.flush()
    # the wheel's native threads make an ordinary exit hang or abort now and then
    os._exit(0)
