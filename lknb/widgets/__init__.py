"""What a notebook shows: views of tracks, and the page's side of the lanes.

    video_view           `VideoView`, a video track in a cell              subject   what it was given, the track of now
    participant_tile     `ParticipantTile`, a camera or initials           participant_grid    `ParticipantGrid`, all of them
    room_panel           `RoomPanel`, everything about a room              room_header         its head
    control_view         `ControlView`, the base of these, without video:
      subscription_table   `SubscriptionTable`      quality_selector   `QualitySelector`, with quality_choice
      speaker_indicator    `SpeakerIndicator`       stats_plot         `StatsPlot`        note   a sentence and what to run
    lane_widget, comm_lane   what widgets with a lane to the core have in common, and lanes over the comm
    room_audio           `RoomAudio`, the sound of a room                  audio_view   one track of it
    control_bar          `ControlBar`, own camera, microphone, screen      call_panel   `CallPanel`, grid and bar
    camera_preview       `CameraPreview`, `DevicePicker`                   publish_panel  `PublishPanel`, own publications
    capture_tab          `CaptureTab`, a tab of the browser in their place where a notebook may not capture; own_desktop
                         whether the kernel can open it; call_buttons   what the buttons of both do
    page_bridge          which of these pages `set_camera_enabled` and its kin reach
    meter                what flows of each track of a room               watch       event handlers that go together
    hardened, comm       the widget comm made safe for other threads and for busy kernels
    picture              the last picture of a view, kept in the saved notebook
    caption              what people, tracks and layers are called
    esm                  the JavaScript in js/, put together without a bundler

In js/, for the page: loader, dom, figure (figures in words). Of a video: video (the entry), session (one widget in one page),
tile (one view), face and badge (its elements), host, dialer, uplink (its lane). Of the views without: control, and for each
kind table, quality, speakers, plot, header, note, publish. For the Worker of a video: worker (the entry), channel, player
(one lane), gate (what is decoded), painter (canvases and pictures), still (pictures in place of video), codec, message.

For the sound of a room, in the page: audio (the entry), hearer (one room in one page), bar (one view), mixing (its end of the
audio thread); output (the way out for all sound), speaker (the loudspeaker it goes to), page (what all widgets of a page
share) and hear (what makes any view of a room one that is heard). In its Worker: ear (the entry), listener (from the lane to
decoded sound). In the audio thread: mixer (the entry), ring (one track).

For own devices, in the page: bar_widget (the entry), control_bar (the buttons), capture_session (one widget in one page),
capture_device (cameras, microphones, screens), capture_report (what the kernel is told of them), capture_screen (screens, and
the click they need), capture_feed (from them to the Worker), device_list (which there are), device_fault (what is wrong, in
words), speaker_choice and speaker_menu (which loudspeaker), preview (the entry before a call), kernel_watch (whether there is
a kernel), route and loopback (the way out for sound while a microphone is open, so that no echo is sent). In a tab of its own:
capture_tab (the entry), tab_dialer (its lane), tab_model (what its buttons know). In its Worker: capture_worker (the entry),
video_uplink and audio_uplink (encoders), encoder_pace (no queue in them), batch (few messages, never too much). In the audio
thread, where a browser needs it: tap.

Importing this package makes rooms, participants and tracks show themselves as the last line of a cell. A view holds no
protocol logic: it asks the room core for a ticket, and the page plays the track from the core's lane. Nothing below may
import from here.
"""

from __future__ import annotations

from lknb.rtc.device_bridge import register_bridge
from lknb.rtc.display import register_view
from lknb.widgets.audio_view import AudioView, audio_view_of
from lknb.widgets.call_panel import CallPanel
from lknb.widgets.camera_preview import CameraPreview, DevicePicker
from lknb.widgets.control_bar import ControlBar
from lknb.widgets.page_bridge import PageBridge
from lknb.widgets.participant_grid import ParticipantGrid
from lknb.widgets.participant_tile import ParticipantTile, participant_tile_of
from lknb.widgets.publish_panel import PublishPanel
from lknb.widgets.quality_selector import QualitySelector
from lknb.widgets.room_audio import RoomAudio, room_audio_of
from lknb.widgets.room_panel import RoomPanel, room_panel_of
from lknb.widgets.speaker_indicator import SpeakerIndicator
from lknb.widgets.stats_plot import StatsPlot
from lknb.widgets.subscription_table import SubscriptionTable
from lknb.widgets.video_view import VideoView, video_view_of

register_bridge(PageBridge())
register_view("video", video_view_of)
register_view("audio", audio_view_of)
register_view("participant", participant_tile_of)
register_view("room", room_panel_of)

__all__ = [
    "AudioView",
    "CallPanel",
    "CameraPreview",
    "ControlBar",
    "DevicePicker",
    "ParticipantGrid",
    "ParticipantTile",
    "PublishPanel",
    "QualitySelector",
    "RoomAudio",
    "RoomPanel",
    "SpeakerIndicator",
    "StatsPlot",
    "SubscriptionTable",
    "VideoView",
    "room_audio_of",
]
