"""Types of program fields, from their canonical text.

The host has checked the text against the same grammar. This is a parser of its own, so that no
text is ever evaluated or looked up as a name to import:

    type    = option { "|" option }
    option  = "str" | "int" | "float" | "bool" | "Any" | "None"
            | "list" "[" type "]" | "dict" "[" "str" "," type "]"
            | "Optional" "[" type "]" | "Literal" "[" value { "," value } "]"
    value   = text in quotes | whole number | "True" | "False" | "true" | "false" | "None" | "null"
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal, Union

from dspex.errors import InvalidArgument

_TOKEN = re.compile(r"""\s*(?:([A-Za-z]+)|(-?\d+)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|([\[\],|]))""")
_SIMPLE: dict[str, Any] = {"str": str, "int": int, "float": float, "bool": bool, "Any": Any, "None": None}
_MAX_DEPTH = 32


def parse_type(text: str) -> Any:
    """Return the type that a canonical text names.

    Raises:
        InvalidArgument: The text is not of the grammar.
    """
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str]] = []
        at = 0
        stripped = text.rstrip()
        while at < len(stripped):
            match = _TOKEN.match(stripped, at)
            if match is None:
                raise self.error()
            kinds = ("name", "number", "text", "mark")
            self.tokens.append((kinds[(match.lastindex or 1) - 1], match.group(match.lastindex or 1)))
            at = match.end()
        self.at = 0

    def error(self) -> InvalidArgument:
        return InvalidArgument(f"type {self.text[:80]!r} is not one that programs can have")

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def next(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise self.error()
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, mark: str) -> None:
        if self.next() != ("mark", mark):
            raise self.error()

    def parse(self) -> Any:
        got = self.type(0)
        if self.at != len(self.tokens):
            raise self.error()
        return got

    def type(self, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise self.error()
        options = [self.option(depth)]
        while self.peek() == "|":
            self.next()
            options.append(self.option(depth))
        return Union[tuple(options)] if len(options) > 1 else options[0]  # noqa: UP007 - built at run time

    def option(self, depth: int) -> Any:
        kind, word = self.next()
        if kind != "name":
            raise self.error()
        if word in _SIMPLE:
            return _SIMPLE[word]
        if word == "list":
            self.expect("[")
            item = self.type(depth + 1)
            self.expect("]")
            return list[item]  # type: ignore[valid-type]
        if word == "dict":
            self.expect("[")
            if self.next() != ("name", "str"):
                raise self.error()
            self.expect(",")
            item = self.type(depth + 1)
            self.expect("]")
            return dict[str, item]  # type: ignore[valid-type]
        if word == "Optional":
            self.expect("[")
            item = self.type(depth + 1)
            self.expect("]")
            return Union[item, None]  # noqa: UP007 - built at run time
        if word == "Literal":
            self.expect("[")
            values = [self.value()]
            while self.peek() == ",":
                self.next()
                values.append(self.value())
            self.expect("]")
            return Literal[tuple(values)]
        raise self.error()

    def value(self) -> Any:
        kind, word = self.next()
        if kind == "number":
            return int(word)
        if kind == "text":
            return _unquote(word, self.error())
        words: dict[str, Any] = {"True": True, "true": True, "False": False, "false": False, "None": None, "null": None}
        if kind == "name" and word in words:
            return words[word]
        raise self.error()


def _unquote(quoted: str, error: InvalidArgument) -> str:
    body = quoted[1:-1]
    if quoted[0] == "'":
        body = re.sub(r'\\.|"', lambda m: {'"': '\\"', "\\'": "'"}.get(m.group(), m.group()), body)
    try:
        return str(json.loads(f'"{body}"'))
    except ValueError:
        raise error from None
