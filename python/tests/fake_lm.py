"""A language model for tests: an HTTP server that speaks the chat API of OpenAI."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any


class FakeLM:
    """Answers every request with `reply`, once `gate` is open."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {"answer": "Paris"}
        self.status = 200
        self.error = "no"
        self.content: str | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.in_flight = 0
        self.overlap = 0
        self.abandoned = 0
        self.changed = asyncio.Event()
        self.url = ""
        self.tasks: set[asyncio.Task[Any]] = set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async def wait() -> None:
            while not condition():
                self.changed.clear()
                await self.changed.wait()

        await asyncio.wait_for(wait(), 60)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._serve(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            self.requests.append(body)
            self.headers.append(headers)
            self.in_flight += 1
            self.overlap = max(self.overlap, self.in_flight)
            self.changed.set()
            try:
                gone = asyncio.ensure_future(reader.read(1))
                opened = asyncio.ensure_future(self.gate.wait())
                await asyncio.wait({gone, opened}, return_when=asyncio.FIRST_COMPLETED)
                opened.cancel()
                if gone.done():
                    self.abandoned += 1
                    return
                gone.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await gone
            finally:
                self.in_flight -= 1
                self.changed.set()
            self._write(writer, body)
            await writer.drain()

    def _write(self, writer: asyncio.StreamWriter, request: dict[str, Any]) -> None:
        if self.status != 200:
            payload: dict[str, Any] = {"error": {"message": self.error, "type": "x", "code": None}}
        else:
            text = "".join(f"[[ ## {k} ## ]]\n{v}\n\n" for k, v in self.fields.items()) + "[[ ## completed ## ]]"
            message = {"role": "assistant", "content": text if self.content is None else self.content}
            payload = {
                "id": "1", "object": "chat.completion", "created": 1, "model": request["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
            }  # fmt: skip
        data = json.dumps(payload).encode()
        head = f"HTTP/1.1 {self.status} X\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)


@contextlib.asynccontextmanager
async def fake_lm() -> AsyncIterator[FakeLM]:
    lm = FakeLM()
    server = await asyncio.start_server(lm.serve, "127.0.0.1", 0)
    lm.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield lm
    finally:
        await lm.close()
        server.close()
        await server.wait_closed()
