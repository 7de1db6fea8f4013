"""A lock that many readers or one writer hold."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class ReadWriteLock:
    """Readers share, a writer is alone, and neither starves the other: a waiting writer keeps new readers out, and when
    a writer is done all readers that wait by then go before the next one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._writing = False
        self._writers_waiting = 0
        self._readers_waiting = 0
        self._phase = 0  # counts writers that are done
        self._admitted = 0  # readers that waited for the last of them and have not entered yet

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._changed:
            if self._writing or self._writers_waiting:
                self._wait_to_read()
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                if not self._readers:
                    self._changed.notify_all()

    def _wait_to_read(self) -> None:
        phase = self._phase
        self._readers_waiting += 1
        while self._writing or (self._writers_waiting and self._phase == phase):
            self._changed.wait()
        self._readers_waiting -= 1
        if self._phase != phase:
            self._admitted -= 1

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._changed:
            self._writers_waiting += 1
            while self._writing or self._readers or self._admitted:
                self._changed.wait()
            self._writers_waiting -= 1
            self._writing = True
        try:
            yield
        finally:
            with self._changed:
                self._writing = False
                self._phase += 1
                self._admitted = self._readers_waiting
                self._changed.notify_all()
