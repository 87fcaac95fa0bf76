"""Calls on the Attach stream of a real worker."""

from __future__ import annotations

import asyncio
import os
import pathlib
import time

import grpc
import pytest
from worker_host import FRAGMENT, PATIENCE, attached, run

from dspex._proto import worker_pb2 as pb


def test_ping() -> None:
    async def test() -> None:
        async with attached() as (w, stream):
            want = {"pong": True, "args": {"x": 1, "ctx": 2}, "worker": "qa-1", "pid": w.process.pid}
            assert await (await stream.call("ping", {"x": 1, "ctx": 2})).result() == want

    run(test())


def test_thousand_pipelined_pings() -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            calls = [stream.frame("ping", {"i": i}) for i in range(1000)]
            for start in range(0, 1000, 50):
                await stream.send(calls=calls[start : start + 50])
            for i, call in enumerate(calls):
                assert (await stream.answers[call.id].result())["args"] == {"i": i}
            await stream.until(lambda: stream.acked == 20)

    run(test())


def test_acknowledged_without_waiting_for_the_calls() -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            waiting = await stream.call("wait")
            await stream.until(lambda: stream.acked == 1)
            assert not waiting.terminal.done()

    run(test())


def test_context() -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            got = await (await stream.call("whoami", session_id="s1", traceparent=trace, attempt=2)).result()
            assert got == {
                "session": "s1", "worker": "qa-1", "pool": "qa", "generation": 1,
                "traceparent": trace, "attempt": 2, "in_time": True,
            }  # fmt: skip

    run(test())


@pytest.mark.parametrize(
    ("reason", "want"), [(pb.CANCEL_REASON_CALLER, "CANCELLED"), (pb.CANCEL_REASON_DEADLINE, "EXECUTION_TIMEOUT")]
)
def test_cancel(tmp_path: pathlib.Path, reason: int, want: str) -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            marker = str(tmp_path / "m")
            call = await stream.call("wait", {"marker": marker})
            await (await stream.call("echo", {"value": 1})).result()
            await stream.cancel(call, reason)
            assert (await call.failure()).reason == want
            assert os.path.exists(marker)
            await stream.cancel(call, reason)  # of a call that has ended: ignored
            await (await stream.call("ping")).result()

    run(test())


def test_cancel_in_the_batch_of_its_call() -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            call = stream.frame("wait")
            await stream.send(calls=[call], cancels=[pb.Cancel(call_id=call.id)])
            assert (await stream.answers[call.id].failure()).reason == "CANCELLED"

    run(test())


def test_worker_enforces_the_deadline() -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            call = await stream.call("wait", remaining_ms=30)
            assert (await call.failure()).reason == "EXECUTION_TIMEOUT"

    run(test())


def test_expired_call_is_refused() -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            for command in ("ping", "wait", "none"):
                assert (await (await stream.call(command, remaining_ms=0)).refusal()).reason == "DEADLINE_EXCEEDED"

    run(test())


def test_more_calls_than_slots_are_refused() -> None:
    async def test() -> None:
        async with attached(max_in_flight=2) as (_, stream):
            running = [await stream.call("wait") for _ in range(2)]
            assert (await (await stream.call("wait")).refusal()).reason == "WORKER_BUSY"
            await stream.cancel(running[0])
            await running[0].failure()
            assert await (await stream.call("echo", {"value": 1})).result() == 1

    run(test())


@pytest.mark.parametrize("command", ["stubborn", "block"])
def test_no_end_while_the_work_goes_on(tmp_path: pathlib.Path, command: str) -> None:
    async def test() -> None:
        async with attached(max_in_flight=1) as (_, stream):
            marker = tmp_path / "go"
            call = await stream.call(command, {"marker": str(marker)})
            await stream.until(lambda: stream.acked == 1)
            await stream.cancel(call)
            await stream.cancel(call)
            for _ in range(20):
                await (await stream.call("ping", remaining_ms=0)).refusal()
            assert not call.terminal.done()
            assert (await (await stream.call("echo", {"value": 1})).refusal()).reason == "WORKER_BUSY"
            marker.touch()
            await call.terminal
            assert await (await stream.call("echo", {"value": 1})).result() == 1

    run(test())


def test_unknown_command() -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            failure = await (await stream.call("gret")).failure()
            assert failure.reason == "COMMAND_NOT_FOUND"
            assert "greet" in failure.hint

    run(test())


@pytest.mark.parametrize(
    ("args", "want"),
    [
        ({}, "name"),
        ({"name": "a", "nmae": 1}, "nmae"),
        ({"name": "a", "times": "two"}, "times"),
        ({"name": "a", "times": True}, "times"),
    ],
)
def test_wrong_arguments(args: dict[str, object], want: str) -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            failure = await (await stream.call("greet", args)).failure()
            assert failure.reason == "INVALID_ARGUMENT"
            assert want in failure.message

    run(test())


def test_arguments_that_are_no_object() -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            for command in ("greet", "ping"):
                for raw in (b"[1]", b"{", b'{"name": "\xff"}', b"null"):
                    call = stream.frame(command)
                    call.args = raw
                    await stream.send(calls=[call])
                    assert (await stream.answers[call.id].failure()).reason == "INVALID_ARGUMENT", raw

    run(test())


def test_host_arguments_are_dropped() -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            args = {"name": "Ada", "session_id": "s", "session_data": {}, "program_data": {}}
            assert await (await stream.call("greet", args)).result() == {"greeting": "hello Ada"}

    run(test())


def test_exceptions() -> None:
    async def test() -> None:
        async with attached() as (w, stream):
            f = await (await stream.call("fail", {"message": "no luck"})).failure()
            assert (f.reason, f.type, f.message) == ("PYTHON_EXCEPTION", "ValueError", "no luck")
            assert "acme_commands.py" in f.traceback
            f = await (await stream.call("fail", {"message": "x" * 100_000})).failure()
            assert len(f.traceback) <= 16 << 10
            assert len(f.message) <= 16 << 10
            f = await (await stream.call("refuse")).failure()
            assert (f.reason, f.message, f.hint) == ("INVALID_ARGUMENT", "no such colour", "try red")
            f = await (await stream.call("fail_without_text")).failure()
            assert (f.reason, f.type) == ("PYTHON_EXCEPTION", "BadText")
            for command in ("leave", "interrupt", "leave_in_thread", "leave_inline", "stop_iteration"):
                f = await (await stream.call(command)).failure()
                assert f.reason == "PYTHON_EXCEPTION", command
                assert f.type in ("SystemExit", "KeyboardInterrupt", "StopIteration"), (command, f.type)
            assert w.process.returncode is None
            await (await stream.call("ping")).result()

    run(test())


def test_exit_in_a_subtask_leaves_the_worker_alive() -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            assert await (await stream.call("leave_in_subtask")).result() == "SystemExit"
            await (await stream.call("ping")).result()

    run(test())


def test_results_that_cannot_travel() -> None:
    async def test() -> None:
        async with attached(max_payload_bytes=100_000) as (_, stream):
            f = await (await stream.call("not_a_number")).failure()
            assert f.reason == "RESULT_INVALID"
            assert "a[1]" in f.message, f.message
            f = await (await stream.call("unserialisable")).failure()
            assert f.reason == "RESULT_INVALID"
            assert "a[0]" in f.message, f.message
            f = await (await stream.call("large", {"size": 100_001})).failure()
            assert f.reason == "RESULT_TOO_LARGE"
            assert await (await stream.call("deep", {"levels": 64})).result()
            assert (await (await stream.call("deep", {"levels": 65})).failure()).reason == "RESULT_INVALID"

    run(test())


def test_fragments_both_ways_while_pings_go_on() -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            size = 5_000_000
            back = await stream.call("large", {"size": size})
            up = stream.frame("length", {"text": "y" * size})
            data, up.args, up.fragmented = up.args, b"", True
            pings = 0
            for at in range(0, len(data), FRAGMENT):
                ping = stream.frame("ping")
                await stream.send(fragments=[pb.Fragment(call_id=up.id, data=data[at : at + FRAGMENT])], calls=[ping])
                await stream.answers[ping.id].result()
                pings += 1
            await stream.send(calls=[up])
            assert await stream.answers[up.id].result() == size
            assert len(await back.result()) == size
            assert pings > 70

    run(test())


def test_small_answers_overtake_a_large_one() -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            calls = [stream.frame("large", {"size": 20_000_000}), stream.frame("echo", {"value": 1})]
            await stream.send(calls=calls)
            await stream.answers[calls[1].id].result()
            assert not stream.answers[calls[0].id].terminal.done()
            assert len(await stream.answers[calls[0].id].result()) == 20_000_000

    run(test())


def test_cancel_drops_fragments_without_an_answer() -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            call = stream.frame("length")
            await stream.send(fragments=[pb.Fragment(call_id=call.id, data=b"x" * 1000)])
            await stream.send(cancels=[pb.Cancel(call_id=call.id)])
            await (await stream.call("ping")).result()
            assert not stream.answers[call.id].terminal.done()

    run(test())


def test_too_large_arguments_fail_alone() -> None:
    async def test() -> None:
        async with attached(max_payload_bytes=200_000) as (_, stream):
            call = stream.frame("length")
            call.args, call.fragmented = b"", True
            for _ in range(5):
                await stream.send(fragments=[pb.Fragment(call_id=call.id, data=b" " * FRAGMENT)])
            await stream.send(calls=[call])
            assert (await stream.answers[call.id].failure()).reason == "PAYLOAD_TOO_LARGE"
            await (await stream.call("ping")).result()

    run(test())


@pytest.mark.parametrize("command", ["count", "count_sync"])
def test_credit_holds_a_producer(command: str) -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            call = await stream.call(command, {"to": 100}, stream=True)
            await call.until(lambda: len(call.chunks) == 64)
            for _ in range(20):
                await (await stream.call("ping")).result()
            assert len(call.chunks) == 64
            assert not call.terminal.done()
            await stream.credit(call, 10)
            await call.until(lambda: len(call.chunks) == 74)
            await stream.credit(call, 1000)
            assert await call.result() == {"counted": 100}
            assert call.chunks == list(range(100))

    run(test())


@pytest.mark.parametrize("command", ["count", "count_sync"])
def test_cancel_of_a_held_producer(command: str) -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            call = await stream.call(command, {"to": 100}, stream=True)
            await call.until(lambda: len(call.chunks) == 64)
            await stream.cancel(call)
            assert (await call.failure()).reason == "CANCELLED"

    run(test())


@pytest.mark.parametrize("command", ["count", "count_sync"])
def test_without_stream_only_the_result_comes(command: str) -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            call = await stream.call(command, {"to": 200})
            assert await call.result() == {"counted": 200}
            assert call.chunks == []
            assert call.events == []

    run(test())


def test_progress() -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            call = await stream.call("count", {"to": 3}, stream=True)
            await call.result()
            assert call.events == [("progress", {"at": i}) for i in range(3)]

    run(test())


def test_large_and_small_chunks_in_order() -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            sizes = [10, 300_000, 5, 70_000, 70_000, 1]
            call = await stream.call("large_chunks", {"sizes": sizes}, stream=True)
            await call.terminal
            assert [len(c) for c in call.chunks] == sizes

    run(test())


def test_end_of_stream_cancels_its_calls(tmp_path: pathlib.Path) -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            markers = [str(tmp_path / str(i)) for i in range(5)]
            calls = [await stream.call("wait", {"marker": m}) for m in markers]
            await (await stream.call("echo", {"value": 1})).result()
            await stream.close()
            assert await stream.status() is grpc.StatusCode.OK
            assert all(os.path.exists(m) for m in markers)
            # The host still reads: each call has its end.
            for call in calls:
                assert (await call.failure()).reason == "CANCELLED"

    run(test())


def test_broken_stream_cancels_its_calls(tmp_path: pathlib.Path) -> None:
    async def test() -> None:
        async with attached() as (w, stream):
            marker = str(tmp_path / "m")
            await stream.call("wait", {"marker": marker})
            await (await stream.call("echo", {"value": 1})).result()
            stream.rpc.cancel()
            again = w.attach()
            while not os.path.exists(marker):
                await (await again.call("ping")).result()

    run(test())


def test_broken_batch_ends_the_stream_only() -> None:
    async def test() -> None:
        async with attached() as (w, stream):
            call = stream.frame("ping")
            call.fragmented = True  # and no fragment came
            await stream.send(calls=[call])
            await asyncio.wait([stream.reader], timeout=PATIENCE)
            assert await stream.status() is grpc.StatusCode.INVALID_ARGUMENT
            again = w.attach()
            await (await again.call("ping")).result()

    run(test())


@pytest.mark.skipif("DSPEX_MEASURE" not in os.environ, reason="a measurement, not a test: DSPEX_MEASURE=1")
def test_measure_pings(capsys: pytest.CaptureFixture[str]) -> None:
    async def test() -> None:
        async with attached(module="") as (_, stream):
            total, batch = 100_000, 100
            requests = []
            for _ in range(total // batch):
                requests.append([stream.frame("ping") for _ in range(batch)])
            started = time.monotonic()
            for i, calls in enumerate(requests):
                await stream.send(calls=calls)
                await stream.until(lambda i=i: stream.acked >= i - 1)
            await stream.answers[total].result()
            took = time.monotonic() - started
        with capsys.disabled():
            print(f"\n{total / took:,.0f} pings/s, the test host's own work included")

    run(test())


@pytest.mark.parametrize(
    ("command", "want"), [("refuse_without_unicode", "INVALID_ARGUMENT"), ("fail_loudly", "PYTHON_EXCEPTION")]
)
def test_every_exception_ends_its_call(command: str, want: str) -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            assert (await (await stream.call(command)).failure()).reason == want

    run(test())


def test_a_flood_of_progress_is_bounded() -> None:
    async def test() -> None:
        async with attached() as (_, stream):
            call = await stream.call("report", {"times": 100_000}, stream=True)
            await call.terminal
            assert call.chunks == [100_000]
            assert 0 < len(call.events) <= 1000

    run(test())
