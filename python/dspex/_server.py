"""The worker's gRPC server: a go-plugin plugin.

The services of go-plugin itself are served without generated code: their messages are empty or
one number, and their descriptors would clash with those of other packages.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from dspex import _fd, _json
from dspex._attachment import Attachment, ProtocolError, TakenOver
from dspex._proto import worker_pb2 as pb
from dspex._settings import LanguageModel, Settings
from dspex._version import __version__

if TYPE_CHECKING:
    from dspex._stock import WorkerApp

PROTOCOL_VERSION = 1
# What a message may hold beside a payload.
_SLACK = 1 << 20
_MAX_SOCKET_PATH = 107
# grpc.health.v1.HealthCheckResponse with status SERVING.
_SERVING = b"\x08\x01"
# Longest time that running calls get when the worker stops.
_STOP_GRACE = 0.25
# Longest time that SIGTERM lets running calls go on.
_DRAIN_GRACE = 5.0


def serve(app: WorkerApp) -> None:
    """Serve until the host ends it, then end the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the host, which decides
    try:
        import uvloop
    except ImportError:
        _run(asyncio.new_event_loop(), _Worker(app))
    else:
        _run(uvloop.new_event_loop(), _Worker(app))
    sys.stderr.flush()
    # Threads that still run a command would keep the interpreter from ending.
    os._exit(0)


def _run(loop: asyncio.AbstractEventLoop, worker: _Worker) -> None:
    """Run a worker to its end, whatever the tasks of its commands raise."""
    asyncio.set_event_loop(loop)
    main = loop.create_task(worker.run())
    while not main.done():
        # A SystemExit that a task of a command raises goes through the loop; the worker goes on.
        with contextlib.suppress(SystemExit, KeyboardInterrupt):
            loop.run_until_complete(main)
    main.result()


class _Worker:
    """The services, and when to stop."""

    def __init__(self, app: WorkerApp) -> None:
        self._app = app
        self._settings = Settings()
        self._stop = asyncio.Event()
        self._configured = False
        self._draining: asyncio.Task[None] | None = None
        self._attached: Attachment | None = None
        self._streams = 0
        self._orphan_grace = float(os.environ.get("DSPEX_ORPHAN_GRACE", "60"))
        self._orphan: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        version = _negotiate()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._terminate)
        limit = int(os.environ.get("DSPEX_MAX_MESSAGE", str(64 << 20))) + _SLACK
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", limit),
                ("grpc.so_reuseport", 0),
            ]
        )
        server.add_generic_rpc_handlers(self._services())
        path = _socket_path()
        umask = os.umask(0o177)
        try:
            server.add_insecure_port("unix:" + path)
            await server.start()
        finally:
            os.umask(umask)
        self._count(0)
        _fd.write_handshake(f"1|{version}|unix|{path}|grpc")
        await self._stop.wait()
        await server.stop(_STOP_GRACE)

    def _terminate(self) -> None:
        """Let running calls finish, for a while; a second SIGTERM does not wait for them."""
        if self._draining is not None or self._attached is None:
            self._stop.set()
            return
        self._draining = asyncio.get_running_loop().create_task(self._attached.drain(_DRAIN_GRACE))
        self._draining.add_done_callback(lambda _: self._stop.set())

    def _services(self) -> tuple[Any, ...]:
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler

        def service(name: str, **methods: Any) -> Any:
            return grpc.method_handlers_generic_handler(name, methods)

        return (
            service(
                "dspex.worker.v1.WorkerService",
                Describe=unary(self._describe, pb.DescribeRequest.FromString, pb.DescribeResponse.SerializeToString),
                Configure=unary(
                    self._configure, pb.ConfigureRequest.FromString, pb.ConfigureResponse.SerializeToString
                ),
                Attach=grpc.stream_stream_rpc_method_handler(
                    self._attach, pb.AttachRequest.FromString, pb.AttachResponse.SerializeToString
                ),
            ),
            service("grpc.health.v1.Health", Check=unary(self._check), Watch=stream(self._watch)),
            service("plugin.GRPCController", Shutdown=unary(self._shutdown)),
            service("plugin.GRPCStdio", StreamStdio=stream(self._stdio)),
        )

    async def _describe(self, request: Any, context: Any) -> Any:
        commands = [
            pb.Command(
                name=c.name,
                doc=c.doc,
                args_schema=_json.dumps(c.args_schema),
                result_schema=_json.dumps(c.result_schema),
                streaming=c.streaming,
                idempotent=c.idempotent,
                cancellable=c.cancellable,
            )
            for _, c in sorted(self._app.commands.items())
        ]
        versions = {"python": ".".join(map(str, sys.version_info[:3])), "grpcio": grpc.__version__}
        if (dspy := sys.modules.get("dspy")) is not None:
            versions["dspy"] = str(dspy.__version__)
        return pb.DescribeResponse(
            sdk="dspex-python",
            sdk_version=__version__,
            versions=versions,
            pid=os.getpid(),
            commands=commands,
            capabilities=["programs"],
        )

    async def _configure(self, request: Any, context: Any) -> Any:
        s = self._settings
        s.worker_id, s.pool, s.generation = request.worker_id, request.pool, request.generation
        s.max_in_flight = request.max_in_flight or s.max_in_flight
        s.max_payload = request.max_payload_bytes or s.max_payload
        s.heartbeat = (request.heartbeat_ms or 1000) / 1000
        s.models = {m.name: _language_model(m) for m in request.language_models}
        s.default_model = request.default_language_model
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(s.max_in_flight, "dspex-command"))
        try:
            self._app.configure(s)
        except Exception as e:  # noqa: BLE001 - told to the host, which gives up this start
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, s.scrub(f"{type(e).__name__}: {e}"))
        self._configured = True
        return pb.ConfigureResponse()

    async def _attach(self, requests: Any, context: Any) -> None:
        if not self._configured:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "Configure comes before Attach")
        if self._attached is not None:
            # A host that comes again takes over from its former self.
            self._attached.stop()
        attachment = self._attached = Attachment(self._app, self._settings, context)
        self._count(1)
        try:
            await attachment.run()
        except asyncio.CancelledError:
            pass  # the host has gone, or the worker stops
        except TakenOver:
            await context.abort(grpc.StatusCode.ABORTED, "the host attached anew")
        except ProtocolError as e:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(e))
        finally:
            if self._attached is attachment:
                self._attached = None
            self._count(-1)

    async def _check(self, request: bytes, context: Any) -> bytes:
        # Field 1 is the service's name; go-plugin asks for "plugin".
        if request[2:] not in (b"", b"plugin"):
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return _SERVING

    async def _watch(self, request: bytes, context: Any) -> Any:
        yield _SERVING
        await self._stop.wait()

    async def _shutdown(self, request: bytes, context: Any) -> bytes:
        # The answer goes out first: the stop begins with the loop's next turn.
        asyncio.get_running_loop().call_soon(self._stop.set)
        return b""

    async def _stdio(self, request: bytes, context: Any) -> Any:
        # Output goes to stderr; the stream is held open because its end says that the host is gone.
        self._count(1)
        try:
            await self._stop.wait()
        finally:
            self._count(-1)
        if False:  # an async generator, that yields nothing
            yield b""

    def _count(self, change: int) -> None:
        """Count the host's streams: without any for a while, the host is gone."""
        self._streams += change
        if self._orphan is not None:
            self._orphan.cancel()
            self._orphan = None
        if self._streams == 0:
            self._orphan = asyncio.get_running_loop().call_later(self._orphan_grace, self._stop.set)


def _language_model(m: Any) -> LanguageModel:
    arguments: dict[str, Any] = {
        "model": m.model,
        "model_type": m.model_type or "chat",
        "timeout": m.timeout_ms / 1000,
        "num_retries": m.num_retries,
        "cache": m.cache,
    }
    if m.HasField("temperature"):
        arguments["temperature"] = m.temperature
    if m.HasField("max_tokens"):
        arguments["max_tokens"] = m.max_tokens
    if m.api_key:
        arguments["api_key"] = m.api_key
    if m.api_base:
        arguments["api_base"] = m.api_base
    arguments.update(_json.loads(m.extra) if m.extra else {})
    return LanguageModel(m.name, arguments)


def _negotiate() -> int:
    """Return the highest protocol version that both sides have, else ours: the host then refuses it."""
    offered = os.environ.get("PLUGIN_PROTOCOL_VERSIONS", str(PROTOCOL_VERSION))
    both = {int(v) for v in offered.split(",") if v.strip().isdigit()} & {PROTOCOL_VERSION}
    return max(both, default=PROTOCOL_VERSION)


def _socket_path() -> str:
    folder = os.environ.get("PLUGIN_UNIX_SOCKET_DIR") or os.environ.get("TMPDIR", "/tmp")
    path = os.path.join(folder, f"w{os.getpid()}-{secrets.token_hex(3)}")
    if len(path.encode()) > _MAX_SOCKET_PATH:
        sys.stderr.write(f"the socket's path {path!r} is longer than {_MAX_SOCKET_PATH} bytes: set a shorter run_dir\n")
        os._exit(3)
    return path
