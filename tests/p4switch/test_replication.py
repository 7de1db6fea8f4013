"""Multicast groups and clone sessions through the service."""

from __future__ import annotations

import pytest

from p4base.messages import p4r
from p4switch.service.errors import Code
from p4switch.service.memory import MemoryDataplane
from tests.p4switch.harness import Harness
from tests.p4switch.test_table_entry import refusal


def multicast(group: int, *replicas: tuple[int, int], metadata: bytes = b"") -> p4r.Entity:
    entity = p4r.Entity()
    entry = entity.packet_replication_engine_entry.multicast_group_entry
    entry.multicast_group_id, entry.metadata = group, metadata
    for port, instance in replicas:
        entry.replicas.add(port=bytes([port]), instance=instance)
    return entity


def clone(session: int, *ports: int, length: int = 0, class_of_service: int = 0) -> p4r.Entity:
    entity = p4r.Entity()
    entry = entity.packet_replication_engine_entry.clone_session_entry
    entry.session_id, entry.packet_length_bytes, entry.class_of_service = session, length, class_of_service
    for port in ports:
        entry.replicas.add(egress_port=port)
    return entity


def test_groups_and_sessions_are_read_back_as_they_were_written(switch: Harness) -> None:
    groups = [multicast(1, (1, 0), (2, 7), metadata=b"m"), multicast(65535)]
    sessions = [clone(1, 2, length=128, class_of_service=3), clone(32768, 1, 2)]
    switch.insert(*groups, *sessions)
    assert switch.read(multicast(0)) == groups
    assert switch.read(clone(0)) == sessions
    assert switch.read(clone(1)) == sessions[:1]
    changed = multicast(1, (2, 1))
    switch.modify(changed)
    switch.delete(groups[1], *sessions)
    assert switch.read(multicast(0), clone(0)) == [changed]


def test_the_data_plane_is_told_and_a_new_program_starts_with_none() -> None:
    switch = Harness()
    assert isinstance(switch.dataplane, MemoryDataplane)
    switch.insert(multicast(3, (1, 4)), clone(5, 2, length=64))
    assert switch.dataplane.multicast_groups == {3: ((1, 4),)}
    assert switch.dataplane.clone_sessions == {5: (((2, 0),), 64, 0)}
    switch.set_config(p4r.SetForwardingPipelineConfigRequest.RECONCILE_AND_COMMIT)
    assert switch.dataplane.multicast_groups == {3: ((1, 4),)}
    switch.set_config()
    assert switch.read(multicast(0), clone(0)) == []
    assert not switch.dataplane.multicast_groups
    assert not switch.dataplane.clone_sessions


@pytest.mark.parametrize(
    ("entity", "code", "words"),
    [
        (multicast(0), Code.INVALID_ARGUMENT, "1 to 65535"),
        (multicast(65536), Code.INVALID_ARGUMENT, "1 to 65535"),
        (multicast(1, (1, 1), (1, 1)), Code.INVALID_ARGUMENT, "given twice"),
        (multicast(1, (1, 65536)), Code.INVALID_ARGUMENT, "instance 65536"),
        (clone(0), Code.INVALID_ARGUMENT, "1 to 32768"),
        (clone(1, length=-1), Code.INVALID_ARGUMENT, "negative"),
        (
            p4r.Entity(packet_replication_engine_entry=p4r.PacketReplicationEngineEntry()),
            Code.INVALID_ARGUMENT,
            "unset",
        ),
    ],
)
def test_bad_entries(switch: Harness, entity: p4r.Entity, code: Code, words: str) -> None:
    given, message = refusal(lambda: switch.insert(entity))
    assert given == code
    assert words in message


def test_what_is_there_and_what_is_not(switch: Harness) -> None:
    switch.insert(multicast(1, (1, 1)))
    assert refusal(lambda: switch.insert(multicast(1)))[0] == Code.ALREADY_EXISTS
    assert refusal(lambda: switch.modify(multicast(2)))[0] == Code.NOT_FOUND
    assert refusal(lambda: switch.delete(clone(1)))[0] == Code.NOT_FOUND


def test_backup_replicas_are_read_back_and_differ_from_one_another(switch: Harness) -> None:
    backed = multicast(3, (1, 1))
    replicas = backed.packet_replication_engine_entry.multicast_group_entry.replicas
    replicas[0].backup_replicas.add(port=b"\x02", instance=1)
    switch.insert(backed)
    assert switch.read(backed) == [backed]
    replicas[0].backup_replicas.add(port=b"\x01", instance=5)
    assert refusal(lambda: switch.modify(backed)) == (
        Code.INVALID_ARGUMENT,
        "multicast group 3: port 1 has a backup replica on the same port",
    )
    del replicas[0].backup_replicas[1]
    replicas.add(port=b"\x02", instance=1)
    assert "given twice" in refusal(lambda: switch.modify(backed))[1]
