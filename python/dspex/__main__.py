"""`python -m dspex`: a worker, for a host to start."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from dspex import _fd

if TYPE_CHECKING:
    from dspex._stock import WorkerApp

COOKIE = ("DSPEX_PLUGIN", "5d0f4c7e9b1a4a63a1de54f1f6a0c2b7")


def main() -> None:
    """Import what the pool needs, then serve until the host ends it."""
    if os.environ.get(COOKIE[0]) != COOKIE[1]:
        sys.stderr.write("This is a worker of dspex: `dspex serve` starts it. It does nothing by itself.\n")
        raise SystemExit(1)
    if sys.argv[1:] != ["--fork-server"]:  # each of its workers has a stdout of its own
        _fd.claim()

    from dspex import _log

    _log.configure()
    app = prepare()
    if sys.argv[1:] == ["--fork-server"]:
        from dspex import _zygote

        _zygote.run(app)
        return

    from dspex import _server

    _server.serve(app)


def prepare() -> WorkerApp:
    """Import the SDK, the modules to preload, and the pool's own module.

    Nothing here may start a thread or make a gRPC object: a process that did cannot be forked.
    A failed import ends the process with status 3, and a last line that names it.
    """
    name = "dspex"
    try:
        import grpc.aio  # noqa: F401

        from dspex import _server, _stock  # noqa: F401

        for name in filter(None, os.environ.get("DSPEX_PRELOAD", "").split(",")):
            _stock.preload(name)
        name = os.environ.get("DSPEX_MODULE", "")
        return _stock.build_app(name)
    except BaseException as e:
        logging.getLogger("dspex").error("import failed", exc_info=True)
        sys.stderr.write(f"import {name}: {type(e).__name__}: {e}\n")
        sys.stderr.flush()
        os._exit(3)


if __name__ == "__main__":
    main()
