"""Carrying out one ReadRequest (specification, "Read RPC")."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from p4base.messages import p4r
from p4switch.dataplane import DataplaneError
from p4switch.service.entity import ReadScope
from p4switch.service.errors import BatchError, Code, P4Error, first_failure, from_dataplane
from p4switch.service.pipeline import Pipeline

log = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
"""A ReadResponse is closed once it is this long; well below the 4 MB that a client takes unless told otherwise."""


class Chunks:
    """Collects answers into serialised ReadResponses of about `CHUNK_BYTES`."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self.done: list[bytes] = []

    def emit(self, part: bytes) -> None:
        if len(part) >= CHUNK_BYTES:  # written by the data plane
            self.flush()
            self.done.append(part)
            return
        self._parts.append(part)
        self._size += len(part)
        if self._size >= CHUNK_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._parts:
            self.done.append(b"".join(self._parts))
            self._parts.clear()
            self._size = 0


def read_batch(
    pipeline: Pipeline, requests: Iterable[p4r.Entity], scope: ReadScope
) -> tuple[list[bytes], P4Error | None]:
    """Answer every request of a batch.

    Returns:
        The serialised ReadResponses, and a BatchError if some of the requests failed: the answers to the others are
        sent all the same.
    """
    chunks = Chunks()
    errors: list[P4Error | None] = []
    for request in requests:
        try:
            kind = request.WhichOneof("entity")
            handler = pipeline.handler(kind)
            assert kind is not None
            handler.read(getattr(request, kind), scope, chunks.emit)
            errors.append(None)
        except P4Error as error:
            errors.append(error)
        except DataplaneError as error:
            errors.append(from_dataplane(error))
        except Exception as error:
            log.exception("internal error in a read")
            errors.append(P4Error(Code.INTERNAL, f"internal error of the switch ({error}); please report it"))
    chunks.flush()
    failed = any(error is not None for error in errors)
    return chunks.done, BatchError(first_failure(errors, "request"), errors) if failed else None
