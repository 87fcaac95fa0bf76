"""The descriptor that is kept for the handshake.

stdout belongs to the handshake line alone. Before anything else is imported it is moved away, and
whatever prints goes to stderr, at import time and later.
"""

from __future__ import annotations

import contextlib
import os
import sys

_handshake = -1


def claim() -> None:
    """Move stdout away, once."""
    global _handshake
    if _handshake < 0:
        _handshake = os.dup(1)
        os.dup2(2, 1)
        # A line that is printed is seen at once, and not lost with the process.
        with contextlib.suppress(AttributeError, ValueError):
            sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def write_handshake(line: str) -> None:
    """Write the handshake line and close its descriptor."""
    global _handshake
    os.write(_handshake, line.encode() + b"\n")
    os.close(_handshake)
    _handshake = -1
