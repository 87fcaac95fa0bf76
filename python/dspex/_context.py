"""What a command can learn about its call, and tell its caller."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_logger = logging.getLogger("dspex.command")


class Context:
    """One call, as its command sees it.

    A command gets it as the parameter that is annotated with this class. Its methods may be
    called from any thread.

    Attributes:
        command: Name of the command.
        session_id: Session that the call belongs to; empty if none.
        traceparent: W3C trace context of the caller; empty if none.
        attempt: Which try of the same call this is, from 1.
        worker_id: ID of this worker, such as "qa-3"; empty outside a host.
        pool: Name of the worker's pool; empty outside a host.
        generation: Which process of the worker this is, from 1.
    """

    __slots__ = (
        "_cancelled",
        "_deadline",
        "_progress",
        "_result",
        "attempt",
        "command",
        "generation",
        "pool",
        "session_id",
        "traceparent",
        "worker_id",
    )

    def __init__(
        self,
        *,
        command: str = "",
        session_id: str = "",
        timeout: float | None = None,
        traceparent: str = "",
        attempt: int = 1,
        worker_id: str = "",
        pool: str = "",
        generation: int = 0,
        progress: Callable[[Any], None] | None = None,
    ) -> None:
        """Make a context; commands are given theirs."""
        self.command = command
        self.session_id = session_id
        self.traceparent = traceparent
        self.attempt = attempt
        self.worker_id = worker_id
        self.pool = pool
        self.generation = generation
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._progress = progress
        self._cancelled: threading.Event | None = None
        self._result: list[Any] = []

    def remaining(self) -> float | None:
        """Seconds that the call has left, at least 0; None if it has no deadline."""
        if self._deadline is None:
            return None
        return max(0.0, self._deadline - time.monotonic())

    @property
    def cancelled(self) -> bool:
        """Whether the caller no longer waits. Commands in threads look here: they are not interrupted."""
        return self._cancelled is not None and self._cancelled.is_set()

    def progress(self, data: Any) -> None:
        """Tell a streaming caller how far the call is. Others do not see it; it may be dropped."""
        if self._progress is not None:
            self._progress(data)

    def set_result(self, value: Any) -> None:
        """Set the result of a streaming command, which cannot return one. The last value counts."""
        self._result = [value]

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records name the call's command and session."""
        return logging.LoggerAdapter(_logger, {"command": self.command, "session": self.session_id})
