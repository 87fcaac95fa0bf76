"""Apps and commands, run without a host."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal, TypedDict

import pydantic
import pytest

import dspex
from dspex import testing


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Item:
    name: str
    colours: list[Colour]
    count: int = 1


class Model(pydantic.BaseModel):
    name: str
    size: int


class Options(TypedDict):
    deep: bool


app = dspex.App("test")


@app.command
async def kinds(
    i: int = 0,
    f: float = 0.0,
    s: str = "",
    b: bool = False,
    o: int | None = None,
    u: int | str = 0,
    xs: list[int] = [],  # noqa: B006 - never changed
    d: dict[str, float] = {},  # noqa: B006
    lit: Literal["a", 1, True] = "a",
    item: Item | None = None,
    model: Model | None = None,
    options: Options | None = None,
) -> list[str]:
    return [repr(v) for v in (i, f, s, b, o, u, xs, d, lit, item, model, options)]


@app.command(name="rest.of-it", doc="Its own text.", idempotent=True)
async def rest(a: int, **others: Any) -> dict[str, Any]:
    return {"a": a, "others": others}


@app.command
def in_thread(ctx: dspex.Context, x: int) -> dict[str, Any]:
    ctx.progress({"x": x})
    return {"x": x, "session": ctx.session_id, "cancelled": ctx.cancelled}


@app.command
async def forever() -> None:
    await asyncio.Event().wait()


@app.stream
async def numbers(to: int, ctx: dspex.Context) -> AsyncIterator[int]:
    for i in range(to):
        yield i
    ctx.set_result("done")


@app.stream
def lines(to: int) -> Iterator[str]:
    for i in range(to):
        yield str(i)
    return {"lines": to}


def index(result: list[str], name: str) -> str:
    return result[list(kinds.__annotations__).index(name)]


@pytest.mark.parametrize(
    ("name", "value", "want"),
    [
        ("i", 5, "5"),
        ("f", 5, "5.0"),
        ("f", 0.5, "0.5"),
        ("b", True, "True"),
        ("o", None, "None"),
        ("o", 3, "3"),
        ("u", "x", "'x'"),
        ("xs", [1, 2], "[1, 2]"),
        ("d", {"a": 1}, "{'a': 1.0}"),
        ("lit", 1, "1"),
        ("lit", True, "True"),
        ("item", {"name": "a", "colours": ["red"]}, "Item(name='a', colours=[<Colour.RED: 'red'>], count=1)"),
        ("model", {"name": "a", "size": 1}, "Model(name='a', size=1)"),
        ("options", {"deep": True}, "{'deep': True}"),
    ],
)
def test_conversion(name: str, value: Any, want: str) -> None:
    assert index(testing.run(app, "kinds", {name: value}).result, name) == want


@pytest.mark.parametrize(
    ("args", "where"),
    [
        ({"i": True}, "i"),
        ({"i": "5"}, "i"),
        ({"i": 1.5}, "i"),
        ({"f": True}, "f"),
        ({"f": None}, "f"),
        ({"s": 1}, "s"),
        ({"b": 1}, "b"),
        ({"u": []}, "u"),
        ({"xs": [1, "2"]}, "xs[1]"),
        ({"d": {"a": "b"}}, "d.a"),
        ({"lit": False}, "lit"),
        ({"item": {"name": "a"}}, "colours"),
        ({"item": {"name": "a", "colours": ["blue"]}}, "colours[0]"),
        ({"item": {"name": "a", "colours": [], "more": 1}}, "more"),
        ({"model": {"name": "a", "size": "x"}}, "model.size"),
        ({"options": 1}, "options"),
        ({"nothing": 1}, "nothing"),
    ],
)
def test_mismatch(args: dict[str, Any], where: str) -> None:
    with pytest.raises(dspex.InvalidArgument) as e:
        testing.run(app, "kinds", args)
    assert where in str(e.value)


def test_near_names_are_suggested() -> None:
    with pytest.raises(dspex.InvalidArgument) as e:
        testing.run(app, "kinds", {"modle": {}})
    assert "model" in e.value.hint


def test_rest_and_missing() -> None:
    assert testing.run(app, "rest.of-it", {"a": 1, "b": 2}).result == {"a": 1, "others": {"b": 2}}
    with pytest.raises(dspex.InvalidArgument) as e:
        testing.run(app, "rest.of-it", {"b": 2})
    assert "'a'" in str(e.value)


def test_thread() -> None:
    got = testing.run(app, "in_thread", {"x": 1}, session_id="s")
    assert got.result == {"x": 1, "session": "s", "cancelled": False}
    assert got.progress == [{"x": 1}]


def test_streams() -> None:
    got = testing.run(app, "numbers", {"to": 3}, stream=True)
    assert (got.result, got.chunks) == ("done", [0, 1, 2])
    got = testing.run(app, "lines", {"to": 2}, stream=True)
    assert (got.result, got.chunks) == ({"lines": 2}, ["0", "1"])
    assert testing.run(app, "numbers", {"to": 3}).result == "done"


def test_timeout_and_unknown() -> None:
    with pytest.raises(TimeoutError if hasattr(asyncio, "timeout") else asyncio.TimeoutError):
        testing.run(app, "forever", timeout=0.01)
    with pytest.raises(dspex.NotFound):
        testing.run(app, "none")


def test_description() -> None:
    command = app.commands["rest.of-it"]
    assert (command.doc, command.idempotent, command.streaming, command.cancellable) == (
        "Its own text.", True, False, True,
    )  # fmt: skip
    assert not app.commands["in_thread"].cancellable
    assert app.commands["numbers"].streaming
    schema: Any = app.commands["rest.of-it"].args_schema
    assert schema["required"] == ["a"]
    assert schema["additionalProperties"] is True


def test_decorated_functions_stay_what_they_were() -> None:
    assert asyncio.run(rest(1, b=2)) == {"a": 1, "others": {"b": 2}}


def test_what_cannot_be_a_command() -> None:
    other = dspex.App()

    async def coroutine() -> None: ...

    def variadic(*args: int) -> None: ...

    with pytest.raises(TypeError):
        other.command(inline=True)(coroutine)
    with pytest.raises(TypeError):
        other.stream(coroutine)
    with pytest.raises(TypeError):
        other.command(variadic)
    with pytest.raises(TypeError):
        other.command(lines)
