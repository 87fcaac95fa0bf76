"""The fork server: imports once, then makes workers by forking.

The host starts it with a socket as descriptor 3, on which each message is one JSON object. The
host asks `{"id": n, "env": {...}}`, with two descriptors for the worker's stdout and stderr. The
fork server answers `{"id": n, "pid": p}` with a descriptor of that process (a pidfd), or
`{"id": n, "error": text}`. At its start it says `{"ready": true}` or `{"refused": reason}`; when
a worker ends, `{"exit": pid, "status": s}`, with the status of wait(2).

A process that has threads cannot be forked safely, nor one that has made gRPC objects. So nothing
here does, and before every fork it is checked that there is one thread.
"""

from __future__ import annotations

import array
import contextlib
import gc
import json
import os
import random
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

from dspex import _fd

if TYPE_CHECKING:
    from dspex._stock import WorkerApp

CONTROL = 3
_MAX_MESSAGE = 256 << 10


def threads() -> int:
    """Return the number of threads of this process, as the kernel counts them."""
    return len(os.listdir("/proc/self/task"))


def run(app: WorkerApp) -> None:
    """Serve the host until it closes the socket. In a forked worker this does not return."""
    control = socket.socket(fileno=CONTROL)
    control.set_inheritable(False)
    if (n := threads()) != 1:
        _send(control, refused=f"the imports started {n - 1} threads, which a fork would lose")
        return
    # What is alive now is never collected in the workers, whose pages stay shared.
    gc.collect()
    gc.freeze()
    woken, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _send(control, ready=True)
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(woken, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == woken:
                with contextlib.suppress(BlockingIOError):
                    os.read(woken, 4096)
                _reap(control)
            elif not _answer(control, app, (woken, waker)):
                return


def _send(control: socket.socket, fds: tuple[int, ...] = (), **message: Any) -> None:
    data = json.dumps(message).encode()
    # A host that is gone is seen by its closed socket.
    with contextlib.suppress(OSError):
        socket.send_fds(control, [data], list(fds))


def _reap(control: socket.socket) -> None:
    """Report the workers that have ended.

    What is left of a worker's group is killed while the worker is a zombie: until it is reaped, its
    number cannot be another's.
    """
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(ended.si_pid, signal.SIGKILL)
        _, status = os.waitpid(ended.si_pid, 0)
        _send(control, exit=ended.si_pid, status=status)


def _answer(control: socket.socket, app: WorkerApp, own: tuple[int, ...]) -> bool:
    """Answer one request. False says that the host is gone."""
    data, ancillary, _, _ = control.recvmsg(_MAX_MESSAGE, socket.CMSG_SPACE(2 * array.array("i").itemsize))
    fds = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    if not data:
        return False
    request = json.loads(data)
    try:
        if len(fds) != 2:
            _send(control, id=request["id"], error=f"got {len(fds)} descriptors in place of 2")
        elif (n := threads()) != 1:
            _send(control, id=request["id"], error=f"{n - 1} threads were started, which a fork would lose")
        else:
            _fork(control, app, request, fds, own)
    finally:
        for fd in fds:
            os.close(fd)
    return True


def _fork(control: socket.socket, app: WorkerApp, request: Any, fds: array.array[int], own: tuple[int, ...]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        pid = os.fork()
    except OSError as e:
        _send(control, id=request["id"], error=f"fork: {e}")
        return
    if pid == 0:
        try:
            _become_worker(control, app, request["env"], fds, own)
        except BaseException:  # noqa: BLE001 - nothing of the fork server may go on in a worker
            import traceback

            traceback.print_exc()
        finally:
            os._exit(1)
    pidfd = os.pidfd_open(pid)
    try:
        _send(control, (pidfd,), id=request["id"], pid=pid)
    finally:
        os.close(pidfd)


def _become_worker(
    control: socket.socket, app: WorkerApp, env: dict[str, str], fds: array.array[int], own: tuple[int, ...]
) -> None:
    """Make the forked process an ordinary worker."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    control.close()
    for fd in own:
        os.close(fd)
    os.dup2(fds[0], 1)
    os.dup2(fds[1], 2)
    for fd in fds:
        os.close(fd)
    os.environ.update(env)
    os.environ.pop("DSPEX_PYTHONPATH", None)  # it is on the path already
    _reseed()
    _fd.claim()

    from dspex import _server

    _server.serve(app)


def _reseed() -> None:
    """Give this process random numbers of its own: a fork repeats its parent's."""
    random.seed()
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()
