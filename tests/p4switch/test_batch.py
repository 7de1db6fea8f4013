"""Batches: one error per update in order, roll-back that leaves no trace, and who may write at all."""

from __future__ import annotations

import pytest

from p4base.messages import p4r
from p4switch.service.errors import BatchError, Code, P4Error
from tests.p4switch.harness import DEVICE_ID, Harness, in_order, table, tables
from tests.p4switch.programs import COUNTER_ID, PROFILE_ID, REGISTER_ID, TABLE_ID, exact_entry, route_entry
from tests.p4switch.test_action_profile import member, one_shot_entry

INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE
ROLLBACK = p4r.WriteRequest.ROLLBACK_ON_ERROR


def everything(switch: Harness) -> list[p4r.Entity]:
    """All of the forwarding state, as read."""
    wildcards = [
        p4r.Entity(table_entry=p4r.TableEntry(counter_data=p4r.CounterData())),
        p4r.Entity(table_entry=p4r.TableEntry(is_default_action=True)),
        p4r.Entity(action_profile_member=p4r.ActionProfileMember()),
        p4r.Entity(action_profile_group=p4r.ActionProfileGroup()),
        p4r.Entity(counter_entry=p4r.CounterEntry()),
        p4r.Entity(register_entry=p4r.RegisterEntry()),
    ]
    return sorted(switch.read(*wildcards), key=lambda e: e.SerializeToString(deterministic=True))


def test_every_update_is_attempted_and_reported_in_order(switch: Harness) -> None:
    with pytest.raises(BatchError) as caught:
        switch.write(
            (INSERT, table(exact_entry(1))),
            (INSERT, table(exact_entry(1))),
            (DELETE, table(exact_entry(2))),
            (INSERT, table(exact_entry(3))),
            (p4r.Update.UNSPECIFIED, table(exact_entry(4))),
            (INSERT, p4r.Entity()),
            (INSERT, p4r.Entity(extern_entry=p4r.ExternEntry(extern_id=1))),
        )
    status = caught.value.status()
    codes = []
    for detail in status.details:
        error = p4r.Error()
        assert detail.Unpack(error)
        codes.append(Code(error.canonical_code))
    assert status.code == Code.UNKNOWN
    assert codes == [
        Code.OK,
        Code.ALREADY_EXISTS,
        Code.NOT_FOUND,
        Code.OK,
        Code.INVALID_ARGUMENT,
        Code.INVALID_ARGUMENT,
        Code.UNIMPLEMENTED,
    ]
    assert in_order(switch.entries(TABLE_ID["exact_table"])) == [exact_entry(1), exact_entry(3)]


def test_rollback_restores_every_kind_of_entity(switch: Harness) -> None:
    kept = exact_entry(1, out=1)
    kept.metadata = b"kept"
    kept.counter_data.packet_count = 4
    default = p4r.TableEntry(table_id=TABLE_ID["route_table"], is_default_action=True)
    default.action.action.CopyFrom(kept.action.action)
    plain = PROFILE_ID["plain_profile"]
    switch.insert(table(kept), member(1, profile=plain), member(2, profile=plain), table(one_shot_entry(1, 2)))
    before = everything(switch)
    changed = exact_entry(1, out=3)
    counter = p4r.Entity(counter_entry=p4r.CounterEntry(counter_id=COUNTER_ID))
    counter.counter_entry.data.packet_count = 5
    register = p4r.Entity(register_entry=p4r.RegisterEntry(register_id=REGISTER_ID["register"]))
    register.register_entry.data.bitstring = b"\x05"
    with pytest.raises(BatchError) as caught:
        switch.write(
            (INSERT, table(exact_entry(2))),
            (MODIFY, table(changed)),
            (DELETE, table(changed)),
            (INSERT, table(route_entry(0, 0))),
            (MODIFY, table(default)),
            (MODIFY, member(1, out=9, profile=plain)),
            (DELETE, member(2, profile=plain)),
            (MODIFY, table(one_shot_entry(1, 5))),
            (DELETE, table(one_shot_entry(1, 5))),
            (MODIFY, counter),
            (MODIFY, register),
            (DELETE, table(exact_entry(77))),
            (INSERT, table(exact_entry(78))),
            atomicity=ROLLBACK,
        )
    codes = [error.code if error else Code.OK for error in caught.value.errors]
    assert codes == [Code.ABORTED] * 11 + [Code.NOT_FOUND, Code.ABORTED]
    assert everything(switch) == before
    switch.write((INSERT, table(exact_entry(2))), (DELETE, table(kept)), atomicity=ROLLBACK)
    assert switch.entries(TABLE_ID["exact_table"]) == [exact_entry(2)]


def test_dataplane_atomic_takes_all_or_none(switch: Harness) -> None:
    atomic = p4r.WriteRequest.DATAPLANE_ATOMIC
    switch.write((INSERT, table(exact_entry(1))), (INSERT, table(exact_entry(2))), atomicity=atomic)
    with pytest.raises(BatchError) as caught:
        switch.write(
            (DELETE, table(exact_entry(1))),
            (INSERT, table(exact_entry(3))),
            (INSERT, table(exact_entry(2))),
            atomicity=atomic,
        )
    assert [error and error.code for error in caught.value.errors] == [
        Code.ABORTED,
        Code.ABORTED,
        Code.ALREADY_EXISTS,
    ]
    assert in_order(switch.entries(TABLE_ID["exact_table"])) == [exact_entry(1), exact_entry(2)]


def test_order_of_the_checks_before_a_batch() -> None:
    switch = Harness(configured=False)
    request = switch.write_request([(INSERT, table(exact_entry(1)))])

    def refused(**changes: object) -> Code:
        copy = p4r.WriteRequest()
        copy.CopyFrom(request)
        for name, value in changes.items():
            if name == "election_id":
                copy.election_id.low = value  # type: ignore[assignment]
            else:
                setattr(copy, name, value)
        with pytest.raises(P4Error) as caught:
            switch.device.write(copy)
        assert not isinstance(caught.value, BatchError)
        return caught.value.code

    assert refused(device_id=DEVICE_ID + 1, election_id=1) == Code.NOT_FOUND
    assert refused(role="nobody") == Code.NOT_FOUND
    assert refused(election_id=1) == Code.PERMISSION_DENIED
    assert refused() == Code.FAILED_PRECONDITION
    with pytest.raises(P4Error, match="no forwarding pipeline"):
        switch.read(table(p4r.TableEntry()))


def test_failed_read_requests_are_reported_in_order_and_the_others_answered(switch: Harness) -> None:
    switch.insert(table(exact_entry(1)))
    request = p4r.ReadRequest(device_id=DEVICE_ID)
    request.entities.extend(
        [table(p4r.TableEntry(table_id=7)), table(p4r.TableEntry(table_id=TABLE_ID["exact_table"])), p4r.Entity()]
    )
    chunks, error = switch.device.read(request)
    assert [e.table_entry for c in chunks for e in p4r.ReadResponse.FromString(c).entities] == [exact_entry(1)]
    assert isinstance(error, BatchError)
    assert [e.code if e else Code.OK for e in error.errors] == [Code.INVALID_ARGUMENT, Code.OK, Code.INVALID_ARGUMENT]


def test_long_reads_come_in_chunks_that_any_client_takes(switch: Harness) -> None:
    entries = []
    for i in range(600):
        entry = route_entry(i << 64, 128)
        entry.metadata = b"x" * 8000
        entries.append(entry)
    switch.insert(*tables(entries))
    chunks, error = switch.device.read(p4r.ReadRequest(device_id=DEVICE_ID, entities=[table(p4r.TableEntry())]))
    assert error is None
    assert len(chunks) > 3
    assert max(map(len, chunks)) < 2 << 20
