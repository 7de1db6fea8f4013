"""Carrying out the updates of one WriteRequest (specification, "Batch Atomicity")."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext

from google.protobuf.message import DecodeError

from p4base.messages import p4r
from p4switch.dataplane import DataplaneError, WireBatch, WireCodec
from p4switch.service.entity import DELETE, INSERT, MODIFY
from p4switch.service.errors import BatchError, Code, P4Error, first_failure, from_dataplane, invalid
from p4switch.service.pipeline import Handler, Pipeline
from p4switch.service.roles import RoleConfig

log = logging.getLogger(__name__)

Applied = Callable[[p4r.Update], None]
"""Told of each update that was carried out."""


def write_batch(
    pipeline: Pipeline,
    updates: Sequence[p4r.Update],
    atomicity: p4r.WriteRequest.Atomicity.ValueType,
    role: RoleConfig | None,
    applied: Applied | None = None,
) -> None:
    """Apply a batch, in order.

    Raises:
        BatchError: some updates failed.
        P4Error: the batch was refused as a whole; nothing changed.
    """
    match atomicity:
        case p4r.WriteRequest.CONTINUE_ON_ERROR:
            errors = _continue_on_error(pipeline, updates, role, applied)
        case p4r.WriteRequest.ROLLBACK_ON_ERROR:
            errors = _rollback_on_error(pipeline, updates, role, applied)
        case p4r.WriteRequest.DATAPLANE_ATOMIC:
            with pipeline.dataplane.atomic():
                errors = _rollback_on_error(pipeline, updates, role, applied)
        case _:
            raise invalid(f"unknown atomicity {atomicity}")
    if errors:
        raise BatchError(first_failure(errors, "update"), errors)


def write_bytes(
    pipeline: Pipeline,
    codec: WireCodec,
    request: bytes,
    atomicity: p4r.WriteRequest.Atomicity.ValueType,
) -> None:
    """Apply a batch of a client with full access, in order, by the data plane's own way where that goes.

    Raises:
        BatchError: some updates failed.
        P4Error: the batch was refused as a whole; nothing changed.
    """
    batch = codec.batch(request)
    parsed = {}
    for i in batch.others:
        try:
            parsed[i] = p4r.Update.FromString(batch.update(i))
        except DecodeError:
            raise invalid(f"update {i} is not a p4.v1.Update") from None
    if atomicity == p4r.WriteRequest.CONTINUE_ON_ERROR:
        errors = _apply_natively(pipeline, batch, parsed)
    elif batch.only_inserts:
        with pipeline.dataplane.atomic() if atomicity == p4r.WriteRequest.DATAPLANE_ATOMIC else nullcontext():
            errors = _insert_all_or_none(pipeline, batch)
    else:
        updates = [parsed.get(i) or p4r.Update.FromString(batch.update(i)) for i in range(len(batch))]
        write_batch(pipeline, updates, atomicity, None)
        return
    if errors:
        raise BatchError(first_failure(errors, "update"), errors)


def _apply_natively(pipeline: Pipeline, batch: WireBatch, parsed: Mapping[int, p4r.Update]) -> list[P4Error | None]:
    """Attempt every update. What the data plane leaves, and what it refuses, goes the general way, which has the words."""
    errors: list[P4Error | None] = []
    count = len(batch)
    at = batch.apply(0)
    while at < count:
        try:
            _apply(pipeline, parsed.get(at) or p4r.Update.FromString(batch.update(at)), None)
        except Exception as error:
            if not errors:
                errors = [None] * count
            errors[at] = _as_p4_error(error)
        at = batch.apply(at + 1) if at + 1 < count else count
    return errors


def _insert_all_or_none(pipeline: Pipeline, batch: WireBatch) -> list[P4Error | None]:
    done = batch.apply(0)
    while done < len(batch):
        try:
            _apply(pipeline, p4r.Update.FromString(batch.update(done)), None)
        except Exception as error:
            batch.undo(done)
            return _aborted(len(batch), done, error)
        done = batch.apply(done + 1) if done + 1 < len(batch) else len(batch)
    return []


def _continue_on_error(
    pipeline: Pipeline, updates: Sequence[p4r.Update], role: RoleConfig | None, applied: Applied | None
) -> list[P4Error | None]:
    """Attempt every update. Returns nothing if all succeeded, else one item per update."""
    errors: list[P4Error | None] = []
    for i, update in enumerate(updates):
        try:
            _apply(pipeline, update, role)
            if applied is not None:
                applied(update)
        except Exception as error:
            if not errors:
                errors = [None] * len(updates)
            errors[i] = _as_p4_error(error)
    return errors


def _rollback_on_error(
    pipeline: Pipeline, updates: Sequence[p4r.Update], role: RoleConfig | None, applied: Applied | None
) -> list[P4Error | None]:
    """Attempt the updates up to the first failure, then undo them. Returns nothing if all succeeded."""
    undo: list[tuple[Handler, int, object]] = []
    for i, update in enumerate(updates):
        try:
            before, key = _snapshot(pipeline, update)
            _apply(pipeline, update, role)
        except Exception as error:
            for handler, kind, message in reversed(undo):
                try:
                    handler.write(kind, message)
                except Exception:
                    log.exception("roll-back of an update failed")
            return _aborted(len(updates), i, error)
        undo.extend(_undo(pipeline, update, before, key))
    if applied is not None:
        for update in updates:
            applied(update)
    return []


def _aborted(count: int, failed: int, error: Exception) -> list[P4Error | None]:
    """The outcome of a batch that was taken back because one update failed."""
    undone = P4Error(Code.ABORTED, "rolled back, as another update of the batch failed")
    rest = P4Error(Code.ABORTED, "not attempted, as another update of the batch failed")
    return [*[undone] * failed, _as_p4_error(error), *[rest] * (count - failed - 1)]


def _snapshot(pipeline: Pipeline, update: p4r.Update) -> tuple[list[p4r.Entity], str]:
    kind = update.entity.WhichOneof("entity")
    handler = pipeline.handler(kind)
    assert kind is not None
    return list(handler.snapshot(getattr(update.entity, kind))), kind


def _undo(
    pipeline: Pipeline, update: p4r.Update, before: Iterable[p4r.Entity], kind: str
) -> list[tuple[Handler, int, object]]:
    """The writes that take the update back."""
    handler = pipeline.handler(kind)
    message = getattr(update.entity, kind)
    if update.type == INSERT:
        return [(handler, DELETE, message)]
    back = INSERT if update.type == DELETE else MODIFY
    restored = []
    for entity in before:
        old = getattr(entity, kind)
        if back == MODIFY and kind == "table_entry" and not message.HasField("counter_data"):
            old.ClearField("counter_data")  # the data plane counts on
        restored.append((handler, back, old))
    return restored


def _apply(pipeline: Pipeline, update: p4r.Update, role: RoleConfig | None) -> None:
    kind = update.entity.WhichOneof("entity")
    handler = pipeline.handler(kind)
    assert kind is not None
    if update.type not in (INSERT, MODIFY, DELETE):
        raise invalid("the update has no type (INSERT, MODIFY or DELETE)")
    message = getattr(update.entity, kind)
    if role is not None:
        p4_id = handler.p4_id(message)
        role.check_access(p4_id, f"{kind} 0x{p4_id:08x}")
    handler.write(update.type, message)


def _as_p4_error(error: Exception) -> P4Error:
    if isinstance(error, P4Error):
        return error
    if isinstance(error, DataplaneError):
        return from_dataplane(error)
    log.error("internal error in a write", exc_info=error)
    return P4Error(Code.INTERNAL, f"internal error of the switch ({type(error).__name__}: {error}); please report it")
