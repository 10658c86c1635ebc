"""Chromium's own WebRTC at the other end: its ICE, DTLS, SRTP and SCTP instead of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright

from lknb.logic.negotiation import (
    Negotiation,
    SectionPlan,
    application_section,
    bundle_transport,
    find_codec,
)
from lknb.transport.ice import IceTransport
from lknb.transport.ice_full import FullIceTransport
from lknb.transport.ice_lite import UdpMux
from lknb.wire.rtp import parse_rtp
from lknb.wire.sdp import MediaSection, build_sdp, parse_sdp
from tests.kit.chromium import FLAGS, find_chromium
from tests.kit.poll import wait_until
from tests.transport.pair import Side

CALLER = """
() => {
    const canvas = Object.assign(document.createElement("canvas"), {width: 320, height: 240});
    const context = canvas.getContext("2d");
    window.timer = setInterval(() => {
        context.fillStyle = `hsl(${Date.now() % 360} 80% 50%)`;
        context.fillRect(0, 0, 320, 240);
    }, 30);
    window.pc = new RTCPeerConnection();
    window.got = [];
    window.channel = pc.createDataChannel("_reliable");
    channel.binaryType = "arraybuffer";
    channel.onmessage = (event) => got.push(event.data.byteLength);
    pc.ondatachannel = ({channel: theirs}) => {
        theirs.binaryType = "arraybuffer";
        theirs.onmessage = (event) => got.push(theirs.label + event.data.byteLength);
    };
    const [track] = canvas.captureStream(30).getTracks();
    pc.addTransceiver(track, {direction: "sendonly"});
}
"""
OFFER = """
async (restart) => {
    if (restart) pc.restartIce();
    await pc.setLocalDescription();
    return pc.localDescription.sdp;
}
"""
ANSWER = "(sdp) => pc.setRemoteDescription({type: 'answer', sdp})"


@pytest_asyncio.fixture
async def page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), headless=True, args=list(FLAGS))
        yield await browser.new_page()
        await browser.close()


def receive_vp8(section: MediaSection) -> SectionPlan:
    codec = find_codec(section, "VP8")
    return SectionPlan(direction="recvonly", codecs=[codec] if codec else [])


async def call(page: Page, side: Side, negotiation: Negotiation, *, restart: bool = False, setup: Any) -> None:
    """One offer of the page, answered."""
    offer = parse_sdp(await page.evaluate(OFFER, restart))
    remote = bundle_transport(offer)
    assert remote is not None
    await side.peer.gather()
    if side.peer.state != "new":
        await side.peer.update_remote(remote)
    answer = negotiation.create_answer(offer, receive_vp8, side.peer.local(setup))
    await page.evaluate(ANSWER, build_sdp(answer))
    if side.peer.state == "new":
        application = application_section(offer)
        assert application is not None
        await side.peer.start(
            remote, setup=setup, sctp_port=application.sctp_port, max_message_size=application.max_message_size
        )


@pytest.mark.parametrize("setup", ["passive", "active"])
@pytest.mark.parametrize("kind", ["lite", "full"])
async def test_media_data_and_ice_restart_with_chromium(page: Page, kind: str, setup: str) -> None:
    mux = await UdpMux.open()
    ice: IceTransport = mux.create_transport() if kind == "lite" else FullIceTransport(False)
    side, negotiation = Side(ice), Negotiation(1)
    ours = side.peer.create_data_channel("from us", ordered=False, max_retransmits=0)
    await page.evaluate(CALLER)
    await call(page, side, negotiation, setup=setup)
    await wait_until(lambda: len(side.rtp) > 20)
    assert len({(view.ssrc, view.payload_type) for view in map(parse_rtp, side.rtp)}) == 1
    await wait_until(lambda: side.rtcp)
    # data both ways, small and large
    await wait_until(lambda: ours.is_open and side.channels)
    await page.evaluate("channel.send('grüß'), channel.send(new Uint8Array(60000))")
    await wait_until(lambda: [m for _, m in side.messages] == ["grüß".encode(), bytes(60_000)])
    side.channels[0].send(bytes(60_000))
    ours.send(b"123")
    await wait_until(lambda: page.evaluate("got.map(String).sort().join()"), what="data at the page")
    assert (
        await wait_until(lambda: page.evaluate("got.length == 2 && got.map(String).sort().join()")) == "60000,from us3"
    )
    # an ICE restart under it
    credentials = side.peer.local(setup).ufrag
    await call(page, side, negotiation, restart=True, setup=setup)
    assert side.peer.local(setup).ufrag != credentials
    await side.peer.wait_restarted()
    await wait_until(
        lambda: page.evaluate("pc.iceConnectionState == 'connected' || pc.iceConnectionState == 'completed'")
    )
    received = len(side.rtp)
    await wait_until(lambda: len(side.rtp) > received + 20)
    assert side.peer.counters.undecryptable == 0
    assert side.states == ["connecting", "connected"]
    # and the page's goodbye
    await page.evaluate("pc.close()")
    await wait_until(lambda: side.peer.state == "failed")
    await side.peer.close()
    mux.close()
