"""The worker as a process: start, handshake, go-plugin's services, and its end."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import grpc
import pytest
from worker_host import COOKIE, PACKAGE, attached, launch, python_path, run, worker

HEALTH = "/grpc.health.v1.Health/Check"
SHUTDOWN = "/plugin.GRPCController/Shutdown"


def test_health_and_shutdown() -> None:
    async def test() -> None:
        async with worker() as w:
            for service in (b"", b"\x0a\x06plugin"):
                assert await w.unary(HEALTH, service) == b"\x08\x01"
            with pytest.raises(grpc.aio.AioRpcError) as e:
                await w.unary(HEALTH, b"\x0a\x04none")
            assert e.value.code() is grpc.StatusCode.NOT_FOUND
            w.stdio()
            stream = w.attach()
            waiting = await stream.call("wait")
            started = time.monotonic()
            assert await w.unary(SHUTDOWN) == b""
            assert await w.exit_code() == 0
            took = time.monotonic() - started
            assert took < 1, f"the exit took {took:.2f} s"
            assert waiting.terminal.done() or stream.reader.done()
            assert not os.path.exists(w.path), "the socket is left"

    run(test())


def test_prints_never_reach_stdout() -> None:
    async def test() -> None:
        async with attached() as (w, stream):
            assert await (await stream.call("greet", {"name": "Ada"})).result() == {"greeting": "hello Ada"}
            await w.unary(SHUTDOWN)
            assert w.process.stdout is not None
            assert await w.process.stdout.read() == b""
            log = await w.log()
            for text in ("a print at import time", "so does a child process", "a print in a command"):
                assert text in log

    run(test())


def test_without_host_it_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(PACKAGE / "_boot.py")],
        env={"DSPEX_PYTHONPATH": python_path()}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    assert "dspex" in done.stderr
    assert "Traceback" not in done.stderr


def test_module_form() -> None:
    env = {"PYTHONPATH": python_path(), "PATH": os.environ["PATH"], **COOKIE, "DSPEX_MODULE": "no.such.module"}
    done = subprocess.run([sys.executable, "-m", "dspex"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3, done.stderr


def test_failed_import() -> None:
    async def test() -> None:
        w = await launch(module="acme.nowhere")
        assert await w.exit_code() == 3
        lines = (await w.log()).strip().splitlines()
        assert "acme.nowhere" in lines[-1], lines[-1]
        assert "ModuleNotFoundError" in lines[-1], lines[-1]
        records = [json.loads(line) for line in lines if line.startswith("{")]
        assert len(records) == 1, lines
        assert records[0]["@level"] == "error"
        assert all(isinstance(records[0][k], str) for k in ("@level", "@message", "@timestamp"))
        assert "ModuleNotFoundError" in records[0]["traceback"]

    run(test())


def test_environment_of_the_start_is_gone() -> None:
    async def test() -> None:
        async with attached({"DSPEX_PRELOAD": "statistics"}) as (w, stream):
            await (await stream.call("ping")).result()
            description = await w.describe()
            assert description.pid == w.process.pid

    run(test())


def test_describe() -> None:
    async def test() -> None:
        async with worker(module="acme_commands") as w:
            d = await w.describe()
            assert (d.sdk, d.sdk_version, list(d.capabilities)) == ("dspex-python", "0.1.0", ["programs"])
            assert d.versions["python"] == ".".join(map(str, sys.version_info[:3]))
            assert d.versions["grpcio"] == grpc.__version__
            assert "dspy" not in d.versions
            names = [c.name for c in d.commands]
            assert names == sorted(names)
            stock = {"ping", "analyze", "create_program", "execute_program", "list_programs", "delete_program"}
            assert stock < set(names)
            commands = {c.name: c for c in d.commands}
            greet = commands["greet"]
            assert greet.doc == "Greet somebody."
            schema = json.loads(greet.args_schema)
            assert schema["properties"]["name"] == {"type": "string"}
            assert schema["required"] == ["name"]
            assert schema["additionalProperties"] is False
            assert json.loads(greet.result_schema)["type"] == "object"
            assert greet.cancellable
            assert not commands["block"].cancellable
            assert commands["count"].streaming
            assert commands["ping"].idempotent

    run(test())


def test_sigint_is_ignored_and_sigterm_ends() -> None:
    async def test() -> None:
        async with attached() as (w, stream):
            w.process.send_signal(signal.SIGINT)
            await (await stream.call("ping")).result()
            w.process.send_signal(signal.SIGTERM)
            assert await w.exit_code() == 0

    run(test())


def test_orphan_ends_by_itself() -> None:
    async def test() -> None:
        async with worker({"DSPEX_ORPHAN_GRACE": "0.2"}, "acme_commands") as w:
            stdio, stream = w.stdio(), w.attach()
            await (await stream.call("ping")).result()
            stdio.cancel()
            await stream.close()
            assert await w.exit_code() == 0

    run(test())


def test_reattach_within_the_grace() -> None:
    async def test() -> None:
        async with worker({"DSPEX_ORPHAN_GRACE": "30"}, "acme_commands") as w:
            first = w.attach()
            await (await first.call("ping")).result()
            await first.close()
            await w.configure(generation=1)
            second = w.attach()
            assert (await (await second.call("ping")).result())["pong"] is True

    run(test())


def test_attach_before_configure_is_refused() -> None:
    async def test() -> None:
        w = await launch(module="acme_commands")
        try:
            await w.handshake()
            stream = w.attach()
            assert await stream.status() is grpc.StatusCode.FAILED_PRECONDITION
        finally:
            await w.channel.close()
            w.process.kill()
            await w.log()

    run(test())


def test_second_attach_takes_over(tmp_path: pathlib.Path) -> None:
    async def test() -> None:
        async with attached() as (w, first):
            marker = str(tmp_path / "m")
            await first.call("wait", {"marker": marker})
            await (await first.call("ping")).result()
            second = w.attach()
            assert (await (await second.call("ping")).result())["pong"] is True
            await first.until(first.reader.done)
            assert await first.status() is not grpc.StatusCode.OK
            while not os.path.exists(marker):
                await (await second.call("ping")).result()

    run(test())


def test_death_has_its_exit_code() -> None:
    async def test() -> None:
        async with attached() as (w, stream):
            await stream.call("die")
            assert await w.exit_code() == 9

    run(test())


def test_imports_start_no_thread() -> None:
    code = (
        "import sys, os; sys.path[:0] = os.environ['P'].split(os.pathsep);"
        "import dspex._server, dspex.__main__, dspex._stock, grpc, grpc.aio, dspy;"
        "print(len(os.listdir('/proc/self/task')))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], env={"P": python_path(), "DSPY_CACHEDIR": "/nonexistent"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() == "1", done.stdout + done.stderr


def test_heartbeats() -> None:
    async def test() -> None:
        async with attached(heartbeat_ms=20) as (_, stream):
            waiting = await stream.call("wait")
            await stream.until(lambda: len(stream.heartbeats) >= 5)
            beats = stream.heartbeats
            assert [b.seq for b in beats[:3]] == [1, 2, 3]
            assert beats[-1].in_flight == 1
            assert beats[-1].rss_bytes > 1 << 20
            await stream.cancel(waiting)
            await waiting.failure()
            seen = len(stream.heartbeats)
            await stream.until(lambda: len(stream.heartbeats) > seen and stream.heartbeats[-1].in_flight == 0)

    run(test())


def test_worker_survives_a_closed_stderr() -> None:
    async def test() -> None:
        async with attached() as (w, stream):
            transport = w.process._transport.get_pipe_transport(2)  # type: ignore[attr-defined]
            transport.close()
            for _ in range(3):
                assert await (await stream.call("greet", {"name": "Ada"})).result() == {"greeting": "hello Ada"}

    run(test())


def test_long_socket_path() -> None:
    async def test() -> None:
        w = await launch({"PLUGIN_UNIX_SOCKET_DIR": "/tmp/" + "x" * 110})
        code = await w.exit_code()
        log = await w.log()
        assert code != 0
        assert "107" in log
        assert "Traceback" not in log

    run(test())


def test_sigterm_lets_running_calls_finish(tmp_path: pathlib.Path) -> None:
    async def test() -> None:
        async with attached() as (w, stream):
            marker = tmp_path / "go"
            running = await stream.call("block", {"marker": str(marker)})
            await (await stream.call("ping")).result()
            w.process.send_signal(signal.SIGTERM)
            while True:  # begun calls go on, new ones are refused
                frame = await (await stream.call("echo", {"value": 1})).terminal
                if type(frame).__name__ == "Refusal":
                    assert frame.reason == "DRAINING"
                    break
            marker.touch()
            assert await running.result() == "released"
            assert await w.exit_code() == 0

    run(test())
