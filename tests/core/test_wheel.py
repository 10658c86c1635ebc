"""A session of ours and the official client in one room: what either sends, the other decodes."""

from __future__ import annotations

import pytest
from livekit.protocol import models

from tests.core.room import Member, decode_video, peak_hz
from tests.kit.peer import is_near
from tests.kit.poll import wait_until
from tests.kit.wheel import WheelPeer

RED, BLUE = (200, 40, 40), (40, 40, 200)


@pytest.mark.parametrize("codec", ["vp8", "h264"])
async def test_media_and_data_both_ways(server, room, single, codec):
    async with Member(server, "alice", room) as alice, WheelPeer("bob") as bob:
        await alice.connect(single=single)
        camera = await alice.publish(
            alice.open("pattern", "video", width=320, height=180, fps=20, codec=codec, color=RED)
        )
        microphone = await alice.publish(alice.open("tone", "audio", frequency_hz=440.0))
        await bob.connect(server.url, server.token("bob", room), single_peer_connection=single)
        their_camera = await bob.publish_video(BLUE, width=320, height=180, codec=codec)
        their_microphone = await bob.publish_audio(660.0)

        await alice.read(their_camera)
        await alice.read(their_microphone)
        pictures = decode_video(await alice.wait_frames(their_camera, 20))
        assert is_near(tuple(int(c) for c in pictures[-1][90, 160]), BLUE)
        assert abs(peak_hz((await alice.wait_frames(their_microphone, 60))[-50:]) - 660) < 5
        assert alice.heard("track_subscribed", track_sid=their_camera)[0]["codec"] == codec

        seen = await bob.wait_video(camera, lambda video: video.frames > 10 and is_near(video.colour, RED))
        assert (seen.codec, seen.width, seen.height) == (codec, 320, 180)
        await bob.wait_audio(microphone, lambda audio: abs(audio.peak_hz - 440) < 5)

        for reliable in (True, False):
            payload = b"reliable" if reliable else b"lossy"
            packet = models.DataPacket(user=models.UserPacket(payload=payload, topic="t"))
            await alice.session.send_data(packet.SerializeToString(), reliable=reliable)
            event = await bob.wait_event("data_received", payload=payload)
            assert (event.participant, event.topic, event.reliable) == ("alice", "t", reliable)
            await bob.send_data(payload, reliable=reliable)
        await wait_until(lambda: len(alice.data()) == 2)
        assert {(kept, packet.user.payload) for kept, packet in alice.data()} == {
            (True, b"reliable"),
            (False, b"lossy"),
        }


async def test_mute_unpublish_and_layers_as_the_official_client_sees_them(server, room, single):
    async with Member(server, "alice", room) as alice, WheelPeer("bob") as bob:
        await alice.connect(single=single)
        await bob.connect(server.url, server.token("bob", room), single_peer_connection=single)
        camera = await alice.publish(alice.open("pattern", "video", width=1280, height=720, fps=15, color=RED))
        await bob.wait_video(camera, lambda video: video.width == 1280 and video.frames > 5, 30)
        await bob.set_video_quality(camera, "low")
        await bob.wait_video(camera, lambda video: video.width == 320)
        alice.session.publishing.mute(camera, True)
        await bob.wait_event("track_muted", track_sid=camera)
        alice.session.publishing.mute(camera, False)
        await bob.wait_event("track_unmuted", track_sid=camera)
        frames = (await bob.video(camera)).frames
        await bob.wait_video(camera, lambda video: video.frames > frames + 10 and is_near(video.colour, RED))
        await alice.session.publishing.unpublish(camera)
        await bob.wait_event("track_unpublished", track_sid=camera)
