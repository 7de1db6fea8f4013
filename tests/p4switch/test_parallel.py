"""Which programs may run on several threads, and that they count rightly when they do."""

from __future__ import annotations

import threading

import pytest

from p4switch.bmv2.loader import load
from p4switch.codegen.state import is_parallel
from p4switch.dataplane import Counter, DataplaneError, Match, TableAction
from p4switch.native import NativeDataplane
from tests.p4switch.compiled import compiled
from tests.p4switch.test_native_packets import order

ROUNDS = 20_000


def test_a_register_that_is_read_and_written_needs_one_thread() -> None:
    assert not is_parallel(load(compiled("packets")))


def test_registers_that_are_only_written_or_only_read_do_not() -> None:
    assert is_parallel(load(compiled("parallel")))


def test_two_threads_count_every_packet() -> None:
    dataplane = NativeDataplane(workers=2)
    try:
        dataplane.load(compiled("parallel"))
        match = Match((0x88B5).to_bytes(2, "big"))
        action: TableAction | None = dataplane.default_action("ingress.kinds")
        assert action is not None
        dataplane.insert_entry("ingress.kinds", match, action)
        frame = order(0)
        emitted: list[int] = []
        threads = [
            threading.Thread(target=lambda w=w: emitted.append(dataplane.bench([(1, frame)], ROUNDS, w)[1]))
            for w in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert emitted == [ROUNDS, ROUNDS]
        total = Counter(2 * ROUNDS, 2 * ROUNDS * len(frame))
        assert dataplane.read_counter("ingress.seen", 1) == [total]
        entry = dataplane.read_entry("ingress.kinds", match)
        assert entry is not None
        assert entry.counter == total
    finally:
        dataplane.close()


def test_a_program_with_such_state_runs_on_one_thread() -> None:
    dataplane = NativeDataplane(workers=2)
    try:
        dataplane.load(compiled("packets"))
        with pytest.raises(DataplaneError, match="does not run on 2 threads"):
            dataplane.bench([(1, order(0))], 1, 1)
    finally:
        dataplane.close()
