"""A module that imports DSPy by itself, and shows what DSPy keeps in the process."""

from __future__ import annotations

import dspy
from dspy.clients.base_lm import GLOBAL_HISTORY

import dspex

app = dspex.App("state")


@app.command
async def state() -> dict[str, object]:
    return {
        "lm": dspy.settings.lm,
        "trace": len(dspy.settings.trace),
        "history": len(GLOBAL_HISTORY),
        "disk_cache": dspy.cache.enable_disk_cache,
    }
