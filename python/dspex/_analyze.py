"""The `analyze` command: statistics of the data that it is given."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from typing import Any

from dspex.errors import InvalidArgument

# Values that are listed with their counts.
_MAX_TOP = 5


def analyze(data: list[Any] | dict[str, list[Any]]) -> dict[str, Any]:
    """Return statistics of a list of values, a list of records, or an object of columns.

    Every column has `count` (values that are not null), `missing` (nulls), and `kind`. Numbers
    have `sum`, `mean`, `min`, `max`, `median`, the quartiles `q1` and `q3` (linear interpolation
    between the nearest ranks, both ends included), and `stdev`, the sample standard deviation
    with n - 1 (null for one value). Text has the `min`, `max` and `mean` of its lengths as
    `length`, `unique`, and the most frequent values as `top`. Truth values have `true` and
    `false`. Columns of several kinds have the count of each as `kinds`.
    """
    if isinstance(data, dict):
        columns = data
    elif data and all(isinstance(v, dict) for v in data):
        names = dict.fromkeys(k for record in data for k in record)
        columns = {name: [record.get(name) for record in data] for name in names}
    else:
        return {"rows": len(data), **_column(data)}
    lengths = {len(v) for v in columns.values()}
    if len(lengths) > 1:
        raise InvalidArgument("analyze: the columns are not of one length")
    return {
        "rows": max(lengths, default=0),
        "columns": {name: _column(values) for name, values in columns.items()},
    }


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, list) else "object"


def _column(values: list[Any]) -> dict[str, Any]:
    present = [v for v in values if v is not None]
    out: dict[str, Any] = {"count": len(present), "missing": len(values) - len(present)}
    kinds = Counter(_kind(v) for v in present)
    if len(kinds) != 1:
        out["kind"] = "mixed" if kinds else "empty"
        if kinds:
            out["kinds"] = dict(kinds)
        return out
    kind = out["kind"] = next(iter(kinds))
    if kind == "number":
        try:
            out.update(_numbers(present))
        except OverflowError:
            raise InvalidArgument("analyze: the numbers are too large to be summed") from None
    elif kind == "text":
        lengths = [len(v) for v in present]
        out["length"] = {"min": min(lengths), "max": max(lengths), "mean": statistics.fmean(lengths)}
        counts = Counter(present)
        out["unique"] = len(counts)
        out["top"] = [{"value": v[:200], "count": n} for v, n in counts.most_common(_MAX_TOP)]
    elif kind == "boolean":
        out["true"] = sum(present)
        out["false"] = len(present) - sum(present)
    return out


def _numbers(values: list[float]) -> dict[str, Any]:
    ordered = sorted(values)

    def quantile(q: float) -> float:
        position = q * (len(ordered) - 1)
        low = math.floor(position)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (ordered[high] - ordered[low]) * (position - low)

    return {
        "sum": math.fsum(values) if any(isinstance(v, float) for v in values) else sum(values),
        "mean": statistics.fmean(values),
        "min": ordered[0],
        "q1": quantile(0.25),
        "median": statistics.median(ordered),
        "q3": quantile(0.75),
        "max": ordered[-1],
        "stdev": statistics.stdev(values) if len(values) > 1 else None,
    }
