"""The layer asked for, in the words of the views: `low`, `medium`, `high`, and `auto` when nothing was asked."""

from __future__ import annotations

from lknb.errors import TrackError
from lknb.rtc.enumeration import VideoQuality
from lknb.rtc.track_publication import RemoteTrackPublication
from lknb.widgets.caption import LAYERS

AUTO = "auto"
CHOICES = (*LAYERS, AUTO)


def chosen_quality(publication: RemoteTrackPublication) -> str:
    """What was asked of this publication."""
    quality = publication._setting.quality
    return AUTO if quality is None else LAYERS[VideoQuality.of(quality, VideoQuality.VIDEO_QUALITY_HIGH)]


def choose_quality(publication: RemoteTrackPublication, choice: object) -> None:
    """Ask for another. Raises TrackError for a word that is none, ValueError for a track that has no layers."""
    if choice == AUTO:
        publication.set_video_quality(None)
    elif choice in LAYERS:
        publication.set_video_quality(VideoQuality(LAYERS.index(str(choice))))
    else:
        raise TrackError(f"a quality is one of {', '.join(CHOICES)}, not {choice!r}")
