"""Records what real DSPy programs send to the fake LM, and checks what they read back.

Run it against a fake LM that just started, with DSPy installed:

    python record_prompts.py http://127.0.0.1:8000 .

It runs a set of programs through each adapter, fails unless every output has the
declared type, and writes one file of requests and answers per adapter. The Go
tests replay those files without Python: an answer that is equal to the recorded
one is known to be one that DSPy parses.
"""

from __future__ import annotations

import asyncio
import datetime
import enum
import json
import os
import re
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "true"

import dspy  # type: ignore[import-untyped]
import pydantic
from dspy.adapters.baml_adapter import BAMLAdapter  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Callable


class Address(pydantic.BaseModel):
    """A postal address."""

    street: str
    zip: int
    country: str


class Person(pydantic.BaseModel):
    """A person."""

    name: str = pydantic.Field(description="full name")
    age: int = pydantic.Field(ge=0, le=120)
    tags: list[str]
    address: Address | None
    share: float


class Tree(pydantic.BaseModel):
    """A tree, which holds trees."""

    label: str
    children: list[Tree]


class Color(enum.Enum):
    """A color."""

    RED = "red"
    BLUE = "blue"


class Scalars(dspy.Signature):  # type: ignore[misc]
    """Answer with one value of each scalar type."""

    question: str = dspy.InputField(desc="what to answer\n2. `fake` (int): not a field")
    answer: str = dspy.OutputField()
    count: int = dspy.OutputField(desc="how many (roughly)", ge=5, le=9)
    score: float = dspy.OutputField(gt=0.25, lt=0.75)
    sure: bool = dspy.OutputField()
    label: Literal["it's (a); [b]", "no"] = dspy.OutputField()
    level: Literal[3, 2, 1] = dspy.OutputField()
    color: Color = dspy.OutputField()
    maybe: str | None = dspy.OutputField()
    number: int | None = dspy.OutputField()
    day: datetime.date = dspy.OutputField()
    moment: datetime.datetime = dspy.OutputField()


class Containers(dspy.Signature):  # type: ignore[misc]
    """Answer with one value of each container type."""

    text: str = dspy.InputField()
    names: list[str] = dspy.OutputField(min_length=2)
    numbers: list[int] = dspy.OutputField()
    counts: dict[str, int] = dspy.OutputField()
    anything: dict[str, Any] = dspy.OutputField()
    pair: tuple[int, str] = dspy.OutputField()
    unique: set[str] = dspy.OutputField()
    nested: list[list[float]] = dspy.OutputField()
    kinds: list[Literal["x", "y"]] = dspy.OutputField()


class Extract(dspy.Signature):  # type: ignore[misc]
    """Extract the people."""

    passage: str = dspy.InputField()
    person: Person = dspy.OutputField(desc="the main person")
    others: list[Person] = dspy.OutputField()


class Recurse(dspy.Signature):  # type: ignore[misc]
    """Draw the tree."""

    text: str = dspy.InputField()
    tree: Tree = dspy.OutputField()


class Chat(dspy.Signature):  # type: ignore[misc]
    """Go on with the conversation."""

    question: str = dspy.InputField()
    history: dspy.History = dspy.InputField()
    answer: str = dspy.OutputField()


class Write(dspy.Signature):  # type: ignore[misc]
    """Write a program."""

    request: str = dspy.InputField()
    program: dspy.Code["python"] = dspy.OutputField()  # noqa: F821, UP037


class Look(dspy.Signature):  # type: ignore[misc]
    """Answer from the picture."""

    picture: dspy.Image = dspy.InputField()
    question: str = dspy.InputField()
    answer: int = dspy.OutputField()


class Think(dspy.Signature):  # type: ignore[misc]
    """Think natively."""

    question: str = dspy.InputField()
    think: dspy.Reasoning = dspy.OutputField()
    answer: str = dspy.OutputField()


SCALARS: dict[str, Any] = {
    "answer": str,
    "count": int,
    "score": float,
    "sure": bool,
    "label": str,
    "level": int,
    "color": Color,
    "maybe": str,
    "number": int,
    "day": datetime.date,
    "moment": datetime.datetime,
}
CONTAINERS: dict[str, Any] = {
    "names": list,
    "numbers": list,
    "counts": dict,
    "anything": dict,
    "pair": tuple,
    "unique": set,
    "nested": list,
    "kinds": list,
}


def search(query: str, limit: int = 3) -> str:
    """Search the archive.

    Args:
        query: What to look for.
        limit: How many lines to return.

    Returns:
        What was found.
    """
    return f"archive[{limit}]: {query} is discussed in volume 7"


def show(value: Any) -> str:
    """Returns a short text of an output that is the same in each run."""
    return repr(sorted(value) if isinstance(value, set) else value)[:300]


class Recorder:
    """Runs programs against a fake LM and collects their requests.

    Args:
        address: The fake LM's base address, without ``/v1``.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.files: dict[str, list[dict[str, Any]]] = {}

    def lm(self, model: str = "openai/gpt-4o-mini", **options: Any) -> dspy.LM:
        """Returns an uncached LM client that talks to the fake LM."""
        return dspy.LM(model, api_base=f"{self.address}/v1", api_key="x", cache=False, num_retries=0, **options)

    def fetch(self, path: str, body: Any = None) -> Any:
        """Returns the JSON of a GET, or of a POST if there is a body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def case(
        self, adapter: str, name: str, run: Callable[[], Any], types: dict[str, Any], calls: int | None = 1
    ) -> None:
        """Runs a program, checks its outputs, and records its requests.

        Args:
            adapter: The name of the file to record in.
            name: The name of the case.
            run: Runs the program and returns its prediction.
            types: The class of each expected output.
            calls: How many requests the program must need; None for any number.

        Raises:
            AssertionError: If an output or the number of requests is not as expected.
        """
        self.fetch("/control/reset", {})
        prediction = run()
        for output, kind in types.items():
            value = getattr(prediction, output)
            assert isinstance(value, kind), f"{adapter}/{name}: {output} is {value!r}"
            assert value != "", f"{adapter}/{name}: {output} is empty"
        sent = self.fetch("/control/stats?requests=1")["recent"]
        assert calls is None or len(sent) == calls, f"{adapter}/{name}: {len(sent)} requests"
        recorded = []
        for request in sent:
            body = json.loads(request["body"])
            answer = self.fetch(request["path"], {**body, "stream": False})
            if "choices" in answer:
                message = answer["choices"][0]["message"]
                said, tools = message["content"], message.get("tool_calls", [])
            else:
                said, tools = answer["output"][0]["content"][0]["text"], []
            functions = [tool["function"] for tool in tools]
            recorded.append({"path": request["path"], "body": body, "content": said, "functions": functions})
        outputs = {key: show(value) for key, value in prediction.items() if key in types}
        self.files.setdefault(adapter, []).append({"case": name, "outputs": outputs, "calls": recorded})
        print(f"{adapter:10} {name:22} {len(sent)} {outputs}")

    def save(self, folder: Path) -> None:
        """Writes one file per adapter."""
        for adapter, cases in self.files.items():
            content = {"dspy": dspy.__version__, "cases": cases}
            text = json.dumps(content, indent=1, ensure_ascii=False)
            # The server numbers its tool calls; a recording must not depend on what ran before.
            text = re.sub(r"call_\d+_", "call_1_", text)
            (folder / f"{adapter}.json").write_text(text + "\n")


def record_adapter(recorder: Recorder, adapter: str, nested_calls: int | None, calls: int = 1) -> None:
    """Records the programs that every adapter runs.

    Args:
        recorder: Where to record.
        adapter: The name of the file to record in.
        nested_calls: How many requests a nested model needs; None for any number.
        calls: How many requests one prediction needs.
    """
    case = recorder.case
    question = "What is the capital of France?"
    case(adapter, "predict", lambda: dspy.Predict("question -> answer")(question=question), {"answer": str}, calls)
    case(
        adapter,
        "chain_of_thought",
        lambda: dspy.ChainOfThought("question -> answer: int")(question="What is 17 + 25?"),
        {"reasoning": str, "answer": int},
        calls,
    )
    case(adapter, "scalars", lambda: dspy.Predict(Scalars)(question="Who are\nyou?"), SCALARS, calls)
    odd = "Odd <b>&amp; text</b> with [[ ## names ## ]]\n\n[[ ## names ## ]]\n</text> \u201cquotes\u201d"
    case(adapter, "containers", lambda: dspy.Predict(Containers)(text=odd), CONTAINERS, calls)
    passage = "Alice Liddell, 45, lives in Oxford."
    case(
        adapter,
        "models",
        lambda: dspy.Predict(Extract)(passage=passage),
        {"person": Person, "others": list},
        nested_calls,
    )
    case(adapter, "code", lambda: dspy.Predict(Write)(request="Print a word."), {"program": dspy.Code}, calls)
    past = dspy.History(messages=[{"question": "What is DSPy?", "answer": "A framework."}])
    case(adapter, "history", lambda: dspy.Predict(Chat)(question=question, history=past), {"answer": str}, calls)
    few = dspy.Predict("question -> answer, confidence: float")
    few.demos = [
        dspy.Example(question="What is the capital of Peru?", answer="Lima", confidence=0.9),
        dspy.Example(question="What is the capital of Chile?", answer="Santiago"),
    ]
    case(adapter, "demos", lambda: few(question="What is new in Norway?"), {"answer": str, "confidence": float}, calls)
    several = "context: list[str], question -> answer, sources: list[int]"
    case(
        adapter,
        "inputs",
        lambda: asyncio.run(dspy.Predict(several).acall(context=["one", "two\nlines"], question="Why 9?")),
        {"answer": str, "sources": list},
        calls,
    )


def main() -> None:
    """Records all adapters."""
    recorder = Recorder(sys.argv[1].rstrip("/"))
    dspy.configure(lm=recorder.lm())
    react = dspy.ReAct("question -> answer", tools=[search])
    agent = dspy.ReActV2("question -> answer, volume: int", tools=[search])
    question = "Where is Atlantis?"

    for name, adapter in {"chat": dspy.ChatAdapter(), "json": dspy.JSONAdapter(), "xml": dspy.XMLAdapter()}.items():
        with dspy.context(adapter=adapter):
            record_adapter(recorder, name, None if name == "xml" else 1)
            recorder.case(name, "recursive", lambda: dspy.Predict(Recurse)(text="oak"), {"tree": Tree}, None)
            recorder.case(name, "react", lambda: react(question=question), {"answer": str, "trajectory": dict}, 3)
            recorder.case(name, "react_v2", lambda: agent(question=question), {"answer": str, "volume": int}, 2)
    with dspy.context(adapter=BAMLAdapter()):
        record_adapter(recorder, "baml", 1)
        recorder.case("baml", "react", lambda: react(question=question), {"answer": str, "trajectory": dict}, 3)
    with dspy.context(adapter=dspy.TwoStepAdapter(recorder.lm())):
        record_adapter(recorder, "two_step", 2, calls=2)
        recorder.case("two_step", "react", lambda: react(question=question), {"answer": str, "trajectory": dict}, 6)
    with dspy.context(adapter=dspy.ChatAdapter(use_native_function_calling=True)):
        recorder.case("native", "react_v2", lambda: agent(question=question), {"answer": str, "volume": int}, 2)
    with dspy.context(lm=recorder.lm(model_type="responses")):
        recorder.case(
            "responses", "predict", lambda: dspy.Predict("question -> answer")(question="Who are you?"), {"answer": str}
        )
    compare = dspy.MultiChainComparison("question -> answer", M=2)
    attempts = [dspy.Prediction(rationale="It is big.", answer=city) for city in ("Paris", "Lyon")]
    recorder.case("modules", "compare", lambda: compare(attempts, question="Which city?"), {"answer": str})
    rlm = dspy.RLM("context, query -> answer, volumes: list[int]", interpreter_factory=dspy.LocalInterpreter)
    recorder.case(
        "modules", "rlm", lambda: rlm(context="`a`\n" * 9, query="Which `volumes`?"), {"answer": str, "volumes": list}
    )
    picture = dspy.Image("https://example.com/a.png")
    recorder.case(
        "modules", "image", lambda: dspy.Predict(Look)(picture=picture, question="What is 6 * 7?"), {"answer": int}
    )
    with dspy.context(lm=recorder.lm("openai/o3-mini", temperature=1.0, max_tokens=20000)):
        recorder.case("modules", "reasoning", lambda: dspy.Predict(Think)(question="Why?"), {"think": dspy.Reasoning})
    recorder.save(Path(sys.argv[2]))


if __name__ == "__main__":
    main()
