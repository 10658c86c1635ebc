"""What a notebook shows: views of tracks, and the page's side of the lanes.

    video_view   `VideoView`, a remote video track in a cell
    room_audio   `RoomAudio`, the sound of a room; audio_view, one track of it
    comm         the widget comm made safe for other threads and for busy kernels
    picture      the last picture of a view, kept in the saved notebook
    label        names that participants chose, fit to be shown
    esm          the JavaScript in js/, put together without a bundler

In js/, for the page: loader, video (the entry), session (one widget in one page), tile (one view), face (its elements),
host (whether a lane can work here). For its Worker: worker (the entry), player (one lane), gate (what is decoded), painter
(canvases and pictures), codec, message.

For the sound of a room, in the page: audio (the entry), hearer (one room in one page), bar (one view), mixing (its end of the
audio thread); output (the way out for all sound), page (what all widgets of a page share) and hear (what makes any view of a
room one that is heard). In its Worker: ear (the entry), listener (from the lane to decoded sound). In the audio thread: mixer
(the entry), ring (one track).

Importing this package makes tracks show themselves as the last line of a cell. A view holds no protocol logic: it asks
the room core for a ticket, and the page plays the track from the core's lane. Nothing below may import from here.
"""

from __future__ import annotations

from lknb.rtc.device_bridge import register_bridge
from lknb.rtc.display import register_view
from lknb.widgets.audio_view import AudioView, audio_view_of
from lknb.widgets.control_bar import ControlBar
from lknb.widgets.page_bridge import PageBridge
from lknb.widgets.quality_selector import QualitySelector
from lknb.widgets.room_audio import RoomAudio, room_audio_of
from lknb.widgets.speaker_indicator import SpeakerIndicator
from lknb.widgets.stats_plot import StatsPlot
from lknb.widgets.subscription_table import SubscriptionTable
from lknb.widgets.video_view import VideoView, video_view_of

register_bridge(PageBridge())
register_view("video", video_view_of)
register_view("audio", audio_view_of)

__all__ = [
    "AudioView",
    "ControlBar",
    "QualitySelector",
    "RoomAudio",
    "SpeakerIndicator",
    "StatsPlot",
    "SubscriptionTable",
    "VideoView",
    "room_audio_of",
]
