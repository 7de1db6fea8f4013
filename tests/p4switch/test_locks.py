"""The lock of the device: readers together, writers alone, and nobody left waiting."""

from __future__ import annotations

import threading
import time

from p4switch.service.locks import ReadWriteLock


def test_readers_share_and_a_writer_is_alone() -> None:
    lock = ReadWriteLock()
    inside: list[str] = []
    odd: list[list[str]] = []

    def work(kind: str) -> None:
        for _ in range(200):
            with lock.writing() if kind == "writer" else lock.reading():
                inside.append(kind)
                seen = list(inside)
                if "writer" in seen and len(seen) > 1:
                    odd.append(seen)
                inside.remove(kind)

    threads = [threading.Thread(target=work, args=(kind,)) for kind in ["writer"] * 2 + ["reader"] * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert odd == []
    with lock.reading(), lock.reading():
        pass


def test_writers_in_turn_let_readers_in() -> None:
    lock = ReadWriteLock()
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            with lock.writing():
                time.sleep(0.001)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    longest = 0.0
    for _ in range(50):
        begin = time.monotonic()
        with lock.reading():
            longest = max(longest, time.monotonic() - begin)
    stop.set()
    for writer in writers:
        writer.join(30)
    assert longest < 60  # not after the writers, who never end by themselves
