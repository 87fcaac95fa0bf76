"""Types of programs, statistics, logging, and what the package shows."""

from __future__ import annotations

import ast
import contextlib
import importlib
import json
import logging
import pathlib
import pkgutil
import re
import statistics
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dspex
from dspex import _analyze, _json, _log, _types, errors
from dspex.errors import InvalidArgument, ResultInvalid


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("str", str),
        ("Any", Any),
        ("list[int]", list[int]),
        ("dict[str, list[float]]", dict[str, list[float]]),
        ("Optional[bool]", bool | None),
        ("int | str | None", int | str | None),
        ('Literal["a", 1, true]', Literal["a", 1, True]),
        ('Literal["a\\"b", "c\\\\d", "it\'s", "[|,]"]', Literal['a"b', "c\\d", "it's", "[|,]"]),
        ("Literal[-5]", Literal[-5]),
    ],
)
def test_types(text: str, want: Any) -> None:
    assert _types.parse_type(text) == want


@pytest.mark.parametrize(
    "text",
    ["", "os.environ", "antigravity", "list[", "list[int", "list[int]]", "dict[int, str]", "Literal[]", "int |",
     "| int", "tuple[int]", "__import__('os')", "str str", "list[" * 100 + "int" + "]" * 100,
     "Literal[1.5]", "Literal[x]"],
)  # fmt: skip
def test_no_types(text: str) -> None:
    with pytest.raises(InvalidArgument):
        _types.parse_type(text)


@given(st.text(max_size=40) | st.text("strintlodcay[],|\"' 1-LO", max_size=40))
def test_any_text_is_a_type_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidArgument):
        _types.parse_type(text)


def test_analyze_numbers() -> None:
    data = [3, 1, 2, None, 10]
    got = _analyze.analyze(data)
    present = [3, 1, 2, 10]
    assert got["count"] == 4
    assert got["missing"] == 1
    assert (got["sum"], got["min"], got["max"]) == (16, 1, 10)
    assert got["mean"] == pytest.approx(4)
    assert got["median"] == 2.5
    assert got["stdev"] == pytest.approx(statistics.stdev(present))
    low, _, high = statistics.quantiles(present, n=4, method="inclusive")
    assert (got["q1"], got["q3"]) == (pytest.approx(low), pytest.approx(high))


def test_analyze_forms() -> None:
    records = [{"name": "Ada", "age": 36}, {"name": "Bob", "age": None}, {"name": "Ada"}]
    columns = {"name": ["Ada", "Bob", "Ada"], "age": [36, None, None]}
    assert _analyze.analyze(records) == _analyze.analyze(columns)
    got = _analyze.analyze(records)["columns"]
    assert (got["name"]["unique"], got["name"]["top"][0]) == (2, {"value": "Ada", "count": 2})
    assert (got["age"]["count"], got["age"]["missing"]) == (1, 2)
    assert _analyze.analyze([])["count"] == 0


@pytest.mark.parametrize("data", [[1e308, 1e308], [10**400, 1.5], [10**400], [1e308, -1e308, 1e308]])
def test_analyze_of_huge_numbers_is_json_or_refused(data: list[Any]) -> None:
    with contextlib.suppress(InvalidArgument, ResultInvalid):
        _json.dumps(_analyze.analyze(data))


def record(message: str, *args: Any, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("acme", logging.WARNING, "f.py", 1, message, args, None)
    vars(made).update(extra)
    return made


def test_log_lines() -> None:
    forged = 'x\n{"@level":"error"}\x1b[2J'
    line = _log.JSONFormatter().format(record("%s", forged, **{"@level": "error", "user": 1}))
    assert "\n" not in line
    assert "\x1b" not in line
    entry = json.loads(line)
    assert (entry["@level"], entry["@message"], entry["user"]) == ("warn", forged, 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry["@timestamp"])


def test_log_levels() -> None:
    names = {
        logging.CRITICAL: "error",
        logging.ERROR: "error",
        logging.INFO: "info",
        logging.DEBUG: "debug",
        25: "info",
    }
    for number, want in names.items():
        made = record("m")
        made.levelno, made.levelname = number, logging.getLevelName(number)
        assert json.loads(_log.JSONFormatter().format(made))["@level"] == want, number


def test_log_survives_broken_arguments() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    assert json.loads(_log.JSONFormatter().format(record("m", broken=Broken())))["@message"] == "m"
    assert len(_log.JSONFormatter().format(record("\x00" * 100_000))) <= 64 << 10


def test_public_names() -> None:
    assert dspex.__all__ == sorted(dspex.__all__)
    for name in dspex.__all__:
        assert hasattr(dspex, name)
    source = pathlib.Path(dspex.__file__).read_text()
    imported = {
        a.asname or a.name
        for node in ast.parse(source).body
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for a in node.names
    }
    assert imported == set(dspex.__all__)


@pytest.mark.parametrize("name", ["errors", "testing"])
def test_public_modules(name: str) -> None:
    module = importlib.import_module(f"dspex.{name}")
    assert module.__all__ == sorted(module.__all__)
    own = {
        n for n, v in vars(module).items() if not n.startswith("_") and getattr(v, "__module__", "") == module.__name__
    }
    assert own == set(module.__all__)


def test_modules_are_private() -> None:
    public = {m.name for m in pkgutil.iter_modules(dspex.__path__) if not m.name.startswith("_")}
    assert public == {"errors", "testing"}


def test_error_reasons() -> None:
    table = {
        "INVALID_ARGUMENT", "INPUT_MISMATCH", "SIGNATURE_INVALID", "PAYLOAD_TOO_LARGE", "COMMAND_NOT_FOUND",
        "RESULT_INVALID", "RESULT_TOO_LARGE", "PYTHON_EXCEPTION", "LM_ERROR",
    }  # fmt: skip
    for name in errors.__all__:
        cls = getattr(errors, name)
        assert issubclass(cls, errors.Error)
        assert cls.reason in table, name


def test_log_lines_are_bounded() -> None:
    line = _log.JSONFormatter().format(record("\x00" * 100_000, more="\x00" * 100_000))
    assert len(line) <= 64 << 10
    assert json.loads(line)["@level"] == "warn"
