"""The HTTP surface of the server (LiveKit: pkg/service/server.go) and its start and stop."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from lknb import limits
from lknb.server import twirp
from lknb.server.config import ServerConfig
from lknb.server.registry import RoomRegistry
from lknb.server.room_service import RoomService
from lknb.server.session import CORS, authorise, serve_session
from lknb.transport.ice_lite import UdpMux, host_addresses

logger = logging.getLogger(__name__)

REGISTRY = web.AppKey("registry", RoomRegistry)
SERVICES = web.AppKey("services", RoomService)
SHUTDOWN_TIMEOUT_S = 0.5
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def _rtc(request: web.Request) -> web.StreamResponse:
    return await serve_session(request.app[REGISTRY], request)


async def _validate(request: web.Request) -> web.StreamResponse:
    authorise(request.app[REGISTRY], request)
    return web.Response(text="success", headers=CORS)


async def _twirp(request: web.Request) -> web.StreamResponse:
    service = request.app[SERVICES]
    methods = service.methods if request.match_info["service"] == "livekit.RoomService" else {}
    return await twirp.serve(methods, service.authorise, request)


async def _health(request: web.Request) -> web.StreamResponse:
    return web.Response(text="OK", headers=CORS)


async def _preflight(request: web.Request) -> web.StreamResponse:
    return web.Response(
        status=204, headers={**CORS, "Access-Control-Allow-Methods": "*", "Access-Control-Max-Age": "86400"}
    )


@web.middleware
async def _cors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Pages of any origin may ask: the token is the only authority, nothing is answered by cookie or address."""
    if request.method == "OPTIONS":
        return await _preflight(request)
    try:
        return await handler(request)
    except web.HTTPException as error:
        error.headers.update(CORS)
        raise


class Server:
    """One running server: `await start()`, then `port` and `rtc_port` are known; `await close()`."""

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._runner: web.AppRunner | None = None
        self._registry: RoomRegistry | None = None
        self.port = 0
        self.rtc_port = 0

    @property
    def registry(self) -> RoomRegistry:
        """The rooms. RuntimeError before the start."""
        if self._registry is None:
            raise RuntimeError("the server has not been started")
        return self._registry

    async def start(self) -> None:
        """Listen. OSError when a port is taken."""
        bind = "127.0.0.1" if self._config.bind == "localhost" else self._config.bind
        advertised = host_addresses() if bind in ("0.0.0.0", "::") else ()
        mux = await UdpMux.open(host=bind, port=self._config.rtc_port, advertised_hosts=advertised)
        try:
            self._registry = RoomRegistry(self._config, mux)
            app = web.Application(
                middlewares=[_cors, web.normalize_path_middleware(append_slash=False, merge_slashes=True)],
                client_max_size=limits.HTTP_BODY_BYTES,
            )
            app[REGISTRY] = self._registry
            app.router.add_get("/", _health)
            for path in ("/rtc", "/rtc/v1"):
                app.router.add_get(path, _rtc)
                app.router.add_get(f"{path}/validate", _validate)
            app[SERVICES] = RoomService(self._registry)
            app.router.add_route("*", "/twirp/{service}/{method}", _twirp)
            self._runner = web.AppRunner(
                app,
                access_log=None,
                handle_signals=False,
                shutdown_timeout=SHUTDOWN_TIMEOUT_S,
                # a join request travels in the request line
                max_line_size=2 * limits.JOIN_REQUEST_BYTES,
                max_field_size=2 * limits.TOKEN_BYTES,
            )
            await self._runner.setup()
            site = web.TCPSite(self._runner, bind, self._config.port, reuse_address=True)
            await site.start()
        except BaseException:
            mux.close()
            raise
        self.port = self._runner.addresses[0][1]
        self.rtc_port = mux.port
        self._registry.start()

    async def close(self) -> None:
        """Tell every client SERVER_SHUTDOWN and stop listening. Idempotent."""
        if self._registry is not None:
            await self._registry.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None
