"""The descriptor that is kept for the handshake.

stdout belongs to the handshake line alone. Before anything else is imported it is moved away, and
whatever prints goes to stderr, at import time and later.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys

_handshake = -1


class _Output(io.TextIOWrapper):
    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


def claim() -> None:
    """Move stdout away, once."""
    global _handshake
    if _handshake < 0:
        _handshake = os.dup(1)
        os.dup2(2, 1)
        # A line that is printed is seen at once, and not lost with the process; and when nobody
        # reads any more, because the host has died, printing goes on without an error.
        sys.stdout = _Output(os.fdopen(os.dup(2), "wb", 0), "utf-8", "backslashreplace", line_buffering=True)
        sys.stderr = _Output(os.fdopen(os.dup(2), "wb", 0), "utf-8", "backslashreplace", line_buffering=True)


def write_handshake(line: str) -> None:
    """Write the handshake line and close its descriptor."""
    global _handshake
    os.write(_handshake, line.encode() + b"\n")
    os.close(_handshake)
    _handshake = -1
