"""`lknb serve`: the embedded server as a process of its own.

With `--json` the first line on stdout, written once the server answers, is
`{"event": "ready", "url": "ws://127.0.0.1:PORT", "port": PORT, "rtc_port": PORT, "pid": PID}`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import json
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Sequence

from lknb.server.config import DEV_KEY, DEV_SECRET, ServerConfig, check_keys, is_loopback, parse_keys

PARENT_POLL_S = 0.5
CLOSE_TIMEOUT_S = 1.5


def parser() -> argparse.ArgumentParser:
    """The flags; where livekit-server has one of the same meaning, under its name."""
    flags = argparse.ArgumentParser(
        prog="lknb serve",
        description="A LiveKit-compatible server for this machine: official clients join it unchanged.",
    )
    flags.add_argument("--bind", default="127.0.0.1", help="address to listen on, media included (%(default)s)")
    flags.add_argument("--port", type=_port, default=7880, help="TCP port for clients, 0 = any free one (%(default)s)")
    flags.add_argument("--rtc-port", type=_port, default=0, help="UDP port for media, 0 = any free one (%(default)s)")
    flags.add_argument("--keys", help='"key: secret", secrets of 32 bytes or more; also from the variable LIVEKIT_KEYS')
    flags.add_argument(
        "--dev",
        action="store_true",
        help=f"use the well-known key {DEV_KEY} with secret {DEV_SECRET}; on loopback only",
    )
    flags.add_argument("--json", action="store_true", help="say in one line of JSON when the server answers")
    flags.add_argument("--parent", type=int, help="end when this process is gone")
    flags.add_argument(
        "--insecure", action="store_true", help="allow --bind to other addresses than loopback without TLS"
    )
    flags.add_argument("-v", "--verbose", action="store_true", help="log what happens")
    return flags


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return port


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM, SIGINT or the end of the parent; 0 then, 2 for flags that cannot be."""
    flags = parser()
    options = flags.parse_args(argv)
    try:
        config, printed = _config(options)
    except ValueError as error:
        flags.error(str(error))
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("aioice").setLevel(logging.WARNING)
    try:
        asyncio.run(_run(config, options, printed))
    except OSError as error:
        free = "; --port 0 takes any free one" if error.errno == errno.EADDRINUSE else ""
        print(f"lknb serve: cannot listen on {config.bind}: {error.strerror or error}{free}", file=sys.stderr)
        return 1
    return 0


def _config(options: argparse.Namespace) -> tuple[ServerConfig, dict[str, str]]:
    """The configuration, and the keys to print because they were made here."""
    loopback = is_loopback(options.bind)
    if not loopback and not options.insecure:
        raise ValueError(
            f"--bind {options.bind} opens the server to other machines without TLS; add --insecure if that is what you want"
        )
    given = options.keys or os.environ.get("LIVEKIT_KEYS")
    printed: dict[str, str] = {}
    if options.dev:
        if not loopback:
            raise ValueError("--dev uses a secret everybody knows: it is for loopback only")
        keys = {DEV_KEY: DEV_SECRET}
        if given:
            keys |= _checked(given)
    elif given:
        keys = _checked(given)
    else:
        keys = printed = {f"API{secrets.token_hex(6)}": secrets.token_urlsafe(32)}
    config = ServerConfig(keys=keys, bind=options.bind, port=options.port, rtc_port=options.rtc_port)
    return config, printed


def _checked(text: str) -> dict[str, str]:
    keys = parse_keys(text)
    check_keys(keys)
    return keys


async def _run(config: ServerConfig, options: argparse.Namespace, printed: dict[str, str]) -> None:
    from lknb.server.app import Server

    server = Server(config)
    await server.start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    host = f"[{config.bind}]" if ":" in config.bind else config.bind
    ready = {"event": "ready", "url": f"ws://{host}:{server.port}", "port": server.port, "rtc_port": server.rtc_port}
    if options.json:
        print(json.dumps({**ready, "pid": os.getpid()}), flush=True)
    else:
        print(f"lknb serve: ready on {ready['url']}, media on UDP port {server.rtc_port}", flush=True)
    if not is_loopback(config.bind):
        print(
            f"warning: {config.bind} is reachable from other machines, and nothing is encrypted but media",
            file=sys.stderr,
        )
    if options.dev:
        print(f"API key: {DEV_KEY}\nAPI secret: {DEV_SECRET}", file=sys.stderr, flush=True)
    for key, secret in printed.items():
        print(f"API key: {key}\nAPI secret: {secret}", file=sys.stderr, flush=True)
    if options.parent:
        threading.Thread(target=_watch_parent, args=(options.parent, loop, stop), daemon=True).start()
    await stop.wait()
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await server.close()
    except TimeoutError:
        logging.getLogger(__name__).warning("not everybody could be told in %g s", CLOSE_TIMEOUT_S)


def _watch_parent(pid: int, loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """A child whose parent died is adopted by another process: that is how it knows, also after kill -9.

    A thread, which ends the process also when its loop is stuck.
    """
    while os.getppid() == pid:
        time.sleep(PARENT_POLL_S)
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(stop.set)
    time.sleep(CLOSE_TIMEOUT_S)
    os._exit(0)
