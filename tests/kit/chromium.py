"""`Peer` over the official livekit-client in headless Chromium."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

from aiohttp import web
from playwright.async_api import Browser, BrowserContext, Page, Playwright, async_playwright
from playwright.async_api import Error as PlaywrightError

from tests.kit import npm
from tests.kit.peer import Inbound, Layer, Peer
from tests.kit.poll import TIME_FACTOR

PAGE = Path(__file__).parent / "page"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CALL_DEADLINE_S = 30.0
_FEATURES_OFF = (
    # a page of Chromium's own beside every window, for what is typed as an address: half a second of a CPU
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup",
    # what playwright turns off, which this list takes the place of
    "AimEnabled", "AvoidCorsURLLoaderRestartOnRedirect", "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose", "HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades", "LensOverlay", "MediaRouter",
    "NetworkTimeServiceQuerying", "OptimizationHints", "PaintHolding", "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
)  # fmt: skip
FLAGS = (
    f"--disable-features={','.join(_FEATURES_OFF)}",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream=fps=30",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)


def find_chromium() -> str:
    """The browser to test with. AssertionError, with what to do, when there is none."""
    found = os.environ.get("LKNB_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    assert found, "no Chromium: run tests/run once, or install it, or set LKNB_TEST_CHROMIUM to its path"
    return found


class Chromium:
    """A headless browser, and the pages it may load from 127.0.0.1; `async with`."""

    def __init__(self, *flags: str) -> None:
        self._flags = (*FLAGS, *flags)
        self._playwright: Playwright | None = None
        self._runner: web.AppRunner | None = None
        self.browser: Browser
        self.page_url = ""

    async def __aenter__(self) -> Chromium:
        try:
            await self._serve_page()
            self._playwright = await async_playwright().start()
            self.browser = await self._playwright.chromium.launch(
                executable_path=find_chromium(), headless=True, args=list(self._flags)
            )
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.browser.close()
        await self.close()

    async def _serve_page(self) -> None:
        app = web.Application()
        app.router.add_static("/livekit-client", npm.package("livekit-client") / "dist")
        app.router.add_static("/", PAGE)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.page_url = f"http://127.0.0.1:{port}/index.html"

    async def close(self) -> None:
        if self._playwright is not None:
            await self._playwright.stop()
        if self._runner is not None:
            await self._runner.cleanup()


class ChromiumPeer(Peer):
    """A participant in a window of its own, on livekit-client."""

    kind = "livekit-client"

    def __init__(self, identity: str, chromium: Chromium) -> None:
        super().__init__(identity)
        self._chromium = chromium
        self._context: BrowserContext | None = None
        self.page: Page
        self.console: list[str] = []

    async def open(self) -> None:
        # a context of its own is a window of its own: two pages of one window would hide each other
        self._context = await self._chromium.browser.new_context()
        self.page = await self._context.new_page()
        self.page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.console.append(f"uncaught: {error}"))
        await self.page.goto(self._chromium.page_url)
        await self.page.wait_for_function("window.peer !== undefined", timeout=20_000 * TIME_FACTOR)

    async def call(self, operation: str, **arguments: Any) -> Any:
        called = self.page.evaluate("([operation, given]) => peer[operation](given)", [operation, arguments])
        try:
            return await asyncio.wait_for(called, CALL_DEADLINE_S * TIME_FACTOR)
        except TimeoutError:
            raise AssertionError(f"{self.kind} {self.identity}: no answer to {operation}; {self._last()}") from None
        except PlaywrightError as error:
            raise AssertionError(f"{self.kind} {self.identity}: {operation}: {error}; {self._last()}") from None

    def _last(self) -> str:
        return "console: " + " | ".join(line[:300] for line in self.console[-8:])

    async def publish_camera(
        self,
        *,
        width: int = 1280,
        height: int = 720,
        frame_rate: int = 30,
        simulcast: bool = True,
        codec: str = "vp8",
    ) -> str:
        """The browser's camera (its fake one), as an application does it; the track's sid."""
        return str(
            await self.call(
                "publish_camera", width=width, height=height, frame_rate=frame_rate, simulcast=simulcast, codec=codec
            )
        )

    async def set_enabled(self, track_sid: str, enabled: bool) -> None:
        await self.call("set_enabled", track_sid=track_sid, enabled=enabled)

    async def set_video_dimensions(self, track_sid: str, width: int, height: int) -> None:
        await self.call("set_video_dimensions", track_sid=track_sid, width=width, height=height)

    async def set_video_fps(self, track_sid: str, fps: int) -> None:
        await self.call("set_video_fps", track_sid=track_sid, fps=fps)

    async def time_picture(self, wish: str, track_sid: str, shown: int, **options: Any) -> float:
        """Ask for something ("set_video_quality", quality="low"); milliseconds until a picture `shown` high is there."""
        return float(
            await self.call(
                "time_picture",
                wish=wish,
                track_sid=track_sid,
                shown=shown,
                deadline_s=25 * TIME_FACTOR,
                **options,
            )
        )

    async def inbound(self, track_sid: str) -> Inbound:
        """What the browser has counted of a track it receives. AssertionError when it receives nothing."""
        raw = await self.call("inbound", track_sid=track_sid)
        assert raw is not None, f"{self.identity} does not receive {track_sid}"
        return Inbound(**raw)

    async def tap_pictures(self) -> None:
        """Note every encoded picture that is sent or received by way of connections made from now on."""
        await self.call("tap_pictures")

    async def tapped(self) -> list[dict[str, Any]]:
        """All that was noted so far (`tests/kit/pictures.py`)."""
        return list(await self.call("tapped"))

    async def layers(self, track_sid: str) -> dict[str, Layer]:
        """What the browser sends of a video track it published, by rid ("" without simulcast)."""
        return {raw["rid"]: Layer(**raw) for raw in await self.call("layers", track_sid=track_sid)}

    async def reports_answered(self, track_sid: str) -> int:
        """Of how many layers of a track it published the server has answered a sender report."""
        return int(await self.call("reports_answered", track_sid=track_sid))

    async def close(self) -> None:
        if self._context is not None:
            await self._context.close()
