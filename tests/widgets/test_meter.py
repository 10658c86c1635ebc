import threading

from lknb.widgets.meter import INTERVAL_S, count_tracks, measure

RECEIVED = {
    "bytes_received": 0, "frames_received": 0, "packets_received": 0, "packets_lost": 0, "width": 640, "height": 360,
}  # fmt: skip
SENT = {"bytes_sent": 0, "frames_sent": 0, "packets_sent": 0, "packets_lost": 0, "enabled": True}


def received(**figures):
    return count_tracks({"received": {"TR_a": {**RECEIVED, **figures}}, "sent": {}})


def test_rates_are_means_over_the_window():
    counts = [
        (10.0, received(bytes_received=1_000, frames_received=10, packets_received=100)),
        (10.5, received(bytes_received=2_000, frames_received=20, packets_received=150)),
        (11.0, received(bytes_received=126_000, frames_received=40, packets_received=190, packets_lost=10)),
    ]
    flow = measure(counts)["TR_a"]
    assert (flow.bitrate_bps, flow.frames_per_s, flow.lost) == (1_000_000, 30, 0.1)
    assert (flow.width, flow.height) == (640, 360)


def test_a_track_that_came_later_or_began_anew_flows_from_then_on():
    assert measure([(1.0, {}), (2.0, received(bytes_received=500))])["TR_a"].bitrate_bps == 0
    assert measure([(1.0, received(bytes_received=900)), (2.0, received(bytes_received=5))])["TR_a"].bitrate_bps == 0
    assert measure([(1.0, received(bytes_received=5)), (2.0, {})]) == {}


def test_a_track_of_ours_is_the_sum_of_its_layers():
    def sent(octets, frames):
        streams = [{**SENT, "bytes_sent": octets, "frames_sent": frames}, {**SENT, "enabled": False}]
        return count_tracks({"received": {}, "sent": {"TR_b": streams}})

    flow = measure([(1.0, sent(0, 0)), (2.0, sent(1_000, 15))])["TR_b"]
    assert (flow.bitrate_bps, flow.frames_per_s, flow.layers) == (8_000, 15, 1)


def test_a_meter_is_quick_enough_to_be_watched():
    assert INTERVAL_S <= 0.5
    assert "lknb meter" not in [thread.name for thread in threading.enumerate()]
