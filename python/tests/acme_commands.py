"""Commands for the tests: each behaves in the way of its name."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pathlib
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import dspex

print("a print at import time")
os.system("echo so does a child process")

app = dspex.App("acme")


@app.command
async def greet(name: str, times: int = 1) -> dict[str, str]:
    """Greet somebody.

    This paragraph is not in the description.
    """
    print("a print in a command")
    return {"greeting": " ".join([f"hello {name}"] * times)}


@app.command
async def whoami(ctx: dspex.Context) -> dict[str, Any]:
    remaining = ctx.remaining()
    return {
        "session": ctx.session_id,
        "worker": ctx.worker_id,
        "pool": ctx.pool,
        "generation": ctx.generation,
        "traceparent": ctx.traceparent,
        "attempt": ctx.attempt,
        "in_time": remaining is not None and 0 < remaining <= 60,
    }


@app.command
async def echo(value: Any) -> Any:
    return value


@app.command
async def large(size: int) -> str:
    return "x" * size


@app.command
async def length(text: str) -> int:
    return len(text)


@app.command
async def fail(message: str) -> None:
    raise ValueError(message)


@app.command
async def refuse() -> None:
    raise dspex.InvalidArgument("no such colour", hint="try red")


class BadText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@app.command
async def fail_without_text() -> None:
    raise BadText


@app.command
async def leave() -> None:
    sys.exit(3)


@app.command
async def interrupt() -> None:
    raise KeyboardInterrupt


@app.command
def leave_in_thread() -> None:
    sys.exit(3)


@app.command
def stop_iteration() -> None:
    raise StopIteration


@app.command(inline=True)
def leave_inline() -> None:
    sys.exit(3)


@app.command
async def leave_in_subtask() -> str:
    async def sub() -> None:
        sys.exit(3)

    task = asyncio.ensure_future(sub())
    try:
        await task
    except BaseException as e:
        return type(e).__name__
    return "nothing"


@app.command
async def die() -> None:
    os._exit(9)


@app.command
async def wait(marker: str = "") -> str:
    """Wait for ever, and leave a marker when cancelled."""
    if marker:
        pathlib.Path(marker + ".begun").touch()
    try:
        await asyncio.Event().wait()
    finally:
        if marker:
            pathlib.Path(marker).touch()
    return "done"


@app.command
async def stubborn(marker: str) -> str:
    """Ignore cancellation until a file is there."""
    while not os.path.exists(marker):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.005)
    return "at last"


@app.command
def block(marker: str) -> str:
    """Hold a thread until a file is there."""
    while not os.path.exists(marker):
        time.sleep(0.005)
    return "released"


@app.command
async def not_a_number() -> Any:
    return {"a": [1.0, float("nan")]}


@app.command
async def unserialisable() -> Any:
    return {"a": [object()]}


@app.command
async def deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


@app.stream
async def count(to: int, ctx: dspex.Context) -> AsyncIterator[int]:
    for i in range(to):
        ctx.progress({"at": i})
        yield i
    ctx.set_result({"counted": to})


@app.stream
def count_sync(to: int) -> Iterator[int]:
    yield from range(to)
    return {"counted": to}


@app.stream
async def large_chunks(sizes: list[int]) -> AsyncIterator[str]:
    for size in sizes:
        yield "c" * size


@app.command
async def refuse_without_unicode() -> None:
    raise dspex.InvalidArgument("bad \ud800", hint="\ud800")


class Loud(Exception):
    def __str__(self) -> str:
        raise SystemExit(4)


@app.command
async def fail_loudly() -> None:
    raise Loud


@app.stream
async def report(times: int, ctx: dspex.Context) -> AsyncIterator[int]:
    for i in range(times):
        ctx.progress(i)
    yield times
