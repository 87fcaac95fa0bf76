"""Commands of the integration tests: each misbehaves in the way of its name."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import time
import uuid
from collections.abc import AsyncIterator

import dspex

print("a print at import time must not break the handshake")
sys.stdout.flush()
os.system("echo so must a child process")

app = dspex.App("acme")


@app.command
async def greet(name: str, times: int = 1) -> dict[str, str]:
    """Greet somebody."""
    print("a print in a command", flush=True)
    return {"greeting": " ".join([f"hello {name}"] * times)}


@app.command
async def whoami(ctx: dspex.Context) -> dict[str, object]:
    """Say what the host told about the call."""
    return {"session": ctx.session_id, "worker": ctx.worker_id, "pool": ctx.pool, "pid": os.getpid()}


@app.command
async def data(session_data: dict[str, object]) -> dict[str, object]:
    """Return the session's data."""
    return session_data


@app.command
async def fail(message: str) -> None:
    """Raise an exception."""
    raise ValueError(message)


@app.command
async def leave() -> None:
    """Raise SystemExit, which must not end the worker."""
    sys.exit(3)


@app.command
async def die() -> None:
    """End the process."""
    os._exit(9)


@app.command
async def wait(seconds: float = 3600, marker: str = "") -> str:
    """Wait, and leave a marker file when cancelled."""
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        if marker:
            with open(marker, "w") as f:
                f.write("cancelled")
        raise
    return "done"


@app.command
async def stubborn() -> str:
    """Ignore every cancellation."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass


@app.command
def block(seconds: float) -> str:
    """Sleep in a thread."""
    time.sleep(seconds)
    return "slept"


@app.command
async def environment() -> dict[str, str]:
    """Return the worker's environment."""
    return dict(os.environ)


@app.command
async def large(size: int) -> str:
    """Return that many characters."""
    return "x" * size


@app.command
async def unserialisable() -> object:
    """Return what no JSON can hold."""
    return object()


@app.command
async def chance(ctx: dspex.Context) -> dict[str, object]:
    """Return random values, and the files that the worker has open."""
    files = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            files.append(os.readlink(f"/proc/self/fd/{fd}"))
    return {"random": random.random(), "uuid": str(uuid.uuid4()), "worker": ctx.worker_id, "files": files}


@app.stream
async def count(to: int, ctx: dspex.Context) -> AsyncIterator[int]:
    """Yield numbers, with progress."""
    for i in range(to):
        ctx.progress({"at": i})
        yield i
