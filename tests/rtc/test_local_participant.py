"""What we publish, send and say about ourselves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from livekit.protocol import models, rtc

from lknb.errors import (
    CoreError,
    DisconnectedError,
    LimitExceeded,
    PublishDataError,
    PublishTrackError,
    RequestError,
    UnpublishTrackError,
)
from lknb.rtc.data_packet import Transcription, TranscriptionSegment
from lknb.rtc.enumeration import TrackSource, VideoCodec
from lknb.rtc.local_participant import LocalParticipant
from lknb.rtc.option import ParticipantTrackPermission, TrackPublishOptions, VideoEncoding
from lknb.rtc.room import Room
from lknb.rtc.track import LocalAudioTrack, LocalVideoTrack
from tests.rtc.fake_source import FakeSource
from tests.rtc.scripted_core import ScriptedCore, person, turn


@pytest.fixture
async def room(core: ScriptedCore) -> AsyncIterator[Room]:
    async with Room() as made:
        await made.connect("ws://somewhere", "token")
        yield made


@pytest.fixture
def me(room: Room) -> LocalParticipant:
    return room.local_participant


def hear(room: Room, *names: str) -> list[tuple[Any, ...]]:
    heard: list[tuple[Any, ...]] = []
    for name in names:
        room.on(name, lambda *arguments, name=name: heard.append((name, *arguments)))
    return heard


class TestPublishing:
    async def test_a_track_is_published_in_the_layers_of_its_source(
        self, core: ScriptedCore, room: Room, me: LocalParticipant
    ) -> None:
        heard, source = hear(room, "local_track_published"), FakeSource()
        track = LocalVideoTrack.create_video_track("cam", source)
        options = TrackPublishOptions(source=TrackSource.SOURCE_CAMERA, stream="s")
        publication = await me.publish_track(track, options)
        assert heard == [("local_track_published", publication, track)]
        assert me.track_publications == {"TR_1": publication}
        assert (publication.track, track.sid, track.name, publication.source) == (
            track, "TR_1", "cam", TrackSource.SOURCE_CAMERA,
        )  # fmt: skip
        assert core.sent("publish") == [{"op": "publish", "room": 1, "source": 100, "codec": "vp8"}]
        asked = rtc.AddTrackRequest.FromString(core.requests[-1][1][0])
        assert (asked.name, asked.width, asked.height, asked.stream, asked.cid) == ("cam", 1280, 720, "s", "")
        layers = [(layer.quality, layer.width, layer.height, layer.bitrate) for layer in asked.layers]
        assert layers == [(0, 320, 180, 160_000), (1, 640, 360, 450_000), (2, 1280, 720, 1_700_000)]

    async def test_a_source_given_directly_becomes_a_track(self, core: ScriptedCore, me: LocalParticipant) -> None:
        publication = await me.publish_track(FakeSource("audio"))
        assert isinstance(publication.track, LocalAudioTrack)
        assert publication.mime_type == "audio/opus"
        assert publication.name == "audio"
        asked = rtc.AddTrackRequest.FromString(core.requests[-1][1][0])
        assert (asked.type, asked.stereo, asked.disable_dtx, asked.disable_red) == (0, True, True, True)

    async def test_options_reach_the_source(self, me: LocalParticipant) -> None:
        source = FakeSource()
        options = TrackPublishOptions(simulcast=False, video_codec=VideoCodec.H264)
        options.video_encoding.max_bitrate = 500_000
        options.video_encoding.max_framerate = 12.0
        await me.publish_track(source, options)
        encoding = source.encodings[0]
        assert (encoding.codec, encoding.simulcast, encoding.max_bitrate_bps, encoding.max_fps) == (
            "h264", False, 500_000, 12.0,
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (
                TrackPublishOptions(video_encoding=VideoEncoding(max_bitrate=-5)),
                r"video_encoding\.max_bitrate is 0, for",
            ),
            (TrackPublishOptions(video_encoding=VideoEncoding(max_framerate=float("nan"))), "max_framerate is 0"),
            (TrackPublishOptions(video_encoding=VideoEncoding(max_bitrate="fast")), "max_bitrate is 0"),  # type: ignore[arg-type]
            (TrackPublishOptions(stream=7), "cannot be published as asked"),  # type: ignore[arg-type]
            (TrackPublishOptions(source=2**40), "cannot be published as asked"),
        ],
    )
    async def test_options_that_are_none_are_told_with_a_type(
        self, me: LocalParticipant, options: TrackPublishOptions, words: str
    ) -> None:
        source = FakeSource()
        with pytest.raises(PublishTrackError, match=words):
            await me.publish_track(source, options)
        assert source.open_handles == set()

    async def test_options_are_copied_as_messages_are(self) -> None:
        options, encoding = TrackPublishOptions(), VideoEncoding(max_bitrate=7)
        assert not options.HasField("video_encoding")
        assert not options.HasField("simulcast")
        options.video_encoding.CopyFrom(encoding)
        encoding.max_bitrate = 8
        assert options.video_encoding.max_bitrate == 7
        assert options.HasField("video_encoding")
        other = TrackPublishOptions()
        other.CopyFrom(options)
        other.video_encoding.max_bitrate = 9
        assert options.video_encoding.max_bitrate == 7
        with pytest.raises(TypeError, match="expected VideoEncoding"):
            options.video_encoding.CopyFrom(options)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="no field"):
            options.HasField("nonsense")

    async def test_a_single_layer_is_high_and_two_are_low_and_medium(
        self, core: ScriptedCore, me: LocalParticipant
    ) -> None:
        await me.publish_track(FakeSource(width=640, height=360))
        await me.publish_track(FakeSource(width=320, height=180))
        qualities = [
            [layer.quality for layer in rtc.AddTrackRequest.FromString(buffers[0]).layers]
            for header, buffers in core.requests
            if header["op"] == "publish"
        ]
        assert qualities == [[0, 1], [2]]

    async def test_a_refusal_closes_the_source(self, core: ScriptedCore, me: LocalParticipant) -> None:
        def refuse(header: Any, buffers: Any) -> Any:
            raise PublishTrackError("not allowed")

        core.respond["publish"] = refuse
        source = FakeSource()
        with pytest.raises(PublishTrackError, match="not allowed"):
            await me.publish_track(source)
        assert source.open_handles == set()
        assert me.track_publications == {}

    async def test_a_cancelled_publish_closes_the_source(self, core: ScriptedCore, me: LocalParticipant) -> None:
        core.respond["publish"] = lambda header, buffers: asyncio.get_running_loop().create_future()
        source = FakeSource()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await me.publish_track(source)
        assert source.open_handles == set()
        assert core.cancelled == ["publish"]

    async def test_what_cannot_be_published(self, core: ScriptedCore, me: LocalParticipant) -> None:
        with pytest.raises(PublishTrackError, match="neither a local track nor a source"):
            await me.publish_track("cam.mp4")  # type: ignore[arg-type]
        with pytest.raises(PublishTrackError, match="AV1"):
            await me.publish_track(FakeSource(), TrackPublishOptions(video_codec=VideoCodec.AV1))
        broken = FakeSource()
        broken.fault = "no such file"
        with pytest.raises(PublishTrackError, match="no such file"):
            await me.publish_track(broken)
        track = LocalVideoTrack.create_video_track("cam", FakeSource())
        publication, refused = await asyncio.gather(
            me.publish_track(track), me.publish_track(track), return_exceptions=True
        )
        assert isinstance(refused, PublishTrackError)
        assert list(me.track_publications.values()) == [publication]
        with pytest.raises(PublishTrackError, match="published already"):
            await me.publish_track(track)

    async def test_unpublishing(self, core: ScriptedCore, room: Room, me: LocalParticipant) -> None:
        heard, source = hear(room, "local_track_unpublished"), FakeSource()
        track = LocalVideoTrack.create_video_track("cam", source)
        publication = await me.publish_track(track)
        await me.unpublish_track(publication.sid)
        assert heard == [("local_track_unpublished", publication)]
        assert core.sent("unpublish") == [{"op": "unpublish", "room": 1, "sid": "TR_1"}]
        assert (publication.track, track.sid, source.open_handles, dict(me.track_publications)) == (None, "", set(), {})
        with pytest.raises(UnpublishTrackError, match="no track 'TR_1'"):
            await me.unpublish_track("TR_1")
        again = await me.publish_track(track)
        assert again.sid == "TR_2"

    async def test_the_server_ends_a_track(self, core: ScriptedCore, room: Room, me: LocalParticipant) -> None:
        heard, source = hear(room, "local_track_unpublished"), FakeSource()
        publication = await me.publish_track(source)
        core.signal(track_unpublished=rtc.TrackUnpublishedResponse(track_sid="TR_1"))
        await turn()
        assert heard == [("local_track_unpublished", publication)]
        assert source.open_handles == set()
        with pytest.raises(DisconnectedError):
            await publication.wait_for_subscription()

    async def test_leaving_closes_the_sources(self, core: ScriptedCore, room: Room, me: LocalParticipant) -> None:
        source = FakeSource()
        publication = await me.publish_track(source)
        assert source.open_handles
        told: list[str] = []
        for name in ("local_track_unpublished", "disconnected"):
            room.on(name, lambda *_, name=name: told.append(name))
        await room.disconnect()
        assert source.open_handles == set()
        assert publication.track is None
        assert told == ["local_track_unpublished", "disconnected"]
        with pytest.raises(PublishTrackError):
            await me.publish_track(FakeSource())
        with pytest.raises(UnpublishTrackError):
            await me.unpublish_track(publication.sid)

    async def test_whoever_is_sent_away_hears_of_the_end_of_its_tracks_after_that(
        self, core: ScriptedCore, room: Room, me: LocalParticipant
    ) -> None:
        publication = await me.publish_track(FakeSource())
        told: list[str] = []
        for name in ("local_track_unpublished", "disconnected"):
            room.on(name, lambda *_, name=name: told.append(name))
        core.tell("disconnected", reason=models.DisconnectReason.ROOM_DELETED, message="")
        await turn()
        # as the official client does
        assert told == ["disconnected", "local_track_unpublished"]
        assert me.track_publications == {}
        assert publication.track is None

    async def test_the_room_is_left_while_publishing(
        self, core: ScriptedCore, room: Room, me: LocalParticipant
    ) -> None:
        answer = core.respond["publish"]

        def leave(header: Any, buffers: Any) -> Any:
            core.tell("disconnected", reason=3)
            return answer(header, buffers)

        core.respond["publish"] = leave
        source = FakeSource()
        with pytest.raises(PublishTrackError):
            await me.publish_track(source)
        assert source.open_handles == set()


class TestMuting:
    async def test_muting_is_sync_and_told(self, core: ScriptedCore, room: Room, me: LocalParticipant) -> None:
        heard, said = hear(room, "track_muted", "track_unmuted"), []
        publication = await me.publish_track(FakeSource())
        track = publication.track
        assert track is not None
        track.on("muted", lambda: said.append("track"))
        me.on("track_muted", lambda muted: said.append(muted))
        track.mute()
        track.mute()
        assert publication.muted
        assert heard == [("track_muted", me, publication)]
        assert said == ["track", publication]
        track.unmute()
        assert heard[-1] == ("track_unmuted", me, publication)
        assert [header["muted"] for header in core.sent("mute")] == [True, False]

    async def test_muting_before_publishing(self, core: ScriptedCore, me: LocalParticipant) -> None:
        track = LocalVideoTrack.create_video_track("cam", FakeSource())
        track.mute()
        publication = await me.publish_track(track)
        assert rtc.AddTrackRequest.FromString(core.requests[-1][1][0]).muted
        assert publication.muted
        assert core.sent("mute") == []

    async def test_muting_while_publishing(self, core: ScriptedCore, me: LocalParticipant) -> None:
        track, answer = LocalVideoTrack.create_video_track("cam", FakeSource()), core.respond["publish"]

        def mute_meanwhile(header: Any, buffers: Any) -> Any:
            track.mute()
            return answer(header, buffers)

        core.respond["publish"] = mute_meanwhile
        publication = await me.publish_track(track)
        assert publication.muted
        assert core.sent("mute") == [{"op": "mute", "room": 1, "sid": "TR_1", "muted": True}]

    async def test_muting_from_another_thread(self, core: ScriptedCore, room: Room, me: LocalParticipant) -> None:
        heard = hear(room, "track_muted")
        publication = await me.publish_track(FakeSource())
        assert publication.track is not None
        thread = threading.Thread(target=publication.track.mute)
        thread.start()
        thread.join()
        await turn()
        assert heard == [("track_muted", me, publication)]

    async def test_the_server_asks_to_mute(self, core: ScriptedCore, room: Room, me: LocalParticipant) -> None:
        heard = hear(room, "track_muted")
        publication = await me.publish_track(FakeSource())
        core.signal(mute=rtc.MuteTrackRequest(sid="TR_1", muted=True))
        core.signal(mute=rtc.MuteTrackRequest(sid="TR_1", muted=True))
        await turn()
        assert heard == [("track_muted", me, publication)]
        assert publication.muted

    async def test_the_echo_of_an_old_mute_does_not_mute_again(
        self, core: ScriptedCore, room: Room, me: LocalParticipant
    ) -> None:
        publication = await me.publish_track(FakeSource())
        assert publication.track is not None
        publication.track.mute()
        publication.track.unmute()
        heard = hear(room, "track_muted", "track_unmuted")
        core.update(person("me", models.TrackInfo(sid="TR_1", type=1, muted=True), version=2))
        await turn()
        assert heard == []
        assert not publication.muted


class TestSubscription:
    async def test_the_first_subscriber_is_waited_for(
        self, core: ScriptedCore, room: Room, me: LocalParticipant
    ) -> None:
        heard = hear(room, "local_track_subscribed")
        publication = await me.publish_track(FakeSource())
        waiting = asyncio.ensure_future(publication.wait_for_subscription())
        await turn()
        core.signal(track_subscribed=rtc.TrackSubscribed(track_sid="TR_1"))
        await waiting
        await publication.wait_for_subscription()
        assert heard == [("local_track_subscribed", publication.track)]

    async def test_a_subscriber_may_be_faster_than_the_reply(
        self, core: ScriptedCore, room: Room, me: LocalParticipant
    ) -> None:
        answer, heard = core.respond["publish"], hear(room, "local_track_published", "local_track_subscribed")

        def subscribe_first(header: Any, buffers: Any) -> Any:
            core.signal(track_subscribed=rtc.TrackSubscribed(track_sid="TR_1"))
            return answer(header, buffers)

        core.respond["publish"] = subscribe_first
        await turn()
        publication = await me.publish_track(FakeSource())
        async with asyncio.timeout(1):
            await publication.wait_for_subscription()
        assert [event[0] for event in heard] == ["local_track_published", "local_track_subscribed"]

    async def test_permissions_are_sent(self, core: ScriptedCore, me: LocalParticipant) -> None:
        me.set_track_subscription_permissions(
            allow_all_participants=False,
            participant_permissions=[
                ParticipantTrackPermission(participant_identity="bob", allow_all=True),
                ParticipantTrackPermission(participant_identity="eve", allowed_track_sids=["TR_1"]),
            ],
        )
        me.set_track_subscription_permissions(allow_all_participants=True)
        first, second = core.signals("subscription_permission")
        assert not first.all_participants
        assert [(p.participant_identity, p.all_tracks, list(p.track_sids)) for p in first.track_permissions] == [
            ("bob", True, []), ("eve", False, ["TR_1"]),
        ]  # fmt: skip
        assert second.all_participants


class TestData:
    async def test_data_keys_and_transcriptions_are_sent(self, core: ScriptedCore, me: LocalParticipant) -> None:
        await me.publish_data("grüße", reliable=False, destination_identities=["bob"], topic="chat")
        await me.publish_data(bytearray(b"x"))  # type: ignore[arg-type]
        await me.publish_dtmf(code=1, digit="1")
        words = TranscriptionSegment("1", "hi", 0, 10, "en", True)
        await me.publish_transcription(Transcription("me", "TR_1", [words]))
        sent = [
            (header["reliable"], models.DataPacket.FromString(buffers[0]))
            for header, buffers in core.requests
            if header["op"] == "data"
        ]
        assert [reliable for reliable, _ in sent] == [False, True, True, True]
        first = sent[0][1]
        assert (first.user.payload, first.user.topic) == ("grüße".encode(), "chat")
        assert (list(first.destination_identities), first.kind) == (["bob"], models.DataPacket.Kind.LOSSY)
        assert sent[1][1].user.payload == b"x"
        assert sent[2][1].sip_dtmf.digit == "1"
        assert sent[3][1].transcription.segments[0].text == "hi"

    @pytest.mark.parametrize(
        ("raised", "expected"),
        [
            (PublishDataError("refused"), PublishDataError),
            (LimitExceeded("too large"), LimitExceeded),
            (CoreError("dead"), PublishDataError),
        ],
    )
    async def test_refusals(
        self, core: ScriptedCore, me: LocalParticipant, raised: Exception, expected: type[Exception]
    ) -> None:
        def refuse(header: Any, buffers: Any) -> Any:
            raise raised

        core.respond["data"] = refuse
        with pytest.raises(expected):
            await me.publish_data(b"x")

    async def test_there_is_no_room_any_more(self, room: Room, me: LocalParticipant) -> None:
        await room.disconnect()
        with pytest.raises(PublishDataError):
            await me.publish_data(b"x")


class TestOurselves:
    def answer(self, core: ScriptedCore, reason: int, message: str = "") -> None:
        def reply(header: Any, buffers: Any) -> Any:
            update = rtc.SignalRequest.FromString(buffers[0]).update_metadata
            for each in (rtc.RequestResponse.Reason.QUEUED, reason):
                core.signal(
                    request_response=rtc.RequestResponse(request_id=update.request_id, reason=each, message=message)  # type: ignore[arg-type]
                )
            return {}, []

        core.respond["signal"] = reply

    async def test_a_change_repeats_what_it_does_not_change(self, core: ScriptedCore, me: LocalParticipant) -> None:
        core.update(person("me", name="Me", metadata="m", version=2))
        await turn()
        self.answer(core, rtc.RequestResponse.Reason.OK)
        await me.set_name("I")
        await me.set_metadata("n")
        await me.set_attributes({"mood": "good"})
        sent = [(u.name, u.metadata, dict(u.attributes)) for u in core.signals("update_metadata")]
        assert sent == [("I", "m", {}), ("Me", "n", {}), ("Me", "m", {"mood": "good"})]

    async def test_a_refusal_has_a_reason(self, core: ScriptedCore, me: LocalParticipant) -> None:
        self.answer(core, rtc.RequestResponse.Reason.NOT_ALLOWED, "no permission to update own metadata")
        with pytest.raises(RequestError, match="no permission") as caught:
            await me.set_attributes({"a": "b"})
        assert caught.value.reason == "not_allowed"
        assert me._requests == {}

    async def test_silence_and_the_end_of_the_room_are_errors(
        self, core: ScriptedCore, room: Room, me: LocalParticipant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lknb.rtc.local_participant._REQUEST_TIMEOUT_S", 0.01)
        with pytest.raises(RequestError) as caught:
            await me.set_name("I")
        assert caught.value.reason == "timeout"
        monkeypatch.setattr("lknb.rtc.local_participant._REQUEST_TIMEOUT_S", 5)
        waiting = asyncio.ensure_future(me.set_name("I"))
        await turn()
        core.tell("disconnected", reason=5)
        with pytest.raises(DisconnectedError):
            await waiting
        with pytest.raises(DisconnectedError):
            await me.set_name("I")


def test_options_are_set_by_argument_or_attribute_and_nothing_else() -> None:
    options = TrackPublishOptions(video_encoding=VideoEncoding(max_framerate=30, max_bitrate=3_000_000))
    options.source = TrackSource.SOURCE_CAMERA
    assert options.simulcast is None
    with pytest.raises(AttributeError):
        options.sorce = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        TrackPublishOptions(sorce=1)  # type: ignore[call-arg]
