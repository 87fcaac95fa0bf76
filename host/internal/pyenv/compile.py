"""Compiles a folder. Bytecode that is never checked against its source suits files that never change."""

import compileall
import py_compile
import sys

made, place = sys.argv[1:]
unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
if not compileall.compile_dir(made, quiet=1, stripdir=made, prependdir=place, invalidation_mode=unchecked):
    sys.exit(1)
