"""A module that starts a thread when it is imported, as some libraries do."""

from __future__ import annotations

import threading

import dspex

app = dspex.App("threads")

threading.Thread(target=threading.Event().wait, daemon=True).start()


@app.command
async def threads() -> int:
    """Count the threads of the process."""
    return threading.active_count()
