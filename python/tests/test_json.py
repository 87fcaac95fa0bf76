"""What Python values look like on the wire."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import json
import uuid
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex import _json
from dspex.errors import ResultInvalid

Point = collections.namedtuple("Point", "x y")


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Item:
    name: str
    colour: Colour


class Model(pydantic.BaseModel):
    at: datetime.date
    items: list[int]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)  # fmt: skip


@given(values)
def test_json_comes_back_as_it_was(value: Any) -> None:
    assert _json.loads(_json.dumps(value)) == value
    assert json.loads(_json.dumps(value)) == value


@pytest.mark.parametrize(
    ("value", "want"),
    [
        ((1, 2), [1, 2]),
        (Point(1, 2), [1, 2]),
        ({3, 1, 2}, [1, 2, 3]),
        (Item("a", Colour.RED), {"name": "a", "colour": "red"}),
        (Model(at=datetime.date(2026, 1, 2), items=[1]), {"at": "2026-01-02", "items": [1]}),
        ({"m": [Model(at=datetime.date(2026, 1, 2), items=[])]}, {"m": [{"at": "2026-01-02", "items": []}]}),
        (datetime.datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_conversions(value: Any, want: Any) -> None:
    assert json.loads(_json.dumps(value)) == want


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": [1.0, float("nan")]}, "a[1]"),
        ({"a": None, "b": float("inf")}, "b"),
        ({"a": (float("-inf"),)}, "a[0]"),
        ({"a": [object()]}, "a[0]"),
        ({"a": {"b": 2**64}}, "a.b"),
        ({"a": "\ud800"}, "a"),
        ({"a": {object(): 1}}, "a"),
    ],
)
def test_what_has_no_form_is_named(value: Any, where: str) -> None:
    with pytest.raises(ResultInvalid) as e:
        _json.dumps(value)
    assert where in str(e.value)


def test_dspy_prediction() -> None:
    dspy = pytest.importorskip("dspy")
    prediction = dspy.Prediction(answer="Paris", items=[Item("a", Colour.RED)])
    assert json.loads(_json.dumps(prediction)) == {"answer": "Paris", "items": [{"name": "a", "colour": "red"}]}


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: {"a": v}, lambda v: (v,)])
def test_depth(wrap: Any) -> None:
    value: Any = []
    for _ in range(63):
        value = wrap(value)
    _json.dumps(value)
    with pytest.raises(ResultInvalid):
        _json.dumps(wrap(value))
    for _ in range(2000):
        value = wrap(value)
    with pytest.raises(ResultInvalid):
        _json.dumps(value)


def test_wide_is_not_deep() -> None:
    value = [{"a": '[[[{{{\\"'}] * 1000
    assert json.loads(_json.dumps(value)) == value


def test_cycles_end() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ResultInvalid):
        _json.dumps(value)


def test_broken_values_of_others() -> None:
    class Broken:
        def model_dump(self, mode: str) -> Any:
            raise RuntimeError("broken")

    with pytest.raises(ResultInvalid):
        _json.dumps({"a": Broken()})


@dataclasses.dataclass
class Box:
    value: Any


class Own:
    def __init__(self, value: Any) -> None:
        self.value = value

    def toDict(self) -> dict[str, Any]:  # noqa: N802 - DSPy's name
        return {"value": self.value}


@pytest.mark.parametrize("wrap", [Box, Own])
def test_depth_within_other_values(wrap: Any) -> None:
    value: Any = ()
    for _ in range(3000):
        value = (value,)
    for _ in range(50):  # orjson would corrupt memory
        with pytest.raises(ResultInvalid):
            _json.dumps(wrap(value))
