"""Prints what an interpreter says of itself, as JSON.

Runs with -I -S, so that no .pth file runs code; a virtual environment, which site would find, is
found here. Written for old Pythons too: a wrong version has to be told.
"""

import importlib.util
import json
import os
import platform
import sys


def settings(executable):
    """Return the settings of the virtual environment that an interpreter is in, or None."""
    folder = os.path.dirname(executable)
    for place in (folder, os.path.dirname(folder)):
        try:
            with open(os.path.join(place, "pyvenv.cfg"), encoding="utf-8") as f:
                pairs = [line.partition("=") for line in f]
        except OSError:
            continue
        found = {key.strip().lower(): value.strip() for key, _, value in pairs}
        found["folder"] = place
        return found
    return None


def main():
    """Print it."""
    base = [sys.base_prefix, sys.base_exec_prefix]
    venv = settings(sys.executable)
    if venv:
        sys.prefix = sys.exec_prefix = venv["folder"]
    # These look at the prefixes when they are imported.
    import site
    import sysconfig

    own = [sys.prefix, sys.exec_prefix]
    if venv and venv.get("include-system-site-packages", "").lower() == "true":
        own += base
    paths = sysconfig.get_paths()
    folders = [paths["purelib"], paths["platlib"]] + site.getsitepackages(own)
    print(
        json.dumps(
            {
                "path": sys.executable,
                "implementation": platform.python_implementation(),
                "version": platform.python_version(),
                "tag": sys.implementation.cache_tag,
                "abi": str(sysconfig.get_config_var("SOABI")),
                "platform": sysconfig.get_platform(),
                "site": [d for i, d in enumerate(folders) if d not in folders[:i] and os.path.isdir(d)],
                "venv": venv["folder"] if venv else "",
                "has_venv": all(importlib.util.find_spec(m) for m in ("venv", "ensurepip")),
            }
        )
    )


main()
