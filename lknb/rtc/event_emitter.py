"""Named events and their handlers, with the rules of `livekit.rtc`, and `async def` handlers as well."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar, overload

from lknb.errors import DisconnectedError

logger = logging.getLogger(__name__)

Handler = Callable[..., Any]
H = TypeVar("H", bound=Handler)
T_contra = TypeVar("T_contra", contravariant=True)

_WAIT_TIMEOUT_S = 10.0


class _Registration:
    """One handler: how many arguments it takes is looked up once, not at every event."""

    __slots__ = ("arity", "callback", "once")

    def __init__(self, callback: Handler, *, once: bool) -> None:
        self.callback = callback
        self.once = once
        self.arity = _count_arguments(callback)

    def call(self, arguments: tuple[Any, ...]) -> Any:
        return self.callback(*(arguments if self.arity is None else arguments[: self.arity]))


class EventEmitter(Generic[T_contra]):
    """Calls handlers when an event is emitted.

    Handlers run in the order they were registered, and may take fewer arguments than the event has. An `async def` handler
    is started as a task of the running loop: tasks start in the order of the events, each runs on its own, and a long one
    holds up nobody. A `TypeError` of a plain handler propagates to whoever emits, as in `livekit.rtc`; any other error is
    logged.
    """

    def __init__(self) -> None:
        self._events: dict[Any, dict[Handler, _Registration]] = {}
        self._handler_tasks: set[asyncio.Future[Any]] = set()
        self._waits: set[asyncio.Future[Any]] = set()

    def emit(self, event: T_contra, *args: Any) -> None:
        """Call all handlers of `event` with these arguments."""
        for registration in list(self._events.get(event, {}).values()):
            if registration.once:
                self.off(event, registration.callback)
            try:
                result = registration.call(args)
            except TypeError:
                raise
            except Exception:
                logger.exception("a handler of %s failed", event)
            else:
                if inspect.isawaitable(result):
                    self._run(event, result)

    @overload
    def on(self, event: T_contra, callback: H) -> H: ...

    @overload
    def on(self, event: T_contra, callback: None = None) -> Callable[[H], H]: ...

    def on(self, event: T_contra, callback: H | None = None) -> H | Callable[[H], H]:
        """Call `callback` whenever `event` is emitted; without a callback, a decorator. The same callback counts once."""
        return self._register(event, callback, once=False)

    @overload
    def once(self, event: T_contra, callback: H) -> H: ...

    @overload
    def once(self, event: T_contra, callback: None = None) -> Callable[[H], H]: ...

    def once(self, event: T_contra, callback: H | None = None) -> H | Callable[[H], H]:
        """Call `callback` at the next `event` only; without a callback, a decorator."""
        return self._register(event, callback, once=True)

    def off(self, event: T_contra, callback: Handler) -> None:
        """Call `callback` no more. Nothing happens when it was not registered."""
        self._events.get(event, {}).pop(callback, None)

    async def wait_for(
        self,
        event: T_contra,
        predicate: Callable[..., object] | None = None,
        *,
        timeout: float | None = _WAIT_TIMEOUT_S,
    ) -> Any:
        """Wait for the next `event`, or the next one whose arguments satisfy `predicate`.

        Gives what the event carries: nothing, its one argument, or a tuple of several. `predicate` may take fewer
        arguments than the event has. `timeout` is in seconds, None for no limit.

        Raises TimeoutError, and DisconnectedError when the room is left first.
        """
        arrived: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        test = _Registration(predicate, once=False) if predicate is not None else None

        def look(*arguments: Any) -> None:
            if arrived.done():
                return
            try:
                wanted = test is None or bool(test.call(arguments))
            except Exception as error:
                arrived.set_exception(error)
                return
            if wanted:
                arrived.set_result(arguments[0] if len(arguments) == 1 else arguments or None)

        self.on(event, look)
        try:
            return await self._until(arrived, timeout, f"{event!r} did not happen")
        finally:
            self.off(event, look)

    def _register(self, event: T_contra, callback: H | None, *, once: bool) -> H | Callable[[H], H]:
        def register(handler: H) -> H:
            self._events.setdefault(event, {})[handler] = _Registration(handler, once=once)
            return handler

        return register if callback is None else register(callback)

    def _tell(self, event: Any, *args: Any) -> None:
        """Emit from inside the library, where a handler's TypeError must not end what is being done."""
        try:
            self.emit(event, *args)
        except TypeError:
            logger.exception("a handler of %s failed", event)

    def _run(self, event: T_contra, awaitable: Awaitable[Any]) -> None:
        try:
            task = asyncio.ensure_future(awaitable)
        except RuntimeError:
            logger.error("an async handler of %s needs a running event loop", event)
            if inspect.iscoroutine(awaitable):
                awaitable.close()
            return
        self._handler_tasks.add(task)
        task.add_done_callback(lambda done: self._handler_done(event, done))

    def _handler_done(self, event: T_contra, task: asyncio.Future[Any]) -> None:
        self._handler_tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("an async handler of %s failed", event, exc_info=task.exception())

    async def _until(self, arrived: asyncio.Future[Any], timeout_s: float | None, what: str) -> Any:
        self._waits.add(arrived)
        try:
            async with asyncio.timeout(timeout_s):
                return await arrived
        except TimeoutError:
            # the predicate may have raised a TimeoutError of its own
            if arrived.done() and not arrived.cancelled():
                raise
            raise TimeoutError(f"{what} within {timeout_s} s") from None
        finally:
            self._waits.discard(arrived)

    def _fail_waits(self, reason: str) -> None:
        """Let nobody wait any longer: what they wait for cannot come any more."""
        for wait in list(self._waits):
            if not wait.done():
                wait.set_exception(DisconnectedError(reason))


def _count_arguments(callback: Handler) -> int | None:
    """How many positional arguments it takes; None for any number."""
    try:
        parameters = inspect.signature(callback).parameters.values()
    except ValueError:
        # a builtin without a signature, such as `print` in some versions
        return None
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    return sum(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD) for parameter in parameters
    )
