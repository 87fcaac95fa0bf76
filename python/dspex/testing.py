"""Run commands without a host, in the tests of a module.

from dspex.testing import run

def test_greet():
    assert run(app, "greet", {"name": "Ada"}).result == {"greeting": "hello Ada"}
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

from dspex import _json
from dspex._context import Context
from dspex.errors import NotFound

if TYPE_CHECKING:
    from dspex._app import App

__all__ = ["Outcome", "arun", "run"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a command did.

    Attributes:
        result: Its result, as a caller would get it: after a way through JSON.
        chunks: What a streaming command yielded.
        progress: What it gave to `Context.progress`.
    """

    result: Any
    chunks: list[Any] = dataclasses.field(default_factory=list)
    progress: list[Any] = dataclasses.field(default_factory=list)


async def arun(
    app: App,
    command: str,
    args: dict[str, Any] | None = None,
    *,
    session_id: str = "",
    timeout: float | None = None,
    stream: bool = False,
) -> Outcome:
    """Run a command of an app.

    Args:
        app: The app.
        command: Name of the command.
        args: Its arguments; they go through JSON, as those of a caller do.
        session_id: Session that the call belongs to.
        timeout: Seconds after which it is cancelled; None is never.
        stream: Take the chunks of a streaming command as they come.

    Raises:
        NotFound: The app has no such command.
        TimeoutError: The time was over.
        Exception: Whatever the command raised.
    """
    found = app.commands.get(command)
    if found is None:
        raise NotFound(f"app {app.name!r} has no command {command!r}")
    chunks: list[Any] = []
    progress: list[Any] = []

    async def send(chunk: Any) -> None:
        chunks.append(_json.loads(_json.dumps(chunk)))

    ctx = Context(command=command, session_id=session_id, timeout=timeout, progress=progress.append)
    given = _json.loads(_json.dumps(args or {}))
    if found.inline:
        result = found.call_inline(ctx, given)
    else:
        result = await asyncio.wait_for(found.call(ctx, given, send if stream else None), timeout)
    return Outcome(_json.loads(_json.dumps(result)), chunks, progress)


def run(app: App, command: str, args: dict[str, Any] | None = None, **options: Any) -> Outcome:
    """Run a command of an app to its end; see `arun`. Not for use inside a running event loop."""
    return asyncio.run(arun(app, command, args, **options))
