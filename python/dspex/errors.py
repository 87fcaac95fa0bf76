"""Errors that commands raise to tell callers what is wrong.

    Error
    ├── CallerError         the caller can mend it
    │   ├── InputMismatch
    │   ├── InvalidArgument
    │   └── NotFound
    └── WorkerError         the worker cannot do it
        ├── LanguageModelError
        ├── ResultInvalid
        └── ResultTooLarge

Each has a reason of the host's table of errors; any other exception reaches the
caller as PYTHON_EXCEPTION, with its type, text and traceback.
"""

from __future__ import annotations

__all__ = [
    "CallerError",
    "Error",
    "InputMismatch",
    "InvalidArgument",
    "LanguageModelError",
    "NotFound",
    "ResultInvalid",
    "ResultTooLarge",
    "WorkerError",
]


class Error(Exception):
    """Base of the errors of this package.

    Attributes:
        reason: Entry of the host's table of errors, which decides HTTP status and exit code.
        hint: What to do about it; empty if there is nothing to add.
    """

    reason = "PYTHON_EXCEPTION"

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Make an error with a message for the caller."""
        super().__init__(message)
        self.hint = hint


class CallerError(Error):
    """The call itself is wrong: sending it again cannot help."""

    reason = "INVALID_ARGUMENT"


class InvalidArgument(CallerError):
    """An argument is missing, unknown, or of the wrong type or value."""


class InputMismatch(CallerError):
    """The inputs do not fit the program's signature."""

    reason = "INPUT_MISMATCH"


class NotFound(CallerError):
    """What the call names is not there."""

    reason = "COMMAND_NOT_FOUND"


class WorkerError(Error):
    """The worker failed at a call that was right."""


class LanguageModelError(WorkerError):
    """A language model could not be used or did not answer as it should."""

    reason = "LM_ERROR"

    def __init__(self, message: str, *, reason: str = "LM_ERROR", hint: str = "") -> None:
        """Make an error with one of the LM_ reasons."""
        super().__init__(message, hint=hint)
        self.reason = reason


class ResultInvalid(WorkerError):
    """A result cannot be written as JSON."""

    reason = "RESULT_INVALID"


class ResultTooLarge(WorkerError):
    """A result is larger than the pool allows."""

    reason = "RESULT_TOO_LARGE"
