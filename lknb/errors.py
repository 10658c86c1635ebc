"""Every error lknb raises, in one tree.

LknbError
├── WireError (ValueError)           bytes or text from a peer that do not follow their format
├── ConnectError                     a room could not be joined; `.kind` says why, the text what to do
├── DisconnectedError                the room, or the process behind it, is gone
├── CoreError                        the room core process could not start, died, or cannot be told this
├── DevServerError                   the embedded server could not start, or died
├── PublishTrackError                a track was not published; `.message`
├── UnpublishTrackError              a track was not unpublished; `.message`
├── PublishDataError                 a data packet was not sent; `.message`
├── RequestError                     the server refused a change of our own name, metadata or attributes; `.reason`
├── TrackError                       a frame, a snapshot or a subscription could not be had
├── FrameError (ValueError)          an array or a frame of the wrong shape, dtype, size or format
├── MediaError                       a media file could not be read, or a codec failed
│   ├── MediaDevicesError            a camera, microphone or screen of the page cannot be had; `.kind`, `.reason`
│   ├── MediaNotFoundError           there is no such file, or nothing at that URL
│   ├── NoSuchStreamError            a file without pictures, or without sound
│   └── UnreadableMediaError         what is there is no media, or none that can be decoded
├── LimitExceeded (ValueError)       an argument is larger than LiveKit allows
└── DependencyError (ImportError)    an installed package lacks something lknb leans on
"""

from __future__ import annotations

from typing import Literal

ConnectErrorKind = Literal[
    "bad_url", "not_allowed", "room_not_found", "unsupported", "bad_request", "unavailable", "timeout", "leave",
    "cancelled", "media",
]  # fmt: skip


class LknbError(Exception):
    """The root of everything lknb raises on its own account."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


class WireError(LknbError, ValueError):
    """Bytes or text received from a peer do not follow their format. The only error `lknb.wire` raises."""


class ConnectError(LknbError):
    """A room could not be joined. The text says what to look at; `kind` is stable for programs.

    `kind`: bad_url, not_allowed (401, 403), room_not_found, unsupported (no LiveKit answers there, or too old),
    bad_request (400), unavailable (refused, DNS, 5xx), timeout, leave (the server sent us away), cancelled,
    media (signalling worked, ICE or DTLS did not).
    """

    def __init__(self, message: str, kind: ConnectErrorKind = "unavailable") -> None:
        super().__init__(message)
        self.kind: ConnectErrorKind = kind


class DisconnectedError(LknbError):
    """The room was left, or the process behind it is gone, before the call was through."""


class CoreError(LknbError):
    """The room core process could not be started, died, or was to be told what no message can carry."""


class DevServerError(LknbError):
    """The embedded server could not be started, or died."""


class PublishTrackError(LknbError):
    """The track was not published."""


class UnpublishTrackError(LknbError):
    """The track was not unpublished."""


class PublishDataError(LknbError):
    """The data packet was not sent."""


class RequestError(LknbError):
    """The server refused a change of our own name, metadata or attributes.

    `reason`: LiveKit's RequestResponse.Reason in lower case (not_allowed, limit_exceeded, ...), or timeout.
    """

    def __init__(self, message: str, reason: str = "unclassified_error") -> None:
        super().__init__(message)
        self.reason = reason


class TrackError(LknbError):
    """A frame, a snapshot or a subscription could not be had."""


class FrameError(LknbError, ValueError):
    """An array or a frame has the wrong shape, dtype, size or format; the text names what was expected."""


class MediaError(LknbError):
    """A media file could not be read, or a codec failed."""


class MediaDevicesError(MediaError):
    """A camera, microphone, screen or loudspeaker of the page cannot be had. The text says what to do; the two names are for
    programs.

    `kind`: camera, microphone, screen, screen_audio, speaker, or devices when it is about none of them in particular.
    `reason`: denied, not_found, in_use, overconstrained, insecure, unsupported (this browser cannot), front_end
    (what shows the notebook may not capture, and no camera page is open), needs_click (the browser, or a lane over the
    kernel, wants a click in the page), no_page (no page of the notebook shows the room's buttons), ended (unplugged, or
    taken away while live), closed (the page went away), other.
    """

    def __init__(self, message: str, kind: str = "devices", reason: str = "other") -> None:
        super().__init__(message)
        self.kind = kind
        self.reason = reason

    @classmethod
    def no_page(cls, kind: str) -> MediaDevicesError:
        """Nothing the notebook shows can capture, or plays the room."""
        instead = "" if kind == "speaker" else ", or publish a source of the kernel (VideoSource, MediaFile)"
        return cls(
            "no page of this notebook is connected to the room: run `lknb.CallPanel(room)` (or `lknb.ControlBar(room)`) in a "
            f"cell of its own, so that its page can be asked{instead}",
            kind,
            "no_page",
        )


class MediaNotFoundError(MediaError):
    """There is no such media file, or nothing at that URL."""


class NoSuchStreamError(MediaError):
    """The media file has no pictures, or no sound."""


class UnreadableMediaError(MediaError):
    """What is there is no media file, or holds nothing that can be decoded."""


class LimitExceeded(LknbError, ValueError):
    """An argument is larger than LiveKit allows."""


class DependencyError(LknbError, ImportError):
    """An installed package lacks something lknb leans on; the text names the version to install."""
