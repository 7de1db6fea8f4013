"""Mutated requests of every kind: each is taken or refused in the client's terms, none harms the switch.

`KULVERT_FUZZ=N` makes it N messages (and N / 100 configurations) instead of a few thousand.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.message import DecodeError, Message

from p4base.messages import p4d, p4r
from p4switch.dataplane import DataplaneError
from p4switch.native import NativeDataplane
from p4switch.service.errors import BatchError, Code, P4Error
from p4switch.service.memory import MemoryDataplane
from p4switch.service.pipeline import Pipeline, PipelineConfig
from tests.p4switch.compiled import compiled_with_info
from tests.p4switch.conftest import PortedNativeDataplane
from tests.p4switch.harness import DEVICE_ID, Harness, received, table
from tests.p4switch.mutation import change_field, change_json, choose, mutated
from tests.p4switch.programs import (
    COUNTER_ID,
    METER_ID,
    PROFILE_ID,
    REGISTER_ID,
    acl_entry,
    exact_entry,
    make_config,
    route_entry,
)
from tests.p4switch.test_action_profile import balance_entry
from tests.p4switch.test_native_compiler import fixed_addresses, sanitizer_libraries

MESSAGES = int(os.environ.get("KULVERT_FUZZ", "6000"))
CONFIGS = max(60, MESSAGES // 100)


def entities() -> list[p4r.Entity]:
    """One of each kind, all of them right."""
    member = p4r.ActionProfileMember(action_profile_id=PROFILE_ID["selector"], member_id=1)
    member.action.CopyFrom(exact_entry(1).action.action)
    group = p4r.ActionProfileGroup(action_profile_id=PROFILE_ID["selector"], group_id=1)
    group.members.add(member_id=1, weight=2)
    one_shot = balance_entry(5)
    one_shot.action.Clear()
    one_shot.action.action_profile_action_set.action_profile_actions.add(action=member.action, weight=1)
    full = exact_entry(9)
    full.metadata, full.controller_metadata = b"note", 7
    full.counter_data.packet_count = 3
    multicast = p4r.MulticastGroupEntry(multicast_group_id=1)
    multicast.replicas.add(port=b"\x01", instance=1).backup_replicas.add(port=b"\x02")
    session = p4r.CloneSessionEntry(session_id=1, class_of_service=1, packet_length_bytes=64)
    session.replicas.add(egress_port=1)
    pre = p4r.PacketReplicationEngineEntry
    cell = p4r.RegisterEntry(register_id=REGISTER_ID["register"], index=p4r.Index(index=1))
    cell.data.CopyFrom(p4d.P4Data(bitstring=b"\x05"))
    config = p4r.MeterConfig(cir=1, cburst=2, pir=3, pburst=4)
    default = p4r.TableEntry(table_id=exact_entry(1).table_id, is_default_action=True)
    default.action.CopyFrom(exact_entry(1).action)
    return [
        *(table(e) for e in (exact_entry(1), route_entry(1 << 127, 1), acl_entry(src=(1, 3), dport=(1, 9)), full)),
        *(table(e) for e in (balance_entry(1), one_shot, default)),
        p4r.Entity(action_profile_member=member),
        p4r.Entity(action_profile_group=group),
        p4r.Entity(counter_entry=p4r.CounterEntry(counter_id=COUNTER_ID, index=p4r.Index(index=1))),
        p4r.Entity(direct_counter_entry=p4r.DirectCounterEntry(table_entry=exact_entry(1))),
        p4r.Entity(meter_entry=p4r.MeterEntry(meter_id=METER_ID, index=p4r.Index(index=1), config=config)),
        p4r.Entity(direct_meter_entry=p4r.DirectMeterEntry(table_entry=exact_entry(1), config=config)),
        p4r.Entity(packet_replication_engine_entry=pre(multicast_group_entry=multicast)),
        p4r.Entity(packet_replication_engine_entry=pre(clone_session_entry=session)),
        p4r.Entity(value_set_entry=p4r.ValueSetEntry(value_set_id=1)),
        p4r.Entity(register_entry=cell),
        p4r.Entity(digest_entry=p4r.DigestEntry(digest_id=1)),
    ]


def seeds(rng: random.Random) -> list[Message]:
    found: list[Message] = []
    every = entities()
    for _ in range(60):
        request = p4r.WriteRequest(device_id=DEVICE_ID, election_id=p4r.Uint128(low=10))
        request.atomicity = p4r.WriteRequest.Atomicity.ValueType(rng.choice((0, 0, 1, 2)))
        for entity in rng.choices(every, k=rng.randint(1, 4)):
            request.updates.add(type=p4r.Update.Type.ValueType(rng.randint(1, 3)), entity=entity)
        found.append(request)
    for _ in range(15):
        found.append(p4r.ReadRequest(device_id=DEVICE_ID, entities=rng.choices(every, k=rng.randint(1, 3))))
    packet = p4r.PacketOut(payload=bytes(80))
    packet.metadata.add(metadata_id=1, value=b"\x01")
    for update in ({"packet": packet}, {"digest_ack": p4r.DigestListAck(digest_id=1, list_id=1)}, {}):
        found.append(p4r.StreamMessageRequest(**update))
    found.append(p4r.GetForwardingPipelineConfigRequest(device_id=DEVICE_ID))
    found.append(p4r.CapabilitiesRequest())
    return found


def deliver(switch: Harness, kind: type[Message], data: bytes) -> None:
    """As the server does."""
    device = switch.device
    if kind is p4r.WriteRequest:
        device.write_bytes(data)
        return
    try:
        message = kind.FromString(data)
    except DecodeError:
        return
    match message:
        case p4r.ReadRequest():
            chunks, error = device.read(message)
            for chunk in chunks:
                p4r.ReadResponse.FromString(chunk)
            if error is not None:
                raise error
        case p4r.GetForwardingPipelineConfigRequest():
            device.get_config(message)
        case p4r.CapabilitiesRequest():
            device.capabilities(message)
        case p4r.StreamMessageRequest():
            if message.WhichOneof("update") != "arbitration":
                device.stream_message(switch.client, message)


def check_refusal(error: P4Error, data: bytes) -> None:
    for item in error.errors if isinstance(error, BatchError) else [error]:
        assert item is None or (item.code != Code.INTERNAL and str(item)), (item, data)


def fuzz_messages(dataplane: MemoryDataplane | PortedNativeDataplane, count: int) -> None:
    """Delivers so many mutated messages, and then a right one."""
    rng = random.Random(20)
    switch = Harness(dataplane=dataplane)
    messages = seeds(rng)
    for number in range(count):
        message = choose(rng, messages)
        data = mutated(rng, message)
        try:
            deliver(switch, type(message), data)
        except P4Error as error:
            check_refusal(error, data)
        received(switch.client)
        if number % 1000 == 0:  # start afresh, so that what is refused for being there already is written again
            switch.set_config()
    switch.set_config()
    switch.insert(table(exact_entry(1)))
    assert switch.entries(exact_entry(1).table_id) == [exact_entry(1)]
    dataplane.close()


@pytest.mark.parametrize("make", [MemoryDataplane, PortedNativeDataplane])
def test_mutated_messages(make: Callable[[], MemoryDataplane | PortedNativeDataplane]) -> None:
    fuzz_messages(make(), MESSAGES // 2)


_SANITIZED = """
from tests.p4switch.conftest import PortedNativeDataplane
from tests.p4switch.test_fuzz import fuzz_messages
fuzz_messages(PortedNativeDataplane(), 1500)
print("done")
"""


def test_mutated_messages_under_the_sanitizers() -> None:
    libraries = sanitizer_libraries()
    if libraries is None:
        pytest.skip("the C compiler has no address sanitizer")
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "KULVERT_SANITIZE": "address,undefined",
        "LD_PRELOAD": libraries,
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter's own are not ours
        "PYTHONMALLOC": "malloc",
    }
    result = subprocess.run(
        [*fixed_addresses(), sys.executable, "-c", _SANITIZED],
        env=environment,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.endswith("done\n")


def test_mutated_configurations_are_refused_by_name_or_work() -> None:
    rng = random.Random(21)
    bmv2_json, p4info = compiled_with_info("state")
    state = p4r.ForwardingPipelineConfig(p4info=p4info, p4_device_config=bmv2_json)
    for _ in range(CONFIGS):
        config = p4r.ForwardingPipelineConfig()
        config.CopyFrom(rng.choice((state, make_config())))
        if rng.random() < 0.5:
            document = json.loads(config.p4_device_config)
            for _ in range(rng.choice((1, 1, 2))):
                change_json(rng, document)
            config.p4_device_config = json.dumps(document).encode()
        else:
            for _ in range(rng.choice((1, 1, 2))):
                change_field(rng, config.p4info)
        try:
            checked = PipelineConfig(config)
            Pipeline(checked, MemoryDataplane(checked.program))
            NativeDataplane.check(checked.bmv2_json)
        except P4Error as error:
            check_refusal(error, config.SerializeToString())
        except DataplaneError as error:
            assert str(error)
