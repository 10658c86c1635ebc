"""The bridge to the devices of pages: which widget that captures is shown, and whether its page can be asked just now."""

from __future__ import annotations

from lknb.core.client import CoreClient
from lknb.errors import MediaDevicesError
from lknb.rtc.device_bridge import PageChoice
from lknb.widgets import comm
from lknb.widgets.capture_tab import OPENING_S
from lknb.widgets.control_bar import ControlBar, bars_of

WAIT_S = 5.0
"""For the lane of a page that has just been shown."""
_BUTTONS = {
    "camera": "Turn camera on",
    "microphone": "Turn microphone on",
    "screen": "Share screen",
    "speaker": "Choose a speaker",
}


class PageBridge:
    """See `DeviceBridge`."""

    def choose(self, client: CoreClient, room: int | None, device: str) -> PageChoice:
        bars = bars_of(room)
        if not bars:
            raise MediaDevicesError.no_page(device)
        # the camera page plays nothing, and a page that may not capture is heard all the same
        if device != "speaker" and any(bar.tab.connected for bar in bars):
            return PageChoice(room, WAIT_S)
        if device != "speaker" and not any(bar.able for bar in bars):
            if bars[0].tab.open_here():
                return PageChoice(room, OPENING_S, able=True)
            raise MediaDevicesError(
                "what shows this notebook may not use cameras: press “Open camera page” in the room's buttons, and run this "
                "again when the page has come, or publish a source of the kernel (VideoSource, MediaFile)",
                device,
                "front_end",
            )
        if not any(_can_be_asked(bar) for bar in bars):
            button = _BUTTONS.get(device, "the button of the device")
            raise MediaDevicesError(
                "this page reaches the kernel by messages that wait until the cell has ended, so a cell cannot wait for it: "
                f"press “{button}” in the room's buttons, which works, or call this as a task (asyncio.create_task)",
                device,
                "needs_click",
            )
        return PageChoice(room, WAIT_S)


def _can_be_asked(bar: ControlBar) -> bool:
    """Whether an answer of the page can arrive while the present cell runs."""
    return bar.lane != "comm" or bar.hears_while_busy or not comm.cell_is_running()
