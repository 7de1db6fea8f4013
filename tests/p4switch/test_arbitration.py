"""Arbitration: who is primary, who is told what, and when a stream is closed."""

from __future__ import annotations

import threading
import time

import pytest
from finsy.proto import stratum

from p4base.messages import p4r
from p4switch.service.arbitration import Arbiter, Client
from p4switch.service.errors import Code, P4Error
from tests.p4switch.harness import DEVICE_ID, arbitration, received

BIG = 5 << 64  # an election id that needs the high half


class Arbitration:
    """An arbiter and the advice that its clients get."""

    def __init__(self) -> None:
        self.arbiter = Arbiter(DEVICE_ID)

    def join(self, election_id: int | None, client: Client | None = None, role: str = "") -> Client:
        client = client or Client()
        self.arbiter.update(client, arbitration(election_id, role).arbitration)
        return client

    def refused(self, election_id: int | None, client: Client | None = None, **changes: object) -> Code:
        with pytest.raises(P4Error) as caught:
            self.arbiter.update(client or Client(), arbitration(election_id, **changes).arbitration)  # type: ignore[arg-type]
        return caught.value.code


def advice(client: Client) -> list[tuple[Code, int | None]]:
    """(status, election id) of each advisory message since the last call."""
    result = []
    for message in received(client):
        update = message.arbitration
        given = update.election_id.high << 64 | update.election_id.low if update.HasField("election_id") else None
        result.append((Code(update.status.code), given))
    return result


def may_write(arbiter: Arbiter, election_id: int | None, role: str = "", device_id: int = DEVICE_ID) -> Code:
    message = None
    if election_id is not None:
        message = p4r.Uint128(high=election_id >> 64, low=election_id & (1 << 64) - 1)
    try:
        with arbiter.writing(device_id, role, message):
            return Code.OK
    except P4Error as error:
        return error.code


def test_highest_election_id_is_primary() -> None:
    a = Arbitration()
    first = a.join(10)
    assert advice(first) == [(Code.OK, 10)]
    second = a.join(BIG)
    assert advice(first) == [(Code.ALREADY_EXISTS, BIG)]
    assert advice(second) == [(Code.OK, BIG)]
    third = a.join(11)
    assert advice(third) == [(Code.ALREADY_EXISTS, BIG)]
    assert advice(first) == advice(second) == []
    assert [may_write(a.arbiter, e) for e in (10, 11, BIG, None)] == [
        Code.PERMISSION_DENIED,
        Code.PERMISSION_DENIED,
        Code.OK,
        Code.PERMISSION_DENIED,
    ]


def test_no_primary_after_the_primary_left_until_the_highest_id_comes_again() -> None:
    a = Arbitration()
    backup, primary = a.join(10), a.join(20)
    advice(backup)
    a.arbiter.remove(primary)
    assert advice(backup) == [(Code.NOT_FOUND, 20)]
    assert may_write(a.arbiter, 20) == may_write(a.arbiter, 10) == Code.PERMISSION_DENIED
    a.join(15, backup)
    assert advice(backup) == [(Code.NOT_FOUND, 20)], "15 is below the highest ever seen"
    a.join(20, backup)
    assert advice(backup) == [(Code.OK, 20)]
    assert may_write(a.arbiter, 20) == Code.OK


def test_backup_leaving_tells_nobody() -> None:
    a = Arbitration()
    backup, primary = a.join(10), a.join(20)
    advice(primary)
    a.arbiter.remove(backup)
    assert advice(primary) == []


def test_unset_election_id_is_never_primary() -> None:
    a = Arbitration()
    standby = a.join(None)
    assert advice(standby) == [(Code.NOT_FOUND, None)]
    primary = a.join(0)
    assert advice(primary) == [(Code.OK, 0)], "0 is an election id like any other"
    assert advice(standby) == [(Code.ALREADY_EXISTS, 0)]
    another = a.join(None)  # unset is not a duplicate of unset
    assert advice(another) == [(Code.ALREADY_EXISTS, 0)]


def test_downgrade_of_the_primary_is_told_to_all() -> None:
    a = Arbitration()
    backup, primary = a.join(10), a.join(20)
    advice(backup), advice(primary)
    a.join(5, primary)
    assert advice(primary) == [(Code.NOT_FOUND, 20)]
    assert advice(backup) == [(Code.NOT_FOUND, 20)]
    assert may_write(a.arbiter, 5) == Code.PERMISSION_DENIED


def test_repeated_update_of_the_primary_answers_it_alone() -> None:
    a = Arbitration()
    backup, primary = a.join(10), a.join(20)
    advice(backup), advice(primary)
    a.join(20, primary)
    assert advice(primary) == [(Code.OK, 20)]
    assert advice(backup) == []


def test_what_closes_a_stream() -> None:
    a = Arbitration()
    primary = a.join(10)
    assert a.refused(10) == Code.INVALID_ARGUMENT
    assert a.refused(11, device_id=2) == Code.NOT_FOUND
    assert a.refused(11, client=primary, device_id=2) == Code.FAILED_PRECONDITION
    assert a.refused(11, client=primary, role="other") == Code.FAILED_PRECONDITION
    backup = a.join(5)
    assert a.refused(10, client=backup) == Code.INVALID_ARGUMENT
    assert may_write(a.arbiter, 10) == Code.OK, "the primary is not disturbed"
    a.arbiter.remove(primary)
    a.join(10)  # the id is free again


def test_roles_are_apart() -> None:
    a = Arbitration()
    default, routing = a.join(10), a.join(10, role="routing")
    assert advice(default) == advice(routing) == [(Code.OK, 10)]
    a.arbiter.remove(default)
    assert advice(routing) == []
    assert may_write(a.arbiter, 10) == Code.PERMISSION_DENIED
    assert may_write(a.arbiter, 10, role="routing") == Code.OK
    assert may_write(a.arbiter, 10, role="unknown") == Code.NOT_FOUND
    assert may_write(a.arbiter, 10, device_id=3) == Code.NOT_FOUND


def test_role_config_is_remembered_and_told() -> None:
    a = Arbitration()
    request = arbitration(10, "routing").arbitration
    request.role.config.Pack(stratum.P4RoleConfig(shared_p4_ids=[7], receives_packet_ins=True))
    client = Client()
    a.arbiter.update(client, request)
    (message,) = received(client)
    assert message.arbitration.role == request.role
    config = a.arbiter.role_config("routing")
    assert config is not None
    assert config.p4_ids == {7}
    assert not config.can_push_pipeline
    request.role.config.Pack(p4r.TableEntry())
    with pytest.raises(P4Error, match="P4RoleConfig"):
        a.arbiter.update(client, request)


def test_new_primary_waits_for_writes_in_flight() -> None:
    a = Arbitration()
    old = a.join(10)
    advice(old)
    new = Client()
    release, started = threading.Event(), threading.Event()

    def write() -> None:
        with a.arbiter.writing(DEVICE_ID, "", p4r.Uint128(low=10)):
            started.set()
            release.wait(100)

    writer = threading.Thread(target=write)
    writer.start()
    started.wait(100)
    election = threading.Thread(target=a.join, args=(20, new))
    election.start()
    deadline = time.monotonic() + 100
    told: list[tuple[Code, int | None]] = []
    while not told and time.monotonic() < deadline:
        told = advice(old)
    assert told == [(Code.ALREADY_EXISTS, 20)], "the old primary is told at once"
    assert may_write(a.arbiter, 10) == may_write(a.arbiter, 20) == Code.PERMISSION_DENIED
    assert advice(new) == [], "the new one only when the write is done"
    release.set()
    election.join(100)
    writer.join(100)
    assert advice(new) == [(Code.OK, 20)]
    assert may_write(a.arbiter, 20) == Code.OK


def test_client_that_leaves_while_it_is_elected() -> None:
    a = Arbitration()
    old, new = a.join(10), Client()
    with a.arbiter.writing(DEVICE_ID, "", p4r.Uint128(low=10)):
        election = threading.Thread(target=a.join, args=(20, new))
        election.start()
        deadline = time.monotonic() + 100
        while new.role is None and time.monotonic() < deadline:
            time.sleep(0.001)
        a.arbiter.remove(new)
    election.join(100)
    assert advice(old)[-1] == (Code.NOT_FOUND, 20)
    assert may_write(a.arbiter, 20) == Code.PERMISSION_DENIED
