"""The messages waiting to be sent on one StreamChannel."""

from __future__ import annotations

import queue
from collections.abc import Iterator

from p4switch.service.errors import P4Error

MAX_WAITING = 8192
"""Notifications beyond this many unsent ones are dropped: a client that does not read must not fill the memory."""


class Outbox:
    """A queue of serialised `StreamMessageResponse`s that ends once, with or without an error.

    Attributes:
        error: why the stream is closed by the server; None if it simply ends.
        dropped: the number of notifications that were not queued.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.error: P4Error | None = None
        self.dropped = 0

    def put(self, message: bytes) -> None:
        """Queue a message that must arrive. Never blocks."""
        self._queue.put(message)

    def offer(self, message: bytes) -> None:
        """Queue a message that may be lost (packets, digests, stream errors) if the client does not keep up."""
        if self._queue.qsize() >= MAX_WAITING:
            self.dropped += 1
        else:
            self._queue.put(message)

    def close(self, error: P4Error | None = None) -> None:
        """End the stream after what is queued. Later calls change nothing."""
        if self.error is None:
            self.error = error
        self._queue.put(None)

    def __iter__(self) -> Iterator[bytes]:
        """The messages as they come, until the outbox is closed."""
        while (message := self._queue.get()) is not None:
            yield message
