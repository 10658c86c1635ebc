from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lknb.codec.layer import Layer
from lknb.core.bandwidth import Bandwidth
from lknb.core.clock import CaptureClock
from lknb.core.feed import Feed
from lknb.core.outbox import Outbox
from lknb.core.publication import Publication
from lknb.core.rtp_sender import RtpSender
from lknb.wire import extension, rtcp
from lknb.wire.frame import EncodedFrame

THREE = (Layer("q", 320, 180, 160_000, 20), Layer("h", 640, 360, 450_000, 20), Layer("f", 1280, 720, 1_700_000, 30))
ONE = (Layer("", 640, 360, 450_000, 25),)


class Source:
    """A source that notes what it is told."""

    codec, width, height, stereo = "vp8", 1280, 720, False

    def __init__(self, layers: tuple[Layer, ...], *, adapts: bool = True) -> None:
        self.kind: Any = "video"
        self.layers = layers
        self.adapts = adapts
        self.on_ended: Any = None
        self.told: list[tuple[str, Any]] = []
        self.bitrates_bps: dict[str, int] = {}

    @property
    def rids(self) -> tuple[str, ...]:
        return tuple(layer.rid for layer in self.layers if layer.rid)

    def start(self, sink: Any) -> None:
        self.make = sink

    def stop(self) -> None: ...

    def request_keyframe(self, rid: str = "") -> None: ...

    def control(self, action: str, **parameters: Any) -> None:
        self.told.append((action, next(iter(parameters.values()))))
        if action == "bitrate":
            self.bitrates_bps |= parameters["bitrates_bps"]


class Session:
    """Publications over one outbox whose estimate the test sets."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.outbox = Outbox(self.sent.append, lambda delay_s, callback: None, start_bps=1e9, clock=lambda: self.now)
        self.publications: dict[str, Publication] = {}
        self.bandwidth = Bandwidth(self.outbox, self.publications)
        self.now = 10.0

    def publish(self, sid: str, source: Source) -> Publication:
        feed = Feed(len(self.publications), source, lambda error: None)  # type: ignore[arg-type]
        rids = source.rids if len(source.rids) > 1 else ()
        sender = RtpSender("vp8", rids, CaptureClock(), outbox=self.outbox, request_keyframe=lambda rid: None)
        sender.start("1", 96, {extension.MID: 1})
        publication = self.publications[sid] = Publication(sid, feed, sender, None)  # type: ignore[arg-type]
        self.bandwidth.share(self.now)
        publication.start(muted=False)
        return publication

    def limit(self, bps: int, *, after_s: float = 2.0) -> None:
        self.now += after_s
        self.outbox.on_rtcp(rtcp.Remb(1, bps, ()), self.now)
        self.bandwidth.update(self.now)


def sent(publication: Publication) -> dict[str, int]:
    """Targets in kbit/s of the layers that are sent, as the statistics say."""
    return {
        figures["rid"]: figures["target_bitrate_bps"] // 1000
        for figures in publication.stats(0.0)
        if figures["enabled"]
    }


def some(rids: Iterable[str], bitrates_bps: Mapping[str, int]) -> dict[str, int]:
    return {rid: bitrates_bps[rid] // 1000 for rid in rids}


async def test_nobody_says_anything_of_the_path_and_all_is_sent():
    session, source = Session(), Source(THREE)
    camera = session.publish("TR_1", source)
    assert session.bandwidth.available_bps is None
    assert sent(camera) == {"q": 160, "h": 450, "f": 1700}
    assert session.outbox.estimator.wanted_bps > 2_310_000


async def test_layers_go_with_the_estimate_and_the_encoder_is_told():
    session, source = Session(), Source(THREE)
    camera = session.publish("TR_1", source)
    session.limit(500_000)
    assert session.bandwidth.available_bps == 500_000
    assert sent(camera) == {"q": 160, "h": 305}
    assert ("layers", ["q", "h"]) in source.told
    assert some("qh", source.bitrates_bps) == {"q": 160, "h": 305}
    session.limit(5_000_000)
    assert sent(camera) == {"q": 160, "h": 450, "f": 1700}
    assert source.told[-1][0] in ("bitrate", "layers")
    assert some("qhf", source.bitrates_bps) == {"q": 160, "h": 450, "f": 1700}
    # frames of a layer that is not sent go nowhere
    session.limit(100_000)
    before = len(session.sent)
    source.make(EncodedFrame("vp8", b"\0key", 0, keyframe=True, rid="f"))
    assert len(session.sent) == before
    source.make(EncodedFrame("vp8", b"\0key", 0, keyframe=True, rid="q"))
    assert len(session.sent) == before + 1


async def test_a_layer_is_sent_when_somebody_wants_it_and_the_path_takes_it():
    session = Session()
    camera = session.publish("TR_1", Source(THREE))
    session.limit(1_000_000)
    camera.enable({"q", "f"})
    session.bandwidth.share(session.now)
    # what nobody watches costs nothing
    assert sent(camera) == {"q": 160}
    session.limit(1_400_000)
    assert sent(camera) == {"q": 160, "f": 1142}
    camera.enable(())
    session.bandwidth.share(session.now)
    assert sent(camera) == {}
    assert session.outbox.estimator.wanted_bps == 0


async def test_a_muted_track_leaves_its_share_to_the_others():
    session = Session()
    one, other = session.publish("TR_1", Source(THREE)), session.publish("TR_2", Source(THREE))
    session.limit(1_000_000)
    assert (sent(one), sent(other)) == ({"q": 160, "h": 450}, {"q": 160})
    one.set_muted(True)
    session.bandwidth.share(session.now)
    assert sent(other) == {"q": 160, "h": 450}


async def test_what_does_not_adapt_rests_until_it_fits_whole():
    session, source = Session(), Source(ONE, adapts=False)
    film = session.publish("TR_1", source)
    assert sent(film) == {"": 450}
    session.limit(400_000)
    assert sent(film) == {}
    assert source.told == [("mute", True)]
    session.limit(600_000)
    assert sent(film) == {"": 450}
    assert source.told == [("mute", True), ("mute", False)]


async def test_sound_comes_first():
    session = Session()
    camera = session.publish("TR_1", Source(THREE))
    for _ in range(100):
        session.now += 0.02
        session.outbox.send_now(bytes(212))
    session.limit(300_000, after_s=0.0)
    # 50 packets of 250 bytes with their headers are 100 kbit/s
    assert sent(camera) == {"q": 160}
    session.limit(200_000, after_s=0.0)
    assert 85 < sent(camera)["q"] < 95
