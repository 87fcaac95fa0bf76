"""Write commands in Python that a dspex host runs in pools of workers.

    import dspex

    app = dspex.App("acme")

    @app.command
    async def greet(name: str) -> dict[str, str]:
        \"\"\"Greet somebody.\"\"\"
        return {"greeting": f"hello {name}"}

Name the module in a pool (``module = "acme.workers.qa"``) and call the command:
``dspex call qa greet name=Ada``. `dspex.testing` runs commands without a host.
"""

from __future__ import annotations

from dspex._app import App, Command
from dspex._context import Context
from dspex._version import __version__
from dspex.errors import CallerError, Error, InvalidArgument, NotFound, WorkerError

__all__ = [
    "App",
    "CallerError",
    "Command",
    "Context",
    "Error",
    "InvalidArgument",
    "NotFound",
    "WorkerError",
    "__version__",
]
