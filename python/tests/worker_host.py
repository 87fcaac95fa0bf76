"""A host for tests: starts the real worker process and speaks gRPC to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import grpc
import grpc.aio

import dspex
from dspex._proto import worker_pb2 as pb

PACKAGE = pathlib.Path(dspex.__file__).parent
COOKIE = {"DSPEX_PLUGIN": "5d0f4c7e9b1a4a63a1de54f1f6a0c2b7"}
# Bounds every wait; it is no measure of speed.
PATIENCE = 60.0
MAX_MESSAGE = 64 << 20
FRAGMENT = 64 << 10


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run an async test."""
    asyncio.run(asyncio.wait_for(test, PATIENCE * 2))


def python_path(*extra: pathlib.Path) -> str:
    site = [p for p in sys.path if p.endswith("site-packages")]
    return os.pathsep.join([str(PACKAGE.parent), *map(str, extra), *site])


class Answer:
    """What came back for one call."""

    def __init__(self) -> None:
        self.terminal: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.parts = bytearray()
        self.chunks: list[Any] = []
        self.events: list[tuple[str, Any]] = []
        self.changed = asyncio.Event()

    async def result(self) -> Any:
        frame = await asyncio.wait_for(asyncio.shield(self.terminal), PATIENCE)
        assert isinstance(frame, pb.Result), f"got {frame}, want a result"
        return json.loads(bytes(self.parts) if frame.fragmented else frame.result)

    async def failure(self) -> Any:
        frame = await asyncio.wait_for(asyncio.shield(self.terminal), PATIENCE)
        assert isinstance(frame, pb.Failure), f"got {frame}, want a failure"
        return frame

    async def refusal(self) -> Any:
        frame = await asyncio.wait_for(asyncio.shield(self.terminal), PATIENCE)
        assert isinstance(frame, pb.Refusal), f"got {frame}, want a refusal"
        return frame

    async def until(self, condition: Any) -> None:
        async def wait() -> None:
            while not condition():
                self.changed.clear()
                await self.changed.wait()

        await asyncio.wait_for(wait(), PATIENCE)


class Stream:
    """One Attach stream. It checks the protocol as it reads."""

    def __init__(self, rpc: Any) -> None:
        self.rpc = rpc
        self.answers: dict[int, Answer] = {}
        self.acked = 0
        self.heartbeats: list[Any] = []
        self.messages: list[Any] = []
        self.changed = asyncio.Event()
        self.next_id = 1
        self.error: BaseException | None = None
        self.reader = asyncio.create_task(self._read())
        # Set once more when the reader is done, which it is not before its coroutine has returned.
        self.reader.add_done_callback(lambda _: self.changed.set())

    async def send(self, **frames: Any) -> None:
        await self.rpc.write(pb.AttachRequest(**frames))

    def frame(self, command: str, args: Any = None, **fields: Any) -> Any:
        call = pb.Call(id=self.next_id, command=command, remaining_ms=fields.pop("remaining_ms", 60_000), **fields)
        call.args = json.dumps(args if args is not None else {}).encode()
        self.next_id += 1
        self.answers[call.id] = Answer()
        return call

    async def call(self, command: str, args: Any = None, **fields: Any) -> Answer:
        call = self.frame(command, args, **fields)
        await self.send(calls=[call])
        return self.answers[call.id]

    async def cancel(self, answer: Answer, reason: int = pb.CANCEL_REASON_CALLER) -> None:
        call_id = next(i for i, a in self.answers.items() if a is answer)
        await self.send(cancels=[pb.Cancel(call_id=call_id, reason=reason)])

    async def credit(self, answer: Answer, chunks: int) -> None:
        call_id = next(i for i, a in self.answers.items() if a is answer)
        await self.send(credits=[pb.Credit(call_id=call_id, chunks=chunks)])

    async def until(self, condition: Any) -> None:
        async def wait() -> None:
            while not condition():
                if self.error is not None:
                    raise self.error
                self.changed.clear()
                await self.changed.wait()

        await asyncio.wait_for(wait(), PATIENCE)

    async def close(self) -> None:
        """End the sending half, and wait for the worker to end the stream."""
        await self.rpc.done_writing()
        await asyncio.wait_for(asyncio.wait([self.reader]), PATIENCE)

    async def status(self) -> grpc.StatusCode:
        return await asyncio.wait_for(self.rpc.code(), PATIENCE)

    async def _read(self) -> None:
        try:
            while (batch := await self.rpc.read()) is not grpc.aio.EOF:
                self._take(batch)
        except (grpc.aio.AioRpcError, asyncio.CancelledError):
            pass
        except AssertionError as e:
            self.error = e
            for answer in self.answers.values():
                if not answer.terminal.done():
                    answer.terminal.set_exception(e)
        self.changed.set()

    def _take(self, batch: Any) -> None:
        self.messages.append(batch)
        assert batch.ByteSize() < 600 << 10, f"a message of {batch.ByteSize()} bytes holds up the others"
        self.acked += batch.acked
        if batch.HasField("heartbeat"):
            self.heartbeats.append(batch.heartbeat)
        for f in batch.fragments:
            assert len(f.data) <= FRAGMENT, f"fragment of {len(f.data)} bytes"
            self.answers[f.call_id].parts += f.data
        for c in batch.chunks:
            answer = self.answers[c.call_id]
            assert c.seq == len(answer.chunks), f"chunk {c.seq} in place of {len(answer.chunks)}"
            assert not answer.terminal.done(), "chunk after the end"
            answer.chunks.append(json.loads(bytes(answer.parts) if c.fragmented else c.data))
            if c.fragmented:
                answer.parts.clear()
            answer.changed.set()
        for e in batch.events:
            self.answers[e.call_id].events.append((e.kind, json.loads(e.data)))
        for frame in [*batch.results, *batch.failures, *batch.refusals]:
            answer = self.answers[frame.call_id]
            assert not answer.terminal.done(), f"second terminal frame {frame}"
            answer.terminal.set_result(frame)
            answer.changed.set()
        self.changed.set()


class Worker:
    """A worker process."""

    def __init__(self, process: asyncio.subprocess.Process, folder: str) -> None:
        self.process = process
        self.folder = folder
        self.stdout = b""
        self.stderr = bytearray()
        self.stderr_done = asyncio.create_task(self._drain())
        self.channel: Any = None

    async def _drain(self) -> None:
        assert self.process.stderr is not None
        while data := await self.process.stderr.read(65536):
            self.stderr += data

    async def handshake(self) -> None:
        assert self.process.stdout is not None
        self.stdout = await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)
        fields = self.stdout.decode().strip().split("|")
        assert fields[:3] == ["1", "1", "unix"], f"handshake {self.stdout!r}, stderr {self.stderr.decode()}"
        assert fields[4:] == ["grpc"]
        assert os.path.dirname(fields[3]) == self.folder
        self.path = fields[3]
        limit = MAX_MESSAGE + (1 << 20)
        options = [("grpc.max_receive_message_length", limit), ("grpc.max_send_message_length", limit)]
        self.channel = grpc.aio.insecure_channel("unix:" + fields[3], options=options)

    async def unary(self, method: str, request: bytes = b"") -> bytes:
        return bytes(await self.channel.unary_unary(method)(request, timeout=PATIENCE))

    def stdio(self) -> Any:
        return self.channel.unary_stream("/plugin.GRPCStdio/StreamStdio")(b"")

    async def describe(self) -> Any:
        return pb.DescribeResponse.FromString(await self.unary("/dspex.worker.v1.WorkerService/Describe"))

    async def configure(self, **fields: Any) -> None:
        defaults: dict[str, Any] = {"worker_id": "qa-1", "pool": "qa", "generation": 1, "max_in_flight": 256}
        request = pb.ConfigureRequest(
            **{**defaults, "heartbeat_ms": 60_000, "max_payload_bytes": MAX_MESSAGE, **fields}
        )
        await self.unary("/dspex.worker.v1.WorkerService/Configure", request.SerializeToString())

    def attach(self) -> Stream:
        method = self.channel.stream_stream(
            "/dspex.worker.v1.WorkerService/Attach", pb.AttachRequest.SerializeToString, pb.AttachResponse.FromString
        )
        return Stream(method())

    async def exit_code(self) -> int:
        return await asyncio.wait_for(self.process.wait(), PATIENCE)

    async def log(self) -> str:
        """Everything on stderr of a process that has ended."""
        await self.exit_code()
        await self.stderr_done
        return self.stderr.decode()


async def launch(env: dict[str, str] | None = None, module: str = "") -> Worker:
    """Start a worker process without waiting for its handshake."""
    folder = tempfile.mkdtemp(prefix="dx")
    full = {
        **COOKIE,
        "PATH": os.environ["PATH"],
        "PLUGIN_PROTOCOL_VERSIONS": "1",
        "PLUGIN_UNIX_SOCKET_DIR": folder,
        "DSPEX_PYTHONPATH": python_path(pathlib.Path(__file__).parent),
        "DSPEX_MODULE": module,
        "DSPY_CACHEDIR": folder,
        "LITELLM_LOCAL_MODEL_COST_MAP": "true",
        "GRPC_ENABLE_FORK_SUPPORT": "0",
        **(env or {}),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-B", "-X", "utf8", str(PACKAGE / "_boot.py"),
        env=full, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    return Worker(process, folder)


@contextlib.asynccontextmanager
async def worker(env: dict[str, str] | None = None, module: str = "", **config: Any) -> AsyncIterator[Worker]:
    """Start a worker and configure it; end it afterwards."""
    w = await launch(env, module)
    try:
        await w.handshake()
        await w.configure(**config)
        yield w
    finally:
        if w.channel is not None:
            await w.channel.close()
        with contextlib.suppress(ProcessLookupError):
            w.process.kill()
        await w.process.wait()
        await w.stderr_done
        shutil.rmtree(w.folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def attached(
    env: dict[str, str] | None = None, module: str = "acme_commands", **config: Any
) -> AsyncIterator[tuple[Worker, Stream]]:
    """Start a worker with a stream attached."""
    async with worker(env, module, **config) as w:
        stream = w.attach()
        yield w, stream
        if stream.error is not None:
            raise stream.error
