"""JSON as workers speak it: strict on the way out, so that nothing is lost silently."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import math
import uuid
from collections.abc import Mapping
from typing import Any

from dspex.errors import ResultInvalid

try:
    import orjson
except ImportError:  # pragma: no cover - the shipped lock has it
    orjson = None  # type: ignore[assignment]

MAX_DEPTH = 64


def loads(data: bytes) -> Any:
    """Decode JSON text that the host has checked."""
    if not data:
        return {}
    return orjson.loads(data) if orjson is not None else json.loads(data)


def dumps(value: Any) -> bytes:
    """Encode a result.

    Dataclasses, pydantic models, DSPy predictions, enums, sets, dates, UUIDs, decimals and
    numpy values become what they look like in JSON.

    Raises:
        ResultInvalid: Something in the value has no JSON form, is not a finite number, or
            nests deeper than 64 levels.
    """
    if _too_deep(value):
        raise ResultInvalid(f"result nests deeper than {MAX_DEPTH} levels")
    try:
        if orjson is None:
            out = json.dumps(value, default=_simpler, ensure_ascii=False, allow_nan=False).encode()
        else:
            # Dataclasses go through _simpler, which looks how deep they are.
            option = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATACLASS
            out = orjson.dumps(value, default=_simpler, option=option)
    except ResultInvalid:
        raise
    except Exception as e:  # a value's own methods are called too
        raise ResultInvalid(f"result is no JSON: {_locate(value) or e}") from e
    # orjson writes numbers that are not finite as null, and allows more depth than others read.
    if b"null" in out and (where := _not_finite(value)):
        raise ResultInvalid(f"result is no JSON: {where} is not a finite number")
    if out.count(b"[") + out.count(b"{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise ResultInvalid(f"result nests deeper than {MAX_DEPTH} levels")
    return out


def _too_deep(value: Any) -> bool:
    """Report whether plain containers nest too deep: orjson corrupts memory on deep tuples."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for v in level
            if isinstance(v, (list, tuple, dict))
            for child in (v.values() if isinstance(v, dict) else v)
            if isinstance(child, (list, tuple, dict))
        ]
        if not level:
            return False
    return True


def _simpler(value: Any) -> Any:
    """Return a simpler form of a value, for the encoder: no deeper than it stands."""
    out = _convert(value)
    if _too_deep(out):
        raise ResultInvalid(f"result nests deeper than {MAX_DEPTH} levels")
    return out


def _convert(value: Any) -> Any:
    """Return a simpler form of a value that JSON does not know."""
    if (dump := getattr(value, "model_dump", None)) is not None:
        return dump(mode="json")
    if (to_dict := getattr(value, "toDict", None)) is not None:
        return to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    if isinstance(value, (tuple, list)):
        return list(value)
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (uuid.UUID, decimal.Decimal)):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise ResultInvalid("result holds bytes: encode them, for example as base64 text")
    if (item := getattr(value, "item", None)) is not None and getattr(value, "shape", None) == ():
        return item()
    if (tolist := getattr(value, "tolist", None)) is not None:
        return tolist()
    raise TypeError(f"a value of type {type(value).__name__} has no JSON form")


def _children(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(f".{k}", v) for k, v in value.items()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [(f"[{i}]", v) for i, v in enumerate(value)]
    if isinstance(value, (str, int, float, bool)) or value is None:
        return []
    try:
        return [("", _convert(value))]
    except Exception:  # noqa: BLE001 - a value's own methods are called
        return []


def _not_finite(value: Any) -> str:
    """Name the first number that is not finite, or nothing."""
    stack = [("result", value)]
    while stack:
        path, v = stack.pop()
        if isinstance(v, float) and not math.isfinite(v):
            return path
        stack.extend((path + step, child) for step, child in reversed(_children(v)))
    return ""


def _locate(value: Any) -> str:
    """Name the first part of a value that cannot be encoded, or nothing."""
    stack = [("result", value, 0)]
    while stack:
        path, v, depth = stack.pop()
        if depth > MAX_DEPTH:
            return f"{path[:80]} nests too deep"
        if isinstance(v, Mapping) and any(not isinstance(k, str) for k in v):
            return f"{path} has keys that are not text"
        if isinstance(v, int) and not isinstance(v, bool) and not -(2**63) <= v < 2**64:
            return f"{path} does not fit 64 bits"
        children = _children(v)
        if not children and not isinstance(
            v, (str, int, float, bool, type(None), Mapping, list, tuple, set, frozenset)
        ):
            return f"{path} is of type {type(v).__name__}"
        stack.extend((path + step, child, depth + 1) for step, child in reversed(children))
    return ""


def _depth(value: Any) -> int:
    deepest, stack = 0, [(value, 1)]
    while stack:
        v, depth = stack.pop()
        if depth > MAX_DEPTH + 1:
            return depth
        if isinstance(v, (str, int, float, bool)) or v is None:
            continue
        deepest = max(deepest, depth)
        stack.extend((child, depth + 1) for _, child in _children(v))
    return deepest
