"""Start of a worker: run as a script, before anything is importable.

The host starts workers without site-packages (`-I -S`), so that no .pth file runs code, and names
the folders to import from in DSPEX_PYTHONPATH.
"""

from __future__ import annotations

import os
import sys

sys.path[:0] = [p for p in os.environ.pop("DSPEX_PYTHONPATH", "").split(os.pathsep) if p]

from dspex.__main__ import main  # noqa: E402 - it imports nothing before it has moved stdout away

if __name__ == "__main__":
    main()
