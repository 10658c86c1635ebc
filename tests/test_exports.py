"""What `lknb` offers, and that it can take the place of `livekit`."""

from __future__ import annotations

import enum
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import livekit.api
import livekit.rtc
import pytest
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

import lknb
from lknb import api, errors, rtc

ROOT = Path(__file__).resolve().parents[1]

SHARED = {
    "AVSynchronizer", "AudioMixer", "AudioResampler", "AudioResamplerQuality", "combine_audio_frames", "FrameProcessor",
    "NoiseCancellationOptions",
    "AudioFrame", "AudioFrameEvent", "AudioSource", "AudioStream", "AudioTrack", "ConnectError", "ConnectionQuality",
    "ConnectionState", "ContinualGatheringPolicy", "DataPacket", "DataPacketKind", "DegradationPreference",
    "DisconnectReason", "EncryptionType", "EventEmitter", "IceServer", "IceTransportType", "LocalAudioTrack",
    "LocalParticipant", "LocalTrack", "LocalTrackPublication", "LocalVideoTrack", "Participant", "ParticipantKind",
    "ParticipantKindDetail", "ParticipantState", "ParticipantTrackPermission", "RemoteAudioTrack", "RemoteParticipant",
    "RemoteTrack", "RemoteTrackPublication", "RemoteVideoTrack", "Room", "RoomOptions", "RtcConfiguration", "RtcStats",
    "SipDTMF", "StreamState", "Track", "TrackKind", "TrackPublication", "TrackPublishOptions", "TrackSource",
    "Transcription", "TranscriptionSegment", "VideoBufferType", "VideoCodec", "VideoEncoderBackend", "VideoEncoding",
    "VideoFrame", "VideoFrameEvent", "VideoQuality", "VideoRotation", "VideoSource", "VideoStream", "VideoTrack",
    "__version__", "stats",
}  # fmt: skip
"""Names of `livekit.rtc` that `lknb.rtc` has."""

ABSENT = {
    # sources of encoded video
    "EncodedFrameType", "EncodedVideoFrame", "EncodedVideoSource", "EncodedVideoSourceFeedback", "EncodedRateControl",
    # end-to-end encryption
    "EncryptionState", "KeyDerivationFunction", "E2EEManager", "E2EEOptions", "KeyProviderOptions", "KeyProvider",
    "FrameCryptor",
    # streams and RPC
    "DataStreamOptions", "TextStreamInfo", "ByteStreamInfo", "TextStreamReader", "TextStreamWriter", "ByteStreamReader",
    "ByteStreamWriter", "StreamError", "RpcError", "RpcInvocationData", "RpcCallInfo", "RpcInterceptor",
    # data tracks and frame metadata
    "LocalDataTrack", "RemoteDataTrack", "DataTrackStream", "DataTrackFrame", "DataTrackInfo", "PushFrameError",
    "SubscribeDataTrackError", "FrameMetadata", "FrameMetadataFeature",
    # processing of sound, devices of this machine
    "AudioFilter", "AudioProcessingModule", "PlatformAudio", "PlatformAudioSource",
    "PlatformAudioOptions", "PlatformAudioError", "AudioDeviceInfo", "MediaDevices",
    # reconnection on request
    "SimulateScenarioKind",
}  # fmt: skip
"""Names of `livekit.rtc` that `lknb.rtc` has not."""

OWN = {
    "AudioCaptureOptions", "AudioEncoding", "MediaDevicesError", "MediaFile", "PublishDataError", "PublishTrackError",
    "Recorder", "ScreenShareCaptureOptions", "TestPattern", "Tone", "TrackList", "TrackReference", "UnpublishTrackError",
    "VideoCaptureOptions",
}  # fmt: skip
"""Names of `lknb.rtc` that `livekit.rtc` has elsewhere or not at all."""

MADE_BY_THE_LIBRARY = {
    "LocalAudioTrack", "LocalParticipant", "LocalTrackPublication", "LocalVideoTrack", "Participant", "RemoteAudioTrack",
    "RemoteParticipant", "RemoteTrackPublication", "RemoteVideoTrack", "Track", "TrackPublication", "RtcStats",
}  # fmt: skip
"""Classes users get and do not make: their constructors differ."""

MESSAGES = {"IceServer": rtc.IceServer, "ParticipantTrackPermission": rtc.ParticipantTrackPermission,
            "TrackPublishOptions": rtc.TrackPublishOptions, "VideoEncoding": rtc.VideoEncoding}  # fmt: skip
LEFT_OUT_FIELDS = {"frame_metadata_features"}

NOT_YET = {
    "Room": {
        "e2ee_manager", "register_byte_stream_handler", "unregister_byte_stream_handler", "register_text_stream_handler",
        "unregister_text_stream_handler", "simulate_scenario",
    },
    "LocalParticipant": {
        "perform_rpc", "add_rpc_interceptor", "remove_rpc_interceptor", "register_rpc_method", "unregister_rpc_method",
        "stream_text", "send_text", "stream_bytes", "send_file", "send_bytes", "publish_data_track",
    },
    "TrackPublication": {"frame_metadata_features"},
    "LocalTrackPublication": {"frame_metadata_features"},
    "RemoteTrackPublication": {"frame_metadata_features"},
}  # fmt: skip
"""Public members of the shared classes that come with the features above."""


def test_every_name_of_livekit_rtc_is_here_or_known_to_be_absent() -> None:
    offered = set(livekit.rtc.__all__)
    assert offered | {"MediaDevices"} == SHARED | ABSENT
    assert not SHARED & ABSENT
    assert set(rtc.__all__) == SHARED | OWN
    for name in rtc.__all__:
        assert hasattr(rtc, name)
    assert not [name for name in ABSENT if hasattr(rtc, name)]


def enumerations() -> list[tuple[str, dict[str, int]]]:
    found = []
    for name in sorted(SHARED):
        theirs = getattr(livekit.rtc, name)
        if isinstance(theirs, EnumTypeWrapper):
            found.append((name, dict(theirs.items())))
        elif isinstance(theirs, type) and issubclass(theirs, enum.IntEnum):
            found.append((name, {member.name: member.value for member in theirs}))
    return found


@pytest.mark.parametrize(("name", "values"), enumerations())
def test_enumerations_have_the_same_names_and_numbers(name: str, values: dict[str, int]) -> None:
    ours: Any = getattr(rtc, name)
    assert dict(ours.items()) == values
    assert ours.keys() == list(values)
    assert ours.values() == list(values.values())
    for text, number in values.items():
        assert ours.Value(text) == number
        assert ours.Name(number) == text
        assert isinstance(getattr(ours, text), int)
        assert f"{getattr(ours, text)}" == str(number)
    assert ours.ValueType is int
    with pytest.raises(ValueError):
        ours.Value("NOPE")
    with pytest.raises(ValueError):
        ours.Name(99)


def assert_callable_alike(theirs: Any, ours: Any, what: str) -> None:
    """Whatever call the signature of `theirs` allows, `ours` takes: same names, order and kinds, defaults where there are."""
    their_parameters = inspect.signature(theirs).parameters
    our_parameters = inspect.signature(ours).parameters
    positional = [p for p in their_parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    our_positional = [p for p in our_parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in positional] == [p.name for p in our_positional][: len(positional)], what
    has_keywords = any(p.kind is p.VAR_KEYWORD for p in our_parameters.values())
    for name, parameter in their_parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        assert name in our_parameters or has_keywords, f"{what}: {name}"
        if parameter.default is not parameter.empty and name in our_parameters:
            assert our_parameters[name].default is not parameter.empty, f"{what}: {name} has no default"
    for name, parameter in our_parameters.items():
        added = name not in their_parameters and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        assert not added or parameter.default is not parameter.empty, f"{what}: {name} must have a default"


def classes() -> list[str]:
    return [
        name
        for name in sorted(SHARED)
        if inspect.isclass(getattr(livekit.rtc, name))
        and name not in MESSAGES
        and not issubclass(getattr(livekit.rtc, name), enum.Enum)
    ]


@pytest.mark.parametrize("name", classes())
def test_classes_are_made_and_called_alike(name: str) -> None:
    theirs, ours = getattr(livekit.rtc, name), getattr(rtc, name)
    if name not in MADE_BY_THE_LIBRARY:
        assert_callable_alike(theirs, ours, name)
    for member, value in inspect.getmembers(theirs):
        if member.startswith("_") or member in NOT_YET.get(name, ()):
            continue
        assert hasattr(ours, member), f"{name}.{member}"
        if inspect.isfunction(value):
            mine = getattr(ours, member)
            assert inspect.iscoroutinefunction(value) == inspect.iscoroutinefunction(mine), f"{name}.{member}"
            assert_callable_alike(value, mine, f"{name}.{member}")


@pytest.mark.parametrize("name", sorted(NOT_YET))
def test_what_is_not_there_yet_is_not_there(name: str) -> None:
    assert not [member for member in NOT_YET[name] if hasattr(getattr(rtc, name), member)]


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_options_have_the_fields_of_the_messages(name: str) -> None:
    theirs = getattr(livekit.rtc, name)
    for field in theirs.DESCRIPTOR.fields:
        if field.name not in LEFT_OUT_FIELDS:
            made = MESSAGES[name]()
            setattr(made, field.name, getattr(made, field.name))
            MESSAGES[name](**{field.name: getattr(made, field.name)})


def test_the_errors_of_participants_are_where_livekit_has_them() -> None:
    from livekit.rtc import participant as theirs

    from lknb.rtc import participant as ours

    for name in (
        "PublishTrackError",
        "UnpublishTrackError",
        "PublishDataError",
        "PublishDTMFError",
        "PublishTranscriptionError",
    ):
        assert hasattr(theirs, name)
        error = getattr(ours, name)("why")
        assert isinstance(error, errors.LknbError)
        assert error.message == "why"
    assert rtc.ConnectError("why").message == "why"


def test_api_is_livekit_api() -> None:
    for name in [*livekit.api.__all__, "CreateRoomRequest", "RoomParticipantIdentity", "ListRoomsRequest", "Room"]:
        assert getattr(api, name) is getattr(livekit.api, name)
    assert set(dir(api)) >= set(livekit.api.__all__)
    with pytest.raises(AttributeError, match=r"lknb\.api"):
        _ = api.NoSuchThing


def test_the_package_lists_what_it_has() -> None:
    for name in lknb.__all__:
        assert name in dir(lknb)
        assert getattr(lknb, name) is not None
    assert callable(lknb.connect)
    with pytest.raises(AttributeError):
        _ = lknb.nonsense


LIGHT = """
import json, sys
before = set(sys.modules)
import lknb
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def test_importing_lknb_is_light() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], cwd=ROOT, capture_output=True, text=True, check=True)
    imported = set(json.loads(done.stdout))
    heavy = {
        "aiortc",
        "aioice",
        "av",
        "ipywidgets",
        "anywidget",
        "numpy",
        "aiohttp",
        "livekit",
        "google",
        "IPython",
        "PIL",
    }
    assert not imported & heavy


def test_naming_the_function_s_module_leaves_the_function() -> None:
    code = "import lknb.connect, lknb.dev_server; assert callable(lknb.connect); from lknb.connect import KEY_VARIABLE"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


SHOW = """
import sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
if sys.argv[1] == "kernel":
    shell.kernel = object()
import lknb
from lknb.rtc.room import Room

shown = []
Room._ipython_display_ = lambda self: shown.append("lknb.widgets" in sys.modules)
assert "lknb.widgets" not in sys.modules
shell.display_formatter.ipython_display_formatter(Room())
assert shown == [sys.argv[1] == "kernel"], shown
"""


@pytest.mark.parametrize("where", ["kernel", "terminal"])
def test_widgets_are_imported_when_the_first_thing_is_shown_in_a_kernel(where: str) -> None:
    subprocess.run([sys.executable, "-c", SHOW, where], cwd=ROOT, check=True)
