"""Logging to stderr in the JSON form that hclog reads."""

from __future__ import annotations

import datetime
import json
import logging
import sys
import traceback
from typing import Any

_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}


# Characters of a message; each may take six in JSON, and the host cuts lines at 64 KiB.
_MAX_TEXT = 8192
_MAX_EXTRA = 512
_MAX_LINE = 60 << 10

_LEVELS = (
    (logging.ERROR, "error"),
    (logging.WARNING, "warn"),
    (logging.INFO, "info"),
    (logging.DEBUG, "debug"),
    (-1, "trace"),
)


class JSONFormatter(logging.Formatter):
    """Writes one JSON object a record: level, message, logger, extras, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        level = next(name for least, name in _LEVELS if record.levelno >= least)
        at = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
        entry: dict[str, Any] = {
            "@level": level,
            "@message": _text(record),
            "@timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "logger": record.name,
        }
        for key, value in vars(record).items():
            if key not in _STANDARD:
                entry[key.lstrip("@") or "extra"] = value if isinstance(value, (int, float)) else _repr(value)
        if record.exc_info:
            entry["traceback"] = "".join(traceback.format_exception(*record.exc_info))[-16384:]
        line = json.dumps(entry)
        if len(line) > _MAX_LINE:  # an escape is six times as long as its character
            short = list(entry.items())[:16]
            line = json.dumps({k[:64]: v[:_MAX_EXTRA] if isinstance(v, str) else v for k, v in short})
        return line


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()[:_MAX_TEXT]
    except Exception:  # noqa: BLE001 - a record must not end a call
        return f"{record.msg!s} (its arguments cannot be shown)"


def _repr(value: Any) -> str:
    try:
        return (value if isinstance(value, str) else repr(value))[:_MAX_EXTRA]
    except Exception:  # noqa: BLE001 - as above
        return f"<{type(value).__name__}>"


class StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to stderr, and goes on when nobody reads it any more."""

    def __init__(self) -> None:
        """Write to the present stderr."""
        super().__init__(sys.stderr)
        self.setFormatter(JSONFormatter())

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Drop what cannot be written: a host that is gone must not end a worker."""


def configure() -> None:
    """Send the root logger's records to the host."""
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(StderrHandler())
    root.setLevel(logging.INFO)
