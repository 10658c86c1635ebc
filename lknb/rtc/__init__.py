"""The public room API: a drop-in for `livekit.rtc`, so that `from lknb import rtc` replaces `from livekit import rtc`.

    room.py               a room: joining, leaving, waiting        room_info.py, room_sid.py   what is known of it
    way_in.py             how it was joined, to be joined again
    core_room.py          the room as the core process has it: requests out, events in, on one loop
    announcer.py          from what happened in the roster to the events users hear; data_announcer.py from data packets
    event_emitter.py      handlers and their rules
    participant.py        everybody; local_participant.py ourselves
    track_publication.py  what was announced; track.py what flows; track_request.py what we tell of ours
    track_list.py         all of them as one live list
    data_packet.py        data, telephone keys and transcriptions
    option.py             what can be set; enumeration.py the enumerations
    source.py             the contract of what a track is made from
    video_source.py, audio_source.py    pictures and sound of the notebook; capture_clock.py, video_output.py their way out
    running_source.py, media_file.py    handles of sources that run in the core; core_source.py what they have in common
    page_source.py        camera, microphone and screen of the page; local_device.py and capturing_participant.py what
                          turns them on and off; device_bridge.py how the page is reached
    video_*.py, audio_*.py, media_stream.py, frame_reader.py, track_flow.py, snapshot.py    frames as numpy arrays
    recorder.py           a track or a participant -> a file; frame_writer.py writes it
    room_recording.py     everybody -> a file; room_writer.py and recorded_line.py write it; writer_thread.py what both do
    stats.py              statistics as `livekit.rtc.stats` has them; stats_report.py from what the core counted
    av_synchronizer.py    sound and picture in step; audio_mixer.py, audio_resampler.py sound on its way
    display.py            the hook through which `lknb.widgets` shows tracks in a cell; playback.py plays their room

May not: import widgets, or know how signalling and media travel: that is the core's, in a process of its own. What knows pixels
and samples, and with it PyAV and numpy, is imported at its first use: watching a room needs neither.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lknb._version import __version__
from lknb.errors import (
    ConnectError,
    MediaDevicesError,
    PublishDataError,
    PublishTrackError,
    UnpublishTrackError,
)
from lknb.rtc import stats
from lknb.rtc.data_packet import DataPacket, SipDTMF, Transcription, TranscriptionSegment
from lknb.rtc.enumeration import (
    ConnectionQuality,
    ConnectionState,
    ContinualGatheringPolicy,
    DataPacketKind,
    DegradationPreference,
    DisconnectReason,
    EncryptionType,
    IceTransportType,
    ParticipantKind,
    ParticipantKindDetail,
    ParticipantState,
    StreamState,
    TrackKind,
    TrackSource,
    VideoCodec,
    VideoEncoderBackend,
    VideoQuality,
)
from lknb.rtc.event_emitter import EventEmitter
from lknb.rtc.local_participant import LocalParticipant
from lknb.rtc.option import (
    AudioEncoding,
    IceServer,
    ParticipantTrackPermission,
    RoomOptions,
    RtcConfiguration,
    TrackPublishOptions,
    VideoEncoding,
)
from lknb.rtc.page_source import AudioCaptureOptions, ScreenShareCaptureOptions, VideoCaptureOptions
from lknb.rtc.participant import Participant, RemoteParticipant
from lknb.rtc.room import Room
from lknb.rtc.room_info import RtcStats
from lknb.rtc.running_source import MediaFile, TestPattern, Tone
from lknb.rtc.track import (
    AudioTrack,
    LocalAudioTrack,
    LocalTrack,
    LocalVideoTrack,
    RemoteAudioTrack,
    RemoteTrack,
    RemoteVideoTrack,
    Track,
    VideoTrack,
)
from lknb.rtc.track_list import TrackList, TrackReference
from lknb.rtc.track_publication import LocalTrackPublication, RemoteTrackPublication, TrackPublication
from lknb.rtc.video_buffer_type import VideoBufferType, VideoRotation

if TYPE_CHECKING:
    from lknb.rtc.audio_frame import AudioFrame
    from lknb.rtc.audio_mixer import AudioMixer
    from lknb.rtc.audio_resampler import AudioResampler, AudioResamplerQuality, combine_audio_frames
    from lknb.rtc.audio_source import AudioSource
    from lknb.rtc.audio_stream import AudioFrameEvent, AudioStream, FrameProcessor, NoiseCancellationOptions
    from lknb.rtc.av_synchronizer import AVSynchronizer
    from lknb.rtc.recorder import Recorder
    from lknb.rtc.video_frame import VideoFrame
    from lknb.rtc.video_source import VideoSource
    from lknb.rtc.video_stream import VideoFrameEvent, VideoStream

__all__ = [
    "AVSynchronizer",
    "AudioCaptureOptions",
    "AudioEncoding",
    "AudioFrame",
    "AudioFrameEvent",
    "AudioMixer",
    "AudioResampler",
    "AudioResamplerQuality",
    "AudioSource",
    "AudioStream",
    "AudioTrack",
    "ConnectError",
    "ConnectionQuality",
    "ConnectionState",
    "ContinualGatheringPolicy",
    "DataPacket",
    "DataPacketKind",
    "DegradationPreference",
    "DisconnectReason",
    "EncryptionType",
    "EventEmitter",
    "FrameProcessor",
    "IceServer",
    "IceTransportType",
    "LocalAudioTrack",
    "LocalParticipant",
    "LocalTrack",
    "LocalTrackPublication",
    "LocalVideoTrack",
    "MediaDevicesError",
    "MediaFile",
    "NoiseCancellationOptions",
    "Participant",
    "ParticipantKind",
    "ParticipantKindDetail",
    "ParticipantState",
    "ParticipantTrackPermission",
    "PublishDataError",
    "PublishTrackError",
    "Recorder",
    "RemoteAudioTrack",
    "RemoteParticipant",
    "RemoteTrack",
    "RemoteTrackPublication",
    "RemoteVideoTrack",
    "Room",
    "RoomOptions",
    "RtcConfiguration",
    "RtcStats",
    "ScreenShareCaptureOptions",
    "SipDTMF",
    "StreamState",
    "TestPattern",
    "Tone",
    "Track",
    "TrackKind",
    "TrackList",
    "TrackPublication",
    "TrackPublishOptions",
    "TrackReference",
    "TrackSource",
    "Transcription",
    "TranscriptionSegment",
    "UnpublishTrackError",
    "VideoBufferType",
    "VideoCaptureOptions",
    "VideoCodec",
    "VideoEncoderBackend",
    "VideoEncoding",
    "VideoFrame",
    "VideoFrameEvent",
    "VideoQuality",
    "VideoRotation",
    "VideoSource",
    "VideoStream",
    "VideoTrack",
    "__version__",
    "combine_audio_frames",
    "stats",
]

_HOMES = {
    "AVSynchronizer": "av_synchronizer",
    "AudioFrame": "audio_frame",
    "AudioFrameEvent": "audio_stream",
    "AudioMixer": "audio_mixer",
    "AudioResampler": "audio_resampler",
    "AudioResamplerQuality": "audio_resampler",
    "AudioSource": "audio_source",
    "AudioStream": "audio_stream",
    "FrameProcessor": "audio_stream",
    "NoiseCancellationOptions": "audio_stream",
    "Recorder": "recorder",
    "VideoFrame": "video_frame",
    "VideoFrameEvent": "video_stream",
    "VideoSource": "video_source",
    "VideoStream": "video_stream",
    "combine_audio_frames": "audio_resampler",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
