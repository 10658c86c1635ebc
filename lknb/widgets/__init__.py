"""What a notebook shows: views of tracks, and the page's side of the lanes.

    video_view   `VideoView`, a remote video track in a cell
    comm         the widget comm made safe for other threads and for busy kernels
    picture      the last picture of a view, kept in the saved notebook
    label        names that participants chose, fit to be shown
    esm          the JavaScript in js/, put together without a bundler

In js/, for the page: loader, video (the entry), session (one widget in one page), tile (one view), face (its elements),
host (whether a lane can work here). For its Worker: worker (the entry), player (one lane), gate (what is decoded), painter
(canvases and pictures), codec, message.

Importing this package makes tracks show themselves as the last line of a cell. A view holds no protocol logic: it asks
the room core for a ticket, and the page plays the track from the core's lane. Nothing below may import from here.
"""

from __future__ import annotations

from lknb.rtc.display import register_view
from lknb.widgets.quality_selector import QualitySelector
from lknb.widgets.speaker_indicator import SpeakerIndicator
from lknb.widgets.stats_plot import StatsPlot
from lknb.widgets.subscription_table import SubscriptionTable
from lknb.widgets.video_view import VideoView, video_view_of

register_view("video", video_view_of)

__all__ = ["QualitySelector", "SpeakerIndicator", "StatsPlot", "SubscriptionTable", "VideoView"]
