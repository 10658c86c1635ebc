"""The rows of the interop matrix, and what each of them has to show.

A new client joins the matrix with a kind in `conftest.open_peer` and lines in `ROWS`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.kit.peer import AudioReport, Colour, Peer, TrackState, VideoReport, is_near
from tests.kit.poll import wait_until

RED: Colour = (200, 40, 40)
GREEN: Colour = (40, 160, 60)
BLUE: Colour = (30, 60, 200)
TONE_HZ = 440.0
# the coarser of the two readers resolves 2.9 Hz
TONE_TOLERANCE_HZ = 6.0


@dataclass(frozen=True, slots=True)
class Row:
    """Who publishes to whom, and how. `mutual` rows publish in both directions at once."""

    publisher: str
    subscriber: str
    simulcast: bool = False
    codec: str = "vp8"
    mutual: bool = False

    def __str__(self) -> str:
        how = [word for word, said in ((self.codec, self.codec != "vp8"), ("simulcast", self.simulcast)) if said]
        arrow = "<->" if self.mutual else "->"
        return " ".join((self.publisher, *how, arrow, self.subscriber))

    @property
    def id(self) -> str:
        """The name for pytest's -k: "wheel-h264-to-livekit-client"."""
        return str(self).replace("<->", "with").replace("->", "to").replace(" ", "-")

    @property
    def size(self) -> tuple[int, int]:
        """Of the published picture: three layers need 960 pixels or more on the long side."""
        return (1280, 720) if self.simulcast else (640, 360)


ROWS = (
    Row("wheel", "wheel"),
    Row("wheel", "wheel", simulcast=True),
    Row("wheel", "livekit-client"),
    Row("wheel", "livekit-client", simulcast=True),
    Row("wheel", "livekit-client", codec="h264"),
    Row("livekit-client", "wheel"),
    Row("livekit-client", "wheel", simulcast=True),
    Row("livekit-client", "wheel", codec="h264"),
    Row("livekit-client", "livekit-client", simulcast=True, mutual=True),
    Row("lknb", "wheel"),
    Row("lknb", "wheel", simulcast=True),
    Row("lknb", "wheel", codec="h264"),
    Row("lknb", "livekit-client", simulcast=True),
    Row("lknb", "livekit-client", codec="h264"),
    Row("wheel", "lknb"),
    Row("wheel", "lknb", simulcast=True),
    Row("livekit-client", "lknb", simulcast=True),
    Row("livekit-client", "lknb", codec="h264"),
    Row("lknb", "lknb", simulcast=True, mutual=True),
)


class Direction:
    """One participant's camera and microphone on their way to another participant."""

    def __init__(self, row: Row, publisher: Peer, subscriber: Peer) -> None:
        self.row, self.publisher, self.subscriber = row, publisher, subscriber
        self.camera = self.microphone = ""
        self.subscription = 1
        self.first_frame_ms = 0.0

    async def publish(self) -> None:
        width, height = self.row.size
        began = time.monotonic()
        self.camera = await self.publisher.publish_video(
            RED, width=width, height=height, simulcast=self.row.simulcast, codec=self.row.codec
        )
        self.microphone = await self.publisher.publish_audio(TONE_HZ)
        await self.subscriber.wait_video(self.camera, lambda report: report.frames > 0, deadline_s=20)
        self.first_frame_ms = (time.monotonic() - began) * 1000

    async def see(self, colour: Colour) -> VideoReport:
        """Pictures of this colour, from the reader of the newest `track_subscribed` event."""
        return await self.subscriber.wait_video(
            self.camera,
            lambda report: (
                report.subscription == self.subscription and report.frames > 3 and is_near(report.colour, colour)
            ),
        )

    async def hear(self) -> AudioReport:
        return await self.subscriber.wait_audio(
            self.microphone,
            lambda report: abs(report.peak_hz - TONE_HZ) < TONE_TOLERANCE_HZ and report.level > 0.05,
        )

    async def check_media(self) -> str:
        """Known pixels, the known tone, and in the receiver's stats the codec asked for; how it looked, in words."""
        width, height = self.row.size
        await self.see(RED)
        heard = await self.hear()
        seen = await self.subscriber.wait_video(
            self.camera, lambda report: (report.width, report.height) == (width, height), 20
        )
        assert seen.codec == self.row.codec, seen
        assert heard.codec in ("opus", "red"), heard
        colour = ",".join(map(str, seen.colour))
        return (
            f"{seen.width}x{seen.height} {seen.codec} ({colour}), {heard.peak_hz:.1f} Hz {heard.codec}, "
            f"first frame {self.first_frame_ms:.0f} ms"
        )

    async def check_mute(self) -> None:
        """The other side is told, pictures stop while sound goes on, and come back with what is shown by then."""
        await self.publisher.set_muted(self.camera, True)
        await self.subscriber.wait_event("track_muted", track_sid=self.camera, participant=self.publisher.identity)
        assert (await self.track()).muted
        await self._no_picture_for_half_a_second()
        await self.publisher.set_colour(self.camera, BLUE)
        await self.publisher.set_muted(self.camera, False)
        await self.subscriber.wait_event("track_unmuted", track_sid=self.camera, participant=self.publisher.identity)
        assert not (await self.track()).muted
        await self.see(BLUE)

    async def _no_picture_for_half_a_second(self) -> None:
        """The audio is the clock: two counts of pictures, 50 packets of sound apart, must come to the same."""
        pictures, sounds = -1, 0

        async def stands_still() -> bool:
            nonlocal pictures, sounds
            heard = await self.subscriber.audio(self.microphone)
            assert heard is not None
            if heard.frames < sounds + 50:
                return False
            seen = await self.subscriber.video(self.camera)
            assert seen is not None
            still, pictures, sounds = seen.frames == pictures, seen.frames, heard.frames
            return still

        await wait_until(stands_still, 10, what=lambda: f"pictures still come, {pictures} so far", interval_s=0.05)

    async def check_resubscription(self) -> None:
        """Unsubscribed, then subscribed again: a second event, whose own reader gets pictures."""
        await self.subscriber.set_subscribed(self.camera, False)
        await self.subscriber.wait_event("track_unsubscribed", track_sid=self.camera)
        assert await self.subscriber.video(self.camera) is None
        await self.publisher.set_colour(self.camera, GREEN)
        await self.subscriber.set_subscribed(self.camera, True)
        await self.subscriber.wait_event("track_subscribed", count=2, track_sid=self.camera)
        self.subscription = 2
        await self.see(GREEN)

    async def check_layers(self) -> None:
        """The subscriber chooses a layer, and gets the pictures of that layer."""
        for quality, height in (("low", 180), ("medium", 360), ("high", 720)):
            await self.subscriber.set_video_quality(self.camera, quality)
            await self.subscriber.wait_video(self.camera, lambda report, height=height: report.height == height)

    async def check_unpublishing(self) -> None:
        """The other side is told, for the track and for its subscription, and forgets the publication."""
        await self.publisher.unpublish(self.camera)
        await self.subscriber.wait_event("track_unpublished", track_sid=self.camera)
        await self.subscriber.wait_event(
            "track_unsubscribed", track_sid=self.camera, count=self.subscription, deadline_s=5
        )
        assert self.camera not in await self.subscriber.tracks()
        # the microphone is not touched by it
        assert self.microphone in await self.subscriber.tracks()
        await self.hear()

    async def track(self) -> TrackState:
        return (await self.subscriber.tracks())[self.camera]


async def check_data(sender: Peer, receiver: Peer) -> None:
    """Reliable and lossy packets with their topic, to everybody and to one."""
    # a server may tell of a participant without tracks up to 3 s late, and a client shows no sender it does not know
    await wait_until(lambda: _knows(receiver, sender), what="the receiver knows the sender")
    for reliable in (True, False):
        payload = f"{sender.identity} {reliable} \0\xff".encode() + bytes(range(256)) * 8
        await sender.send_data(payload, reliable=reliable, topic="weather")
        event = await receiver.wait_event("data_received", payload=payload)
        assert (event.topic, event.reliable, event.participant) == ("weather", reliable, sender.identity)
    await sender.send_data(b"not for you", reliable=True, topic="x", to=("somebody else",))
    await sender.send_data(b"for you", reliable=True, topic="x", to=(receiver.identity,))
    await receiver.wait_event("data_received", payload=b"for you")
    assert not await receiver.events("data_received", payload=b"not for you")


async def _knows(peer: Peer, other: Peer) -> bool:
    return other.identity in await peer.participants()


async def check_leaving(leaver: Peer, witness: Peer) -> None:
    """Who leaves is seen to leave, with all tracks."""
    await leaver.disconnect()
    await witness.wait_event("participant_disconnected", participant=leaver.identity)
    assert leaver.identity not in await witness.participants()
    assert not await witness.tracks()
