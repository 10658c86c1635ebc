"""CPU per forwarded packet at about 20,000 packets a second: 5 publishers x 20 subscribers, 720p VP8 of 1.5 Mbit/s and Opus.

    .venv/bin/python -m tests.bench.forward [--runs 5] [--seconds 8]

The load runs in another process (`tests.bench.load`). With LKNB_TEST_LIVEKIT_URL, _API_KEY, _API_SECRET and
LKNB_TEST_LIVEKIT_PID the real server takes the same load in alternation; aiortc's MediaRelay forwards the same content to
two subscribers, as many as it can.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys

from tests.bench.media_relay import measure_media_relay
from tests.bench.peer_server import Candidate, candidates


def measure(candidate: Candidate, seconds: float) -> dict[str, float]:
    """One run against one server."""
    server = candidate.server
    command = [
        sys.executable, "-m", "tests.bench.load", "--url", server.url, "--key", server.key, "--secret", server.secret,
        "--seconds", str(seconds),
    ]  # fmt: skip
    began = 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "begin":
                began = candidate.cpu_s()
            elif event["event"] == "end":
                cpu_s = candidate.cpu_s() - began
                process.stdin.write("\n")
                process.stdin.flush()
                return {
                    "us_per_packet": cpu_s / event["received"] * 1e6,
                    "kpps": event["received"] / event["seconds"] / 1000,
                    "delivered": event["received"] / event["expected"],
                }
    raise SystemExit(f"the load against {candidate.name} ended with code {process.returncode}")


def main() -> None:
    """Command line."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--runs", type=int, default=5)
    flags.add_argument("--seconds", type=float, default=8)
    options = flags.parse_args()
    rows: dict[str, list[float]] = {}
    with candidates() as servers:
        for run in range(options.runs):
            for candidate in servers if run % 2 == 0 else reversed(servers):
                row = measure(candidate, options.seconds)
                rows.setdefault(candidate.name, []).append(row["us_per_packet"])
                print(
                    f"run {run + 1}  {candidate.name:20}  {row['us_per_packet']:6.2f} us CPU per packet"
                    f"  {row['kpps']:5.1f} kpps  {row['delivered']:.1%} delivered",
                    flush=True,
                )
    relay = measure_media_relay(options.seconds)
    print(f"       {'aiortc MediaRelay':20}  {relay:6.0f} us CPU per packet")
    for name, values in rows.items():
        print(f"median {name:20}  {statistics.median(values):6.2f} us CPU per packet")


if __name__ == "__main__":
    main()
