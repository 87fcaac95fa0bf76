"""Imports modules, each timed, and prints the times or the first failure as JSON.

What the modules themselves print goes to stderr.
"""

import json
import os
import sys
import time

answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
folders, modules = json.loads(sys.argv[1])
sys.path[:0] = folders
result = {"ms": {}}
for module in modules:
    started = time.perf_counter()
    try:
        __import__(module)
    except BaseException as error:
        result["failed"] = module
        result["error"] = f"{type(error).__name__}: {error}"
        break
    result["ms"][module] = round((time.perf_counter() - started) * 1000)
json.dump(result, answer)
answer.close()
# A thread that a module left running must not hold the answer up.
sys.stderr.flush()
os._exit(0)
