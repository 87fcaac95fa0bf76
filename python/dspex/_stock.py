"""The commands that every Python worker has, and how a pool's own are added."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from dspex import _analyze, _programs
from dspex._app import App, Command
from dspex._context import Context
from dspex._settings import Settings


class WorkerApp(App):
    """The stock commands and a pool's own, in one process.

    A command of the pool's module takes the place of a stock command of the same name.
    """

    def __init__(self) -> None:
        """Make an app of the stock commands."""
        super().__init__("worker")
        self.settings = Settings()
        self.programs = _programs.Programs()
        self.command(name="ping", idempotent=True, inline=True)(self.ping)
        self.command(idempotent=True)(_analyze.analyze)
        self.command(self.programs.create_program)
        self.command(self.programs.execute_program)
        self.command(idempotent=True)(self.programs.list_programs)
        self.command(idempotent=True)(self.programs.delete_program)

    def ping(self, ctx: Context, /, **args: Any) -> dict[str, Any]:
        """Answer at once with the arguments, the worker's ID and its process ID."""
        return {"pong": True, "args": args, "worker": ctx.worker_id, "pid": os.getpid()}

    def configure(self, settings: Settings) -> None:
        """Take the worker's identity and language models."""
        self.settings = settings
        self.programs.configure(settings)


def preload(name: str) -> None:
    """Import a module before the worker is ready."""
    if name == "dspy":
        _programs.load_dspy()
    else:
        importlib.import_module(name)


def build_app(module: str) -> WorkerApp:
    """Return the stock commands, and those of a pool's module.

    Raises:
        TypeError: The module has no app, or several.
    """
    worker = WorkerApp()
    if module:
        importlib.import_module(module)
        worker.commands.update(_own_commands(sys.modules[module]))
    return worker


def _own_commands(module: Any) -> dict[str, Command]:
    own = getattr(module, "app", None)
    if not isinstance(own, App):
        apps = [v for v in vars(module).values() if isinstance(v, App)]
        if len(apps) != 1:
            raise TypeError(f"module {module.__name__} has {len(apps)} dspex.App objects; name one of them `app`")
        own = apps[0]
    return own.commands
