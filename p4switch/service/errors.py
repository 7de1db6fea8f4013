"""Errors in P4Runtime's terms: a canonical code and a sentence for the client."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from google.protobuf import any_pb2

from p4base.messages import p4r, rpc_status
from p4switch.dataplane import DataplaneError


class Code(IntEnum):
    """The canonical codes (google/rpc/code.proto); the names are those of `grpc.StatusCode`."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class P4Error(Exception):
    """A request, or one update of it, that is refused. `str()` is the sentence for the client."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


class BatchError(P4Error):
    """A Write or Read of which some parts failed.

    Attributes:
        errors: one per update (or read request), in order; None for those that succeeded.
    """

    def __init__(self, message: str, errors: Sequence[P4Error | None]) -> None:
        super().__init__(Code.UNKNOWN, message)
        self.errors = errors

    def status(self) -> rpc_status.Status:
        """The `google.rpc.Status` for `grpc-status-details-bin` (specification, "Error Reporting Messages")."""
        status = rpc_status.Status(code=int(self.code), message=str(self))
        accepted = any_pb2.Any()
        accepted.Pack(p4r.Error())
        for error in self.errors:
            if error is None:
                status.details.append(accepted)
            else:
                status.details.add().Pack(p4r.Error(canonical_code=int(error.code), message=str(error)))
        return status


def invalid(message: str) -> P4Error:
    """An INVALID_ARGUMENT, by far the most common refusal."""
    return P4Error(Code.INVALID_ARGUMENT, message)


def from_dataplane(error: DataplaneError) -> P4Error:
    """The data plane's refusal under the code of the same name."""
    return P4Error(Code[error.status.value], str(error))


def first_failure(errors: Sequence[P4Error | None], noun: str) -> str:
    """A headline for a batch of which some parts failed: how many, and the first one's own sentence."""
    failed = [(i, error) for i, error in enumerate(errors) if error is not None]
    index, error = failed[0]
    return f"{len(failed)} of {len(errors)} {noun} failed; {noun} {index}: {error.code.name}: {error}"
