"""DSPy programs in a real worker, against a language model that is fake."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fake_lm import FakeLM, fake_lm
from worker_host import Stream, attached, run

from dspex._proto import worker_pb2 as pb

KEY = "sk-canary-0123456789"


@contextlib.asynccontextmanager
async def programs(module: str = "", **lm: Any) -> AsyncIterator[tuple[FakeLM, Stream]]:
    async with fake_lm() as fake:
        fields: dict[str, Any] = {"timeout_ms": 30_000, "num_retries": 0, "cache": False, **lm}
        model = pb.LanguageModel(name="main", model="openai/gpt-4o-mini", api_base=fake.url, api_key=KEY, **fields)
        config = {"language_models": [model], "default_language_model": "main"}
        async with attached({} if module else {"DSPEX_PRELOAD": "dspy"}, module, **config) as (_, stream):
            yield fake, stream


def program(
    inputs: dict[str, str] | None = None, outputs: dict[str, str] | None = None, name: str = "p", **spec: Any
) -> dict[str, Any]:
    signature = {
        "inputs": [{"name": n, "type": t} for n, t in (inputs or {"question": "str"}).items()],
        "outputs": [{"name": n, "type": t} for n, t in (outputs or {"answer": "str"}).items()],
    }
    full = {"module": "Predict", "signature": signature, **spec}
    return {"name": name, "session": "", "revision": 3, "hash": repr(sorted(full.items(), key=str)), "spec": full}


def execute(data: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    return {"program_id": data["name"], "program_data": data, "inputs": inputs or {"question": "?"}}


def test_predict() -> None:
    async def test() -> None:
        async with programs() as (fake, stream):
            data = program(instructions="Answer briefly.", config={"temperature": 0.5})
            got = await (await stream.call("execute_program", execute(data))).result()
            assert got["outputs"] == {"answer": "Paris"}
            assert (got["program_id"], got["revision"]) == ("p", 3)
            assert got["usage"]["openai/gpt-4o-mini"]["total_tokens"] == 15
            assert fake.requests[0]["temperature"] == 0.5
            assert "Answer briefly." in str(fake.requests[0]["messages"])
            assert fake.headers[0]["authorization"] == f"bearer {KEY}"

    run(test())


def test_chain_of_thought_with_typed_fields() -> None:
    async def test() -> None:
        async with programs() as (fake, stream):
            outputs = {
                "names": "list[str]", "count": "int", "score": "float", "sure": "bool", "more": "dict[str, int]",
                "tone": 'Literal["calm", "angry"]', "year": "int | None",
            }  # fmt: skip
            data = program({"text": "str", "k": "int | None"}, outputs, module="ChainOfThought")
            fake.fields = {
                "reasoning": "because", "names": '["Ada"]', "count": "1", "score": "0.5", "sure": "True",
                "more": '{"a": 1}', "tone": "calm", "year": "null",
            }  # fmt: skip
            got = await (await stream.call("execute_program", execute(data, text="Ada met Grace"))).result()
            assert got["outputs"] == {
                "reasoning": "because", "names": ["Ada"], "count": 1, "score": 0.5, "sure": True,
                "more": {"a": 1}, "tone": "calm", "year": None,
            }  # fmt: skip

    run(test())


def test_demos_reach_the_prompt() -> None:
    async def test() -> None:
        async with programs() as (fake, stream):
            data = program(demos=[{"question": "Capital of Japan?", "answer": "Tokyo"}])
            await (await stream.call("execute_program", execute(data))).result()
            assert "Tokyo" in str(fake.requests[0]["messages"])

    run(test())


def test_create_calls_no_model_and_caches() -> None:
    async def test() -> None:
        async with programs() as (fake, stream):
            data = program()
            created = await (await stream.call("create_program", {"name": "p", "program_data": data})).result()
            assert created["program_id"] == "p"
            assert fake.requests == []
            entry = {"name": "p", "hash": data["hash"]}

            async def listed() -> Any:
                return await (await stream.call("list_programs", {"programs": [entry]})).result()

            assert (await listed())["programs"] == [{**entry, "cached": True}]
            await (await stream.call("delete_program", {"program_id": "p", "hash": data["hash"]})).result()
            assert (await listed())["programs"] == [{**entry, "cached": False}]

    run(test())


@pytest.mark.parametrize("kind", ["os.environ", "antigravity", "list[", "__import__('os')", "tuple[int]", ""])
def test_types_that_are_no_types(kind: str) -> None:
    async def test() -> None:
        async with attached({}, "") as (_, stream):
            data = program({"q": kind})
            failure = await (await stream.call("create_program", {"name": "p", "program_data": data})).failure()
            assert failure.reason in ("INVALID_ARGUMENT", "SIGNATURE_INVALID")

    run(test())


@pytest.mark.parametrize(
    ("status", "want"),
    [(401, "LM_AUTH"), (429, "LM_RATE_LIMITED"), (400, "LM_INVALID_REQUEST"), (500, "LM_UNAVAILABLE"),
     (503, "LM_UNAVAILABLE")],
)  # fmt: skip
def test_errors_of_the_model(status: int, want: str) -> None:
    async def test() -> None:
        async with programs() as (fake, stream):
            fake.status, fake.error = status, f"wrong key {KEY}"
            failure = await (await stream.call("execute_program", execute(program()))).failure()
            assert failure.reason == want, failure
            assert failure.message
            assert KEY not in str(failure), "the key is told to callers"

    run(test())


def test_answer_that_does_not_parse() -> None:
    async def test() -> None:
        async with programs() as (fake, stream):
            fake.content = "I would rather not."
            data = program(outputs={"n": "int"})
            assert (await (await stream.call("execute_program", execute(data))).failure()).reason == "ADAPTER_PARSE"

    run(test())


def test_timeout_of_the_model() -> None:
    async def test() -> None:
        async with programs(timeout_ms=200) as (fake, stream):
            fake.gate.clear()
            assert (await (await stream.call("execute_program", execute(program()))).failure()).reason == "LM_TIMEOUT"

    run(test())


def test_model_that_is_not_there() -> None:
    async def test() -> None:
        async with programs() as (fake, stream):
            fake.gate.clear()
            failure = await (await stream.call("execute_program", execute(program(lm="none")))).failure()
            assert failure.reason == "LM_NOT_CONFIGURED"
        async with attached({}, "") as (_, stream):
            failure = await (await stream.call("execute_program", execute(program()))).failure()
            assert failure.reason == "LM_NOT_CONFIGURED"
            assert "lm" in failure.hint

    run(test())


def test_cancelling_closes_the_connection() -> None:
    async def test() -> None:
        async with programs() as (fake, stream):
            fake.gate.clear()
            call = await stream.call("execute_program", execute(program()))
            await fake.until(lambda: fake.in_flight == 1)
            started = time.monotonic()
            await stream.cancel(call)
            await fake.until(lambda: fake.abandoned == 1)
            took = time.monotonic() - started
            assert took < 0.5, f"the model's connection stayed open for {took:.2f} s"
            assert (await call.failure()).reason == "CANCELLED"

    run(test())


def test_runs_overlap() -> None:
    async def test() -> None:
        async with programs() as (fake, stream):
            fake.gate.clear()
            calls = [stream.frame("execute_program", execute(program(), question=f"{i}?")) for i in range(50)]
            await stream.send(calls=calls)
            await fake.until(lambda: fake.in_flight > 20)
            fake.gate.set()
            for call in calls:
                assert (await stream.answers[call.id].result())["outputs"] == {"answer": "Paris"}
            assert fake.overlap > 20

    run(test())


def test_inputs_are_checked() -> None:
    async def test() -> None:
        async with programs() as (fake, stream):
            for inputs in ({"other": 1}, {"question": "?", "signature": "q -> a"}, {"question": "?", "config": {}}):
                failure = await (await stream.call("execute_program", execute(program(), **inputs))).failure()
                assert failure.reason == "INPUT_MISMATCH", inputs
            assert fake.requests == []

    run(test())


def test_nothing_of_a_run_stays_in_the_process() -> None:
    async def test() -> None:
        async with programs(module="dspy_state") as (_, stream):
            await (await stream.call("execute_program", execute(program(), question="a secret"))).result()
            assert await (await stream.call("state")).result() == {
                "lm": None, "trace": 0, "history": 0, "disk_cache": False,
            }  # fmt: skip

    run(test())


def test_importing_dspy_holds_up_nothing() -> None:
    async def test() -> None:
        async with attached({}, "") as (_, stream):
            # DSPy is not imported yet: meanwhile other calls are answered.
            create = stream.frame("create_program", {"name": "p", "program_data": program()})
            await stream.send(calls=[create, stream.frame("ping")])
            ping = stream.answers[create.id + 1]
            await asyncio.wait([ping.terminal, stream.answers[create.id].terminal], return_when="FIRST_COMPLETED")
            assert ping.terminal.done()
            assert not stream.answers[create.id].terminal.done()
            await stream.answers[create.id].result()

    run(test())
