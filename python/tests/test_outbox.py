"""The order in which a worker's frames are written."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dspex._outbox import BATCH, FRAGMENT, Outbox


def drain(out: Outbox) -> tuple[dict[int, list[bytes]], dict[int, list[int]]]:
    """Read as a host does; return the payloads and the chunk numbers of each call."""
    parts: dict[int, bytes] = {}
    got: dict[int, list[bytes]] = {}
    seqs: dict[int, list[int]] = {}

    def take(frame: Any, data: bytes) -> None:
        got.setdefault(frame.call_id, []).append(parts.pop(frame.call_id, b"") if frame.fragmented else data)

    while (batch := out.take()) is not None:
        assert batch.ByteSize() < 3 * BATCH
        for f in batch.fragments:
            assert len(f.data) <= FRAGMENT
            parts[f.call_id] = parts.get(f.call_id, b"") + f.data
        for c in batch.chunks:
            seqs.setdefault(c.call_id, []).append(c.seq)
            take(c, c.data)
        for r in batch.results:
            take(r, r.result)
    assert not parts
    return got, seqs


def test_a_large_chunk_does_not_overtake_its_own_call() -> None:
    out = Outbox(lambda: None)
    for call in range(100, 120):
        out.chunk(call, 0, b"x" * 60_000)
    out.chunk(9, 0, b"small")
    out.chunk(9, 1, b"y" * 70_000)
    _, seqs = drain(out)
    assert seqs[9] == [0, 1]


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from([0, 10, 60_000, 70_000, 200_000])), max_size=30))
def test_frames_of_a_call_keep_their_order(frames: list[tuple[int, int]]) -> None:
    out = Outbox(lambda: None)
    want: dict[int, list[bytes]] = {}
    for n, (call, size) in enumerate(frames):
        payload = b"%d" % n + b"z" * size
        out.chunk(call, len(want.setdefault(call, [])), payload)
        want[call].append(payload)
    for call in want:
        out.result(call, b"end")
        want[call].append(b"end")
    got, seqs = drain(out)
    assert got == want
    assert all(s == sorted(s) for s in seqs.values())
