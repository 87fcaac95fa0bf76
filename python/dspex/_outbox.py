"""What a worker has to say to its host, and in which order it is written."""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from dspex._proto import worker_pb2 as pb

FRAGMENT = 64 << 10
# How much payload one message carries, so that a large one does not hold up the small.
BATCH = 256 << 10
# Events of one call that wait; more are dropped.
MAX_EVENTS = 32
# What a frame costs beside its payload.
_OVERHEAD = 32


@dataclasses.dataclass
class _Frame:
    """A frame that waits for its turn, with the payload that goes before it in fragments."""

    payload: bytes
    place: Callable[[Any, bool], None]
    sent: int = 0

    @property
    def large(self) -> bool:
        return len(self.payload) > FRAGMENT


class Outbox:
    """Gathers frames and makes messages of them.

    Frames of one call keep their order; those of different calls overtake each other, so that a
    large payload, which goes in fragments, holds up only its own call.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        """Make an outbox that calls wake when there is something to send."""
        self._wake = wake
        self._next = pb.AttachResponse()
        self._size = 0
        self._small: deque[tuple[int, _Frame]] = deque()
        # Calls that have a large payload under way, with the frames behind it.
        self._uploads: dict[int, deque[_Frame]] = {}
        self._dirty = False
        # Frames in _small, and events among all that wait, by call.
        self._waiting: Counter[int] = Counter()
        self._events: Counter[int] = Counter()

    def acknowledge(self) -> None:
        """Acknowledge one batch of the host."""
        self._next.acked += 1
        self._dirty = True

    def heartbeat(self, seq: int, in_flight: int, lag_ms: int, rss: int) -> None:
        """Send a heartbeat; one that was not sent yet is replaced."""
        self._next.heartbeat.seq = seq
        self._next.heartbeat.in_flight = in_flight
        self._next.heartbeat.lag_ms = lag_ms
        self._next.heartbeat.rss_bytes = rss
        self._changed()

    def result(self, call_id: int, payload: bytes) -> None:
        """End a call with its result."""
        if len(payload) <= FRAGMENT and call_id not in self._uploads and self._size < BATCH and not self._small:
            # The usual case, without a detour.
            self._next.results.add(call_id=call_id, result=payload)
            self._size += len(payload) + _OVERHEAD
            self._changed()
            return

        def place(batch: Any, fragmented: bool) -> None:
            batch.results.add(call_id=call_id, result=b"" if fragmented else payload, fragmented=fragmented)

        self._put(call_id, _Frame(payload, place))

    def chunk(self, call_id: int, seq: int, payload: bytes) -> None:
        """Send an item of a streaming command."""

        def place(batch: Any, fragmented: bool) -> None:
            data = b"" if fragmented else payload
            batch.chunks.add(call_id=call_id, seq=seq, data=data, fragmented=fragmented)

        self._put(call_id, _Frame(payload, place))

    def event(self, call_id: int, kind: str, payload: bytes) -> None:
        """Tell about a running call. One too large for a fragment is dropped, or if too many wait."""

        def place(batch: Any, _: bool) -> None:
            batch.events.add(call_id=call_id, kind=kind, data=payload)
            self._events[call_id] -= 1
            if not self._events[call_id]:
                del self._events[call_id]

        if len(payload) <= FRAGMENT and self._events[call_id] < MAX_EVENTS:
            self._events[call_id] += 1
            self._put(call_id, _Frame(payload, place))

    def failure(self, call_id: int, **fields: str) -> None:
        """End a call that was begun, with an error."""
        self._put(call_id, _Frame(b"", lambda batch, _: batch.failures.add(call_id=call_id, **fields)))

    def refusal(self, call_id: int, reason: str, message: str) -> None:
        """End a call that was not begun."""
        self._put(
            call_id, _Frame(b"", lambda batch, _: batch.refusals.add(call_id=call_id, reason=reason, message=message))
        )

    def take(self) -> Any:
        """Return the next message, or None if there is nothing to say."""
        batch, size = self._next, self._size
        while self._small and size < BATCH:
            call_id, frame = self._small.popleft()
            self._waiting[call_id] -= 1
            if not self._waiting[call_id]:
                del self._waiting[call_id]
            frame.place(batch, False)
            size += len(frame.payload) + _OVERHEAD
        for call_id in list(self._uploads):
            if call_id in self._waiting:
                continue  # earlier frames of the same call go first
            if size >= 2 * BATCH:
                break
            size += self._upload(batch, call_id)
        said = self._dirty or bool(self._small)
        self._dirty = bool(self._small or self._uploads)
        self._next, self._size = pb.AttachResponse(), 0
        return batch if said or batch.ByteSize() else None

    def flush(self) -> None:
        """Send what was gathered without a wake."""
        if self._dirty:
            self._wake()

    def _put(self, call_id: int, frame: _Frame) -> None:
        if call_id in self._uploads:
            self._uploads[call_id].append(frame)
        elif frame.large:
            self._uploads[call_id] = deque([frame])
        else:
            self._waiting[call_id] += 1
            self._small.append((call_id, frame))
        self._changed()

    def _changed(self) -> None:
        self._dirty = True
        self._wake()

    def _upload(self, batch: Any, call_id: int) -> int:
        """Add a piece of a call's large payload, or its end and the frames behind it."""
        frames = self._uploads[call_id]
        frame = frames[0]
        piece = frame.payload[frame.sent : frame.sent + FRAGMENT]
        frame.sent += len(piece)
        batch.fragments.add(call_id=call_id, data=piece)
        if frame.sent < len(frame.payload):
            return len(piece)
        frame.place(batch, True)
        frames.popleft()
        # Behind it, small frames go along; another large one begins with the next message, since
        # fragments come first in a message and would be taken for this payload's.
        while frames and not frames[0].large:
            frames.popleft().place(batch, False)
        if not frames:
            del self._uploads[call_id]
        return len(piece)
