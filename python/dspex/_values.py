"""From JSON to annotated parameters, and from annotations to JSON Schema."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Converter = Callable[[Any, str], Any]


class Mismatch(Exception):
    """A value does not fit its annotation."""


def _name(value: Any) -> str:
    """Return what a JSON value is called."""
    if value is None:
        return "null"
    names = {bool: "boolean", int: "integer", float: "number", str: "text", list: "list", dict: "object"}
    return names.get(type(value), type(value).__name__)


def converter(annotation: Any) -> Converter | None:
    """Return a function that checks and converts a JSON value, or None if any will do.

    Knows the simple types, list, dict, tuple, Optional, Union, Literal, enums, dataclasses,
    TypedDict, and pydantic models. Other annotations take any value.
    """
    if annotation in (Any, object) or annotation is None.__class__:
        return None if annotation is not None.__class__ else _only_none
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return converter(args[0])
    if annotation in (str, bool):
        return _exactly(annotation)
    if annotation is int:
        return _integer
    if annotation is float:
        return _number
    if origin is typing.Literal:
        return _literal(args)
    if origin in (typing.Union, types.UnionType):
        return _union([a for a in args])
    if annotation is list or origin in (list, Sequence):
        return _list(converter(args[0]) if args else None)
    if annotation is dict or origin in (dict, Mapping):
        return _dict(converter(args[1]) if args else None)
    if isinstance(annotation, type):
        if hasattr(annotation, "model_validate"):
            return _pydantic(annotation)
        if issubclass(annotation, enum.Enum):
            return _enum(annotation)
        if dataclasses.is_dataclass(annotation):
            return _dataclass(annotation)
        if typing.is_typeddict(annotation):
            return _dict(None)
    return None


def _only_none(value: Any, path: str) -> Any:
    if value is not None:
        raise Mismatch(f"{path}: want null, got {_name(value)}")
    return value


def _exactly(want: type) -> Converter:
    label = {str: "text", bool: "true or false"}[want]

    def convert(value: Any, path: str) -> Any:
        if type(value) is not want:
            raise Mismatch(f"{path}: want {label}, got {_name(value)}")
        return value

    return convert


def _integer(value: Any, path: str) -> Any:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise Mismatch(f"{path}: want a whole number, got {_name(value)}")


def _number(value: Any, path: str) -> Any:
    if type(value) in (int, float):
        return float(value)
    raise Mismatch(f"{path}: want a number, got {_name(value)}")


def _literal(options: tuple[Any, ...]) -> Converter:
    def convert(value: Any, path: str) -> Any:
        for option in options:
            if type(option) is type(value) and option == value:
                return value
        raise Mismatch(f"{path}: want one of {', '.join(map(repr, options))}")

    return convert


def _union(options: list[Any]) -> Converter:
    converters = [_only_none if o is type(None) else converter(o) for o in options]

    def convert(value: Any, path: str) -> Any:
        problems = []
        for c in converters:
            if c is None:
                return value
            try:
                return c(value, path)
            except Mismatch as e:
                problems.append(str(e))
        raise Mismatch(problems[0])

    return convert


def _list(item: Converter | None) -> Converter:
    def convert(value: Any, path: str) -> Any:
        if not isinstance(value, list):
            raise Mismatch(f"{path}: want a list, got {_name(value)}")
        return value if item is None else [item(v, f"{path}[{i}]") for i, v in enumerate(value)]

    return convert


def _dict(item: Converter | None) -> Converter:
    def convert(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise Mismatch(f"{path}: want an object, got {_name(value)}")
        return value if item is None else {k: item(v, f"{path}.{k}") for k, v in value.items()}

    return convert


def _enum(cls: type[enum.Enum]) -> Converter:
    def convert(value: Any, path: str) -> Any:
        try:
            return cls(value)
        except ValueError:
            raise Mismatch(f"{path}: want one of {', '.join(repr(m.value) for m in cls)}") from None

    return convert


def _pydantic(cls: Any) -> Converter:
    def convert(value: Any, path: str) -> Any:
        try:
            return cls.model_validate(value)
        except ValueError as e:
            errors: list[Any] = getattr(e, "errors", list)()
            first = errors[0] if errors else {"loc": (), "msg": str(e)}
            where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in first["loc"])
            raise Mismatch(f"{path}{where}: {first['msg']}") from None

    return convert


def _dataclass(cls: type[Any]) -> Converter:
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    converters = {name: converter(hints[name]) for name in fields}

    def convert(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise Mismatch(f"{path}: want an object, got {_name(value)}")
        for name in value:
            if name not in fields:
                raise Mismatch(f"{path}: there is no {name!r}")
        out = {}
        for name, f in fields.items():
            if name in value:
                c = converters[name]
                out[name] = value[name] if c is None else c(value[name], f"{path}.{name}")
            elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
                raise Mismatch(f"{path}: {name!r} is missing")
        return cls(**out)

    return convert


_SIMPLE: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    list: {"type": "array"},
    dict: {"type": "object"},
}


def schema(annotation: Any) -> dict[str, Any]:
    """Return the JSON Schema of an annotation; {} for what takes any value."""
    if annotation in _SIMPLE:
        return dict(_SIMPLE[annotation])
    if annotation is None:
        return {"type": "null"}
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return schema(args[0])
    if origin is typing.Literal:
        return {"enum": list(args)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [schema(a) for a in args]}
    if origin in (list, Sequence):
        return {"type": "array", "items": schema(args[0])}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": schema(args[1])}
    if isinstance(annotation, type):
        if (model_schema := getattr(annotation, "model_json_schema", None)) is not None:
            return typing.cast("dict[str, Any]", model_schema())
        if issubclass(annotation, enum.Enum):
            return {"enum": [m.value for m in annotation]}
        if dataclasses.is_dataclass(annotation):
            hints = typing.get_type_hints(annotation)
            fields = [f for f in dataclasses.fields(annotation) if f.init]
            return {
                "type": "object",
                "properties": {f.name: schema(hints[f.name]) for f in fields},
                "required": [
                    f.name
                    for f in fields
                    if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
                ],
                "additionalProperties": False,
            }
    return {}
