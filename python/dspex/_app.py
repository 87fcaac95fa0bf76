"""Commands: Python functions that callers of a pool can run."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import difflib
import inspect
import threading
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar, overload

from dspex import _values
from dspex._context import Context
from dspex.errors import InvalidArgument

F = TypeVar("F", bound=Callable[..., Any])

# What the host adds to arguments, for functions that ask for it.
_HOST_ARGUMENTS = frozenset({"session_id", "session_data", "program_data"})

_END = object()

Send = Callable[[Any], Awaitable[None]]


@dataclasses.dataclass(frozen=True)
class _Parameter:
    name: str
    convert: _values.Converter | None
    required: bool


class Command:
    """One command: a function, and how its arguments are bound.

    Attributes:
        name: What callers call it.
        doc: What it does, for people.
        streaming: Whether it yields chunks.
        idempotent: Whether running it twice does the same as running it once; the host then
            runs it again when a worker is lost.
        cancellable: Whether cancelling stops its work: true for async functions.
        inline: Whether it runs in the loop itself, without a task: for functions that return at once.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str,
        doc: str,
        streaming: bool,
        idempotent: bool,
        inline: bool,
    ) -> None:
        """Make a command of a function. Use `App.command`."""
        self.function = function
        self.name = name
        self.doc = doc
        self.streaming = streaming
        self.idempotent = idempotent
        self.inline = inline
        self._generator = inspect.isgeneratorfunction(function)
        self._async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        self.cancellable = self._async
        if inline and (streaming or self._async):
            raise TypeError(f"command {name!r}: only a plain function can be inline")
        if not streaming and (self._generator or inspect.isasyncgenfunction(function)):
            raise TypeError(f"command {name!r}: a generator function is a streaming command: use App.stream")
        if streaming and not (self._generator or inspect.isasyncgenfunction(function)):
            raise TypeError(f"command {name!r}: a streaming command is a generator function")
        self._bind_signature()

    def _bind_signature(self) -> None:
        try:
            hints = typing.get_type_hints(self.function)
        except Exception:  # noqa: BLE001 - an annotation that cannot be resolved takes any value
            hints = {}
        self._parameters: dict[str, _Parameter] = {}
        self._context = ""
        self._context_first = False
        self._rest = False
        properties: dict[str, Any] = {}
        for p in inspect.signature(self.function).parameters.values():
            if p.kind is p.VAR_KEYWORD:
                self._rest = True
                continue
            hint = hints.get(p.name, Any)
            if hint is Context or p.annotation in ("Context", "dspex.Context"):
                # One that is only positional leaves its name free for an argument.
                self._context = "" if p.kind is p.POSITIONAL_ONLY else p.name
                self._context_first = p.kind is p.POSITIONAL_ONLY
                continue
            if p.kind in (p.VAR_POSITIONAL, p.POSITIONAL_ONLY):
                raise TypeError(f"command {self.name!r}: arguments have names; {p.name!r} cannot be given by one")
            self._parameters[p.name] = _Parameter(p.name, _values.converter(hint), p.default is p.empty)
            if p.name not in _HOST_ARGUMENTS:
                properties[p.name] = _values.schema(hint)
        self.args_schema: dict[str, Any] = {
            "type": "object",
            "properties": properties,
            "required": [p.name for p in self._parameters.values() if p.required and p.name in properties],
            "additionalProperties": self._rest,
        }
        result = hints.get("return", Any)
        self.result_schema = {} if self.streaming else _values.schema(result)

    def bind(self, ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
        """Return the function's keyword arguments.

        Raises:
            InvalidArgument: One is missing, unknown or of the wrong type.
        """
        bound: dict[str, Any] = {}
        for name, value in args.items():
            p = self._parameters.get(name)
            if p is None:
                if self._rest:
                    bound[name] = value
                elif name not in _HOST_ARGUMENTS:
                    near = difflib.get_close_matches(name, self._parameters, 1)
                    hint = (
                        f"did you mean {near[0]!r}?"
                        if near
                        else f"it takes: {', '.join(self._parameters) or 'nothing'}"
                    )
                    raise InvalidArgument(f"command {self.name!r} has no argument {name[:80]!r}", hint=hint)
                continue
            if p.convert is None:
                bound[name] = value
                continue
            try:
                bound[name] = p.convert(value, name)
            except _values.Mismatch as e:
                raise InvalidArgument(f"command {self.name!r}: {e}") from None
        for p in self._parameters.values():
            if p.required and p.name not in bound:
                hint = (
                    "the call belongs to no session, or did not ask for its data" if p.name in _HOST_ARGUMENTS else ""
                )
                raise InvalidArgument(f"command {self.name!r} needs the argument {p.name!r}", hint=hint)
        if self._context:
            bound[self._context] = ctx
        return bound

    def call_inline(self, ctx: Context, args: dict[str, Any]) -> Any:
        """Run an inline command."""
        return self._invoke(ctx, self.bind(ctx, args))

    def _invoke(self, ctx: Context, bound: dict[str, Any]) -> Any:
        return self.function(ctx, **bound) if self._context_first else self.function(**bound)

    async def call(self, ctx: Context, args: dict[str, Any], send: Send | None) -> Any:
        """Run the command to its end.

        Chunks of a streaming command go to send; without one they become the result, as a list.
        A plain function runs in a thread; when it is cancelled, this returns only when the thread
        has ended, because until then its slot is not free.
        """
        bound = self.bind(ctx, args)
        if self.streaming:
            return await self._stream(ctx, bound, send)
        if self._async:
            return await self._invoke(ctx, bound)
        return await self._in_thread(ctx, lambda: self._invoke(ctx, bound))

    async def _stream(self, ctx: Context, bound: dict[str, Any], send: Send | None) -> Any:
        gathered: list[Any] = []
        if self._async:
            chunks: AsyncIterator[Any] = self._invoke(ctx, bound)
        else:
            chunks = self._from_thread(ctx, self._invoke(ctx, bound))
        try:
            async for chunk in chunks:
                if send is None:
                    gathered.append(chunk)
                else:
                    await send(chunk)
        finally:
            if (close := getattr(chunks, "aclose", None)) is not None:
                await close()
        if ctx._result:
            return ctx._result[0]
        return gathered if send is None else None

    async def _from_thread(self, ctx: Context, chunks: Iterator[Any]) -> AsyncIterator[Any]:
        def step() -> Any:
            try:
                return next(chunks)
            except StopIteration as end:
                if end.value is not None:
                    ctx.set_result(end.value)
                return _END

        while (chunk := await self._in_thread(ctx, step)) is not _END:
            yield chunk

    async def _in_thread(self, ctx: Context, work: Callable[[], Any]) -> Any:
        ctx._cancelled = ctx._cancelled or threading.Event()
        loop = asyncio.get_running_loop()
        snapshot = contextvars.copy_context()
        future = loop.run_in_executor(None, lambda: snapshot.run(_contained, work))
        cancelled = False
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                cancelled = True
                ctx._cancelled.set()
        if cancelled:
            future.exception()  # seen
            raise asyncio.CancelledError
        return future.result()


class ThreadExit(Exception):
    """A command in a thread raised SystemExit or KeyboardInterrupt."""


def _contained(work: Callable[[], Any]) -> Any:
    """Run work so that neither StopIteration nor SystemExit reaches the executor's future."""
    try:
        return work()
    except (SystemExit, KeyboardInterrupt, StopIteration) as e:
        raise ThreadExit(f"{type(e).__name__}: {e}") from e


class App:
    """The commands of a module.

    An app is filled at import time, by one thread.
    """

    def __init__(self, name: str = "app") -> None:
        """Make an app without commands."""
        self.name = name
        self.commands: dict[str, Command] = {}

    @overload
    def command(self, function: F) -> F: ...

    @overload
    def command(
        self, *, name: str = ..., doc: str = ..., idempotent: bool = ..., inline: bool = ...
    ) -> Callable[[F], F]: ...

    def command(
        self,
        function: F | None = None,
        *,
        name: str = "",
        doc: str = "",
        idempotent: bool = False,
        inline: bool = False,
    ) -> F | Callable[[F], F]:
        """Make a function a command. It stays callable as before.

        Async functions run in the worker's event loop, many at a time; plain functions run in
        threads. Arguments are bound by name and converted by annotation; a parameter annotated
        `Context` gets the call's context; `**kwargs` takes the rest.

        Args:
            function: The function, when used without parentheses.
            name: What callers call it. Defaults to the function's name.
            doc: What it does. Defaults to the first paragraph of the docstring.
            idempotent: Running it twice does the same as running it once.
            inline: Run it in the event loop itself: only for functions that return at once.
        """
        return self._decorate(function, name, doc, idempotent, inline, streaming=False)

    @overload
    def stream(self, function: F) -> F: ...

    @overload
    def stream(self, *, name: str = ..., doc: str = ..., idempotent: bool = ...) -> Callable[[F], F]: ...

    def stream(
        self, function: F | None = None, *, name: str = "", doc: str = "", idempotent: bool = False
    ) -> F | Callable[[F], F]:
        """Make a generator function a streaming command: what it yields are its chunks.

        Its result is what it gave to `Context.set_result`, or, of a plain generator, returned;
        else null. A caller who does not stream gets the list of the chunks instead.
        """
        return self._decorate(function, name, doc, idempotent, False, streaming=True)

    def _decorate(
        self, function: F | None, name: str, doc: str, idempotent: bool, inline: bool, *, streaming: bool
    ) -> F | Callable[[F], F]:
        def decorate(f: F) -> F:
            command = Command(
                f,
                name=name or f.__name__,
                doc=doc or _first_paragraph(f),
                streaming=streaming,
                idempotent=idempotent,
                inline=inline,
            )
            self.commands[command.name] = command
            return f

        return decorate if function is None else decorate(function)


def _first_paragraph(function: Callable[..., Any]) -> str:
    return " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
