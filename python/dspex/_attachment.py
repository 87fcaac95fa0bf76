"""The stream on which a host runs calls in this worker."""

from __future__ import annotations

import asyncio
import dataclasses
import difflib
import time
import traceback
from typing import TYPE_CHECKING, Any

import grpc.aio

from dspex import _json
from dspex._app import ThreadExit
from dspex._context import Context
from dspex._outbox import Outbox
from dspex._proto import worker_pb2 as pb
from dspex.errors import Error, InvalidArgument, ResultTooLarge

if TYPE_CHECKING:
    from dspex._app import App, Command
    from dspex._settings import Settings

# Chunks that a call may send before its first credit.
WINDOW = 64
# Seconds that cancelled calls get to end when the stream does.
END_GRACE = 1.0
# Seconds for the last frames to go out before the server stops.
_FLUSH_GRACE = 0.1
_MAX_TRACEBACK = 16 << 10
_MAX_MESSAGE = 8 << 10


class TakenOver(Exception):
    """The stream was ended because the host attached anew."""


class ProtocolError(Exception):
    """The host broke the protocol."""


@dataclasses.dataclass(eq=False)
class _Running:
    """A call that was begun and has not ended."""

    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    credit: int = WINDOW
    more: asyncio.Event | None = None
    seq: int = 0
    expired: bool = False
    begun: bool = False


class Attachment:
    """Runs the calls of one stream, until it ends."""

    def __init__(self, app: App, settings: Settings, wire: Any) -> None:
        """Prepare to run calls that come on a grpc.aio stream."""
        self._app = app
        self._settings = settings
        self._wire = wire
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._out = Outbox(self._wake.set)
        self._running: dict[int, _Running] = {}
        # None stands for a payload that was too large.
        self._parts: dict[int, bytearray | None] = {}
        self._reader: asyncio.Task[Any] | None = None
        self._draining = False

    async def run(self) -> None:
        """Run calls until the host ends the stream; then cancel what is left."""
        lanes = [self._loop.create_task(self._write()), self._loop.create_task(self._beat())]
        reader = self._reader = self._loop.create_task(self._read())
        try:
            await asyncio.wait([reader])
            if reader.cancelled():
                raise TakenOver
            if (error := reader.exception()) is not None:
                raise error
            # The host still reads: each call has its end.
            await self._end_calls()
            lanes[0].cancel()
            await asyncio.wait([lanes[0]])
            while (batch := self._out.take()) is not None:
                await self._wire.write(batch)
        finally:
            reader.cancel()
            for lane in lanes:
                lane.cancel()
            for running in self._running.values():
                if running.task is not None:
                    running.task.cancel()
                if running.timer is not None:
                    running.timer.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)

    async def _end_calls(self) -> None:
        """Cancel what runs, and wait for it, though not for what does not react."""
        tasks = [r.task for r in self._running.values() if r.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=END_GRACE)

    async def drain(self, grace: float) -> None:
        """Refuse new calls, and wait for those that run, though no longer than grace."""
        self._draining = True
        tasks = [r.task for r in self._running.values() if r.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
            # What they have put into the outbox is written by then.
            await asyncio.sleep(_FLUSH_GRACE)

    def stop(self) -> None:
        """End the stream from this side."""
        if self._reader is not None:
            self._reader.cancel()

    async def _read(self) -> None:
        while (batch := await self._wire.read()) is not grpc.aio.EOF:
            self._dispatch(batch)

    def _dispatch(self, batch: Any) -> None:
        for fragment in batch.fragments:
            parts = self._parts.setdefault(fragment.call_id, bytearray())
            if parts is not None:
                parts += fragment.data
                if len(parts) > self._settings.max_payload:
                    self._parts[fragment.call_id] = None
        for call in batch.calls:
            if call.id in self._running:
                raise ProtocolError(f"the host used the number {call.id} twice")
            args = call.args
            if call.fragmented:
                if call.id not in self._parts:
                    raise ProtocolError(f"the host sent no fragments of call {call.id}")
                parts = self._parts.pop(call.id)
                if parts is None:
                    message = f"the arguments have more than {self._settings.max_payload} bytes"
                    self._out.failure(call.id, reason="PAYLOAD_TOO_LARGE", message=message)
                    continue
                args = bytes(parts)
            self._begin(call, args)
        for cancel in batch.cancels:
            running = self._running.get(cancel.call_id)
            if running is None:
                self._parts.pop(cancel.call_id, None)
            elif running.task is not None:
                running.expired = running.expired or cancel.reason == pb.CANCEL_REASON_DEADLINE
                running.task.cancel()
                if not running.begun:
                    # Its coroutine never runs, so that nobody else ends the call.
                    self._cancelled(cancel.call_id, running)
                    self._ended(cancel.call_id, running)
        for credit in batch.credits:
            running = self._running.get(credit.call_id)
            if running is not None:
                running.credit += credit.chunks
                if running.more is not None:
                    running.more.set()
        # Behind the first steps of the new tasks, so that quick results go with the acknowledgement.
        self._out.acknowledge()
        self._loop.call_soon(self._out.flush)

    def _begin(self, call: Any, args: bytes) -> None:
        command = self._app.commands.get(call.command)
        if call.remaining_ms == 0:
            self._out.refusal(call.id, "DEADLINE_EXCEEDED", "the call came when its time was over")
        elif self._draining:
            self._out.refusal(call.id, "DRAINING", "the worker takes no new calls")
        elif command is None:
            near = difflib.get_close_matches(call.command, self._app.commands, 1)
            hint = f"did you mean {near[0]!r}?" if near else ""
            message = f"there is no command {call.command[:80]!r}"
            self._out.failure(call.id, reason="COMMAND_NOT_FOUND", message=message, hint=hint)
        elif command.inline:
            self._run_inline(call, command, args)
        elif len(self._running) >= self._settings.max_in_flight:
            self._out.refusal(call.id, "WORKER_BUSY", f"{len(self._running)} calls run already")
        else:
            running = _Running()
            self._running[call.id] = running
            running.task = self._loop.create_task(self._run(call, command, args, running))
            running.timer = self._loop.call_later(call.remaining_ms / 1000, self._expire, running)

    def _expire(self, running: _Running) -> None:
        running.expired = True
        if running.task is not None:
            running.task.cancel()

    def _context(self, call: Any) -> Context:
        def progress(data: Any) -> None:
            payload = _json.dumps(data)
            if call.stream:
                self._soon(lambda: self._out.event(call.id, "progress", payload))

        return Context(
            command=call.command,
            session_id=call.session_id,
            timeout=call.remaining_ms / 1000,
            traceparent=call.traceparent,
            attempt=call.attempt or 1,
            worker_id=self._settings.worker_id,
            pool=self._settings.pool,
            generation=self._settings.generation,
            progress=progress,
        )

    def _soon(self, action: Any) -> None:
        """Run an action in the loop: now if this is the loop's thread."""
        try:
            if asyncio.get_running_loop() is self._loop:
                action()
                return
        except RuntimeError:
            pass
        self._loop.call_soon_threadsafe(action)

    def _run_inline(self, call: Any, command: Command, args: bytes) -> None:
        try:
            result = command.call_inline(self._context(call), _arguments(args))
            self._out.result(call.id, self._encode(result))
        except BaseException as e:  # noqa: BLE001 - a command must not end its worker
            self._fail(call.id, e)

    async def _run(self, call: Any, command: Command, args: bytes, running: _Running) -> None:
        async def send(chunk: Any) -> None:
            payload = self._encode(chunk)
            while running.credit == 0:
                running.more = asyncio.Event()
                await running.more.wait()
            running.credit -= 1
            self._out.chunk(call.id, running.seq, payload)
            running.seq += 1

        running.begun = True
        try:
            result = await command.call(self._context(call), _arguments(args), send if call.stream else None)
            payload = self._encode(result)
        except asyncio.CancelledError:
            self._cancelled(call.id, running)
        except BaseException as e:  # noqa: BLE001 - a command must not end its worker
            self._fail(call.id, e)
        else:
            self._out.result(call.id, payload)
        finally:
            self._ended(call.id, running)

    def _cancelled(self, call_id: int, running: _Running) -> None:
        if running.expired:
            self._out.failure(call_id, reason="EXECUTION_TIMEOUT", message="the call ran out of time")
        else:
            self._out.failure(call_id, reason="CANCELLED", message="the call was cancelled")

    def _ended(self, call_id: int, running: _Running) -> None:
        if running.timer is not None:
            running.timer.cancel()
        del self._running[call_id]

    def _encode(self, value: Any) -> bytes:
        payload = _json.dumps(value)
        if len(payload) > self._settings.max_payload:
            raise ResultTooLarge(f"the result has {len(payload)} bytes, the limit is {self._settings.max_payload}")
        return payload

    def _fail(self, call_id: int, error: BaseException) -> None:
        if isinstance(error, ThreadExit) and error.__cause__ is not None:
            error = error.__cause__
        try:
            message = str(error)
        except BaseException:  # noqa: BLE001 - __str__ is the author's too
            message = "(its text could not be made)"
        message = _valid(self._settings.scrub(message))[:_MAX_MESSAGE]
        if isinstance(error, Error):
            # The worker speaks: the type adds nothing.
            kind = "" if error.reason != "PYTHON_EXCEPTION" else type(error).__name__
            self._out.failure(call_id, reason=error.reason, type=kind, message=message, hint=_valid(str(error.hint)))
            return
        trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self._out.failure(
            call_id,
            reason="PYTHON_EXCEPTION",
            type=type(error).__name__,
            message=message,
            traceback=_valid(self._settings.scrub(trace)[-_MAX_TRACEBACK:]),
        )

    async def _write(self) -> None:
        """Write what the outbox has; while a write is under way the next batch gathers."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (batch := self._out.take()) is not None:
                await self._wire.write(batch)

    async def _beat(self) -> None:
        interval = self._settings.heartbeat
        due = time.monotonic() + interval
        seq = 0
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            lag = time.monotonic() - due
            due = max(due + interval, time.monotonic())
            seq += 1
            self._out.heartbeat(seq, len(self._running), int(max(lag, 0) * 1000), _rss())


def _arguments(data: bytes) -> dict[str, Any]:
    try:
        args = _json.loads(data)
    except ValueError as e:
        raise InvalidArgument(f"the arguments are no JSON: {e}") from None
    if not isinstance(args, dict):
        raise InvalidArgument("the arguments are no object")
    return args


def _valid(text: str) -> str:
    """Return text that can be sent: lone surrogates have no UTF-8 form."""
    return text.encode("utf-8", "backslashreplace").decode()


def _rss() -> int:
    """Return the resident memory of this process in bytes; 0 where it cannot be read."""
    try:
        with open("/proc/self/statm", "rb") as f:
            return int(f.read().split()[1]) * 4096
    except (OSError, ValueError, IndexError):
        return 0
