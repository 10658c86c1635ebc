"""Publishing what a media file holds, in step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lknb.errors import NoSuchStreamError, PublishTrackError
from lknb.rtc.enumeration import TrackKind, TrackSource
from lknb.rtc.option import TrackPublishOptions
from lknb.rtc.track import LocalAudioTrack, LocalVideoTrack

if TYPE_CHECKING:
    from lknb.rtc.local_participant import LocalParticipant
    from lknb.rtc.media_file import MediaFile
    from lknb.rtc.track_publication import LocalTrackPublication


async def publish_file(participant: LocalParticipant, file: MediaFile, name: str) -> list[LocalTrackPublication]:
    """Publish the pictures and the sound of a file under a name, or the one of both that it has, as camera and microphone.

    Raises `PublishTrackError` when it holds neither, or one of both cannot be published; then nothing of it stays.
    """
    published: list[LocalTrackPublication] = []
    for track in (
        LocalVideoTrack.create_video_track(name, file.video),
        LocalAudioTrack.create_audio_track(name, file.audio),
    ):
        try:
            published.append(await publish_as_device(participant, track))
        except PublishTrackError as error:
            if isinstance(error.__cause__, NoSuchStreamError):
                continue
            for publication in published:
                await participant.unpublish_track(publication.sid)
            raise
    if not published:
        raise PublishTrackError(f"{file.path!r} holds neither pictures nor sound")
    return published


async def publish_as_device(
    participant: LocalParticipant, track: LocalVideoTrack | LocalAudioTrack
) -> LocalTrackPublication:
    """Publish a track as the camera or the microphone, which is what LiveKit's user interfaces show and play; as a track of
    no source when that place is taken. Raises `PublishTrackError`."""
    device = TrackSource.SOURCE_CAMERA if track.kind == TrackKind.KIND_VIDEO else TrackSource.SOURCE_MICROPHONE
    taken = any(publication.source == device for publication in participant.track_publications.values())
    source = TrackSource.SOURCE_UNKNOWN if taken else device
    return await participant.publish_track(track, TrackPublishOptions(source=source))
