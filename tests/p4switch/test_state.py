"""Meters, digests, value sets, idle timeouts, clones and copies: configured over P4Runtime, shown by packets."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from finsy.proto import stratum

from p4base.lookup import P4InfoIndex
from p4base.messages import p4d, p4i, p4r
from p4switch.service.arbitration import Client
from p4switch.service.errors import BatchError, Code, P4Error
from tests.p4switch.compiled import compiled_with_info
from tests.p4switch.conftest import PortedNativeDataplane
from tests.p4switch.harness import Harness, arbitration, in_order, received, table
from tests.p4switch.test_table_entry import refusal

CPU = 510
SECOND = 10**9
PATIENCE_S = 100.0


@pytest.fixture(scope="module")
def dataplane() -> Iterator[PortedNativeDataplane]:
    native = PortedNativeDataplane()
    yield native
    native.close()


@pytest.fixture
def state(dataplane: PortedNativeDataplane) -> State:
    return State(dataplane)


class State(Harness):
    """A device with the program `state`, by names."""

    def __init__(self, dataplane: PortedNativeDataplane) -> None:
        bmv2_json, p4info = compiled_with_info("state")
        self.index = P4InfoIndex(p4info)
        self.config = p4r.ForwardingPipelineConfig(p4info=p4info, p4_device_config=bmv2_json)
        self.native = dataplane
        super().__init__(configured=False, dataplane=dataplane)
        self.set_config(config=self.config)

    def id(self, kind: str, name: str) -> int:
        found: int = getattr(self.index, kind)[name].preamble.id
        return found

    def entry(self, name: str, address: int, action: str, *params: int) -> p4r.TableEntry:
        entry = p4r.TableEntry(table_id=self.id("tables", name))
        entry.match.add(field_id=1).exact.value = address.to_bytes(6, "big").lstrip(b"\0")
        entry.action.action.action_id = self.id("actions", action)
        for i, value in enumerate(params, 1):
            entry.action.action.params.add(param_id=i, value=bytes([value]))
        return entry

    def send(
        self, dst: int = 0x0A, src: int = 0x0B, kind: int = 0x0800, payload: bytes = bytes(46)
    ) -> list[tuple[int, bytes]]:
        frame = dst.to_bytes(6, "big") + src.to_bytes(6, "big") + kind.to_bytes(2, "big") + payload
        return self.native.inject(3, frame)

    def colours(self, count: int, dst: int = 0x0A) -> list[int]:
        """What the meter says to each of a burst of packets."""
        return [frame[11] for _ in range(count) for _, frame in self.send(dst=dst)]

    def messages(self, client: Client, kind: str, count: int = 1) -> list[p4r.StreamMessageResponse]:
        """Waits for stream messages."""
        found: list[p4r.StreamMessageResponse] = []
        deadline = time.monotonic() + PATIENCE_S
        while len(found) < count and time.monotonic() < deadline:
            found += [message for message in received(client) if message.WhichOneof("update") == kind]
            time.sleep(0.005)
        return found


# -- meters


def meter(state: State, index: int | None, cell: p4r.MeterEntry | None = None) -> p4r.Entity:
    entity = p4r.Entity(meter_entry=p4r.MeterEntry(meter_id=state.id("meters", "packet_meter")))
    if cell is not None:
        entity.meter_entry.MergeFrom(cell)
    if index is not None:
        entity.meter_entry.index.index = index
    return entity


RATES = p4r.MeterConfig(cir=0, cburst=2, pir=0, pburst=5)
"""Nothing comes into the buckets, however long the packets take."""


def test_a_meter_colours_packets_and_counts_the_colours(state: State) -> None:
    assert state.colours(3, dst=1) == [0, 0, 0]
    state.modify(meter(state, 1, p4r.MeterEntry(config=RATES)))
    assert state.colours(7, dst=1) == [0, 0, 1, 1, 1, 2, 2]
    assert state.colours(2, dst=2) == [0, 0]
    (cell,) = state.read(meter(state, 1, p4r.MeterEntry(counter_data=p4r.MeterCounterData())))
    assert cell.meter_entry.config == RATES
    counted = cell.meter_entry.counter_data
    assert [c.packet_count for c in (counted.green, counted.yellow, counted.red)] == [5, 3, 2]
    assert counted.red.byte_count == 120
    assert not state.read(meter(state, 1))[0].meter_entry.HasField("counter_data")
    state.modify(meter(state, 1, p4r.MeterEntry(config=RATES, counter_data=p4r.MeterCounterData())))
    (cell,) = state.read(meter(state, 1, p4r.MeterEntry(counter_data=p4r.MeterCounterData())))
    assert cell.meter_entry.counter_data.red.packet_count == 0
    state.modify(meter(state, 1))
    assert not state.read(meter(state, 1))[0].meter_entry.HasField("config")
    assert state.colours(9, dst=1) == [0] * 9


def test_a_meter_without_an_index_is_all_of_its_cells(state: State) -> None:
    state.modify(meter(state, None, p4r.MeterEntry(config=RATES)))
    cells = state.read(meter(state, None))
    assert [cell.meter_entry.index.index for cell in cells] == list(range(8))
    assert all(cell.meter_entry.config == RATES for cell in cells)
    assert state.read(p4r.Entity(meter_entry=p4r.MeterEntry())) == cells


@pytest.mark.parametrize(
    ("index", "config", "code", "words"),
    [
        (8, RATES, Code.OUT_OF_RANGE, "index 8, expected 0 to 7"),
        (-1, RATES, Code.INVALID_ARGUMENT, "negative"),
        (0, p4r.MeterConfig(cir=-1), Code.INVALID_ARGUMENT, "cir -1 is negative"),
        (0, p4r.MeterConfig(cir=2, pir=1), Code.INVALID_ARGUMENT, "pir 1 is below cir 2"),
        (0, p4r.MeterConfig(eburst=1), Code.INVALID_ARGUMENT, "eburst"),
    ],
)
def test_bad_meters(state: State, index: int, config: p4r.MeterConfig, code: Code, words: str) -> None:
    given, message = refusal(lambda: state.modify(meter(state, index, p4r.MeterEntry(config=config))))
    assert given == code
    assert "state_ingress.packet_meter" in message and words in message
    assert refusal(lambda: state.insert(meter(state, 0)))[0] == Code.INVALID_ARGUMENT


def test_a_direct_meter_comes_and_goes_with_its_entry(state: State) -> None:
    entry = state.entry("limit", 0x0B, "metered", 1)
    entry.meter_config.CopyFrom(p4r.MeterConfig(cir=60, cburst=60, pir=60, pburst=120))
    state.insert(table(entry))
    assert state.colours(4) == [0, 1, 2, 2]
    request = p4r.TableEntry(table_id=entry.table_id, meter_config=p4r.MeterConfig())
    request.meter_counter_data.SetInParent()
    request.counter_data.SetInParent()
    (found,) = state.read(table(request))
    assert found.table_entry.meter_config == entry.meter_config
    assert found.table_entry.meter_counter_data.red.packet_count == 2
    assert found.table_entry.counter_data.packet_count == 4
    direct = p4r.Entity(direct_meter_entry=p4r.DirectMeterEntry(table_entry=p4r.TableEntry(table_id=entry.table_id)))
    direct.direct_meter_entry.table_entry.match.extend(entry.match)
    assert state.read(direct)[0].direct_meter_entry.config == entry.meter_config
    state.modify(direct)
    assert state.colours(2) == [0, 0]
    entry.ClearField("meter_config")
    direct.direct_meter_entry.config.CopyFrom(RATES)
    state.modify(direct)
    state.modify(table(entry))
    assert not state.read(direct)[0].direct_meter_entry.HasField("config")
    state.delete(table(entry))
    assert refusal(lambda: state.modify(direct))[0] == Code.NOT_FOUND


@pytest.mark.parametrize(
    ("kind", "config", "colours"),
    [
        ("SINGLE_RATE_THREE_COLOR", p4r.MeterConfig(cburst=2, pburst=2, eburst=3), [0, 0, 1, 1, 1, 2, 2]),
        ("SINGLE_RATE_TWO_COLOR", p4r.MeterConfig(cburst=2, pburst=2), [0, 0, 2, 2]),
        ("TWO_RATE_THREE_COLOR", p4r.MeterConfig(cburst=2, pburst=2), [0, 0, 2, 2]),
    ],
)
def test_single_rate_meters(state: State, kind: str, config: p4r.MeterConfig, colours: list[int]) -> None:
    changed = p4r.ForwardingPipelineConfig()
    changed.CopyFrom(state.config)
    changed.p4info.meters[0].spec.type = p4i.MeterSpec.Type.Value(kind)
    state.set_config(config=changed)
    state.modify(meter(state, 1, p4r.MeterEntry(config=config)))
    assert state.colours(len(colours), dst=1) == colours
    assert state.read(meter(state, 1))[0].meter_entry.config == config
    if kind != "TWO_RATE_THREE_COLOR":
        unequal = p4r.MeterConfig(cir=1, cburst=2, pir=2, pburst=2)
        code, message = refusal(lambda: state.modify(meter(state, 1, p4r.MeterEntry(config=unequal))))
        assert code == Code.INVALID_ARGUMENT
        assert "single rate" in message


# -- value sets


def value_set(state: State, name: str, *members: list[p4r.FieldMatch]) -> p4r.Entity:
    entity = p4r.Entity(value_set_entry=p4r.ValueSetEntry(value_set_id=state.id("value_sets", name)))
    for member in members:
        entity.value_set_entry.members.add(match=member)
    return entity


def exact(field_id: int, value: int) -> p4r.FieldMatch:
    return p4r.FieldMatch(field_id=field_id, exact=p4r.FieldMatch.Exact(value=value.to_bytes(2, "big").lstrip(b"\0")))


def is_marked(state: State, kind: int, dst: int = 0x0A) -> bool:
    ((_, frame),) = state.send(kind=kind, dst=dst)
    return frame[14] == 0xEE


def test_a_value_set_decides_what_is_parsed(state: State) -> None:
    name = "state_parser.marked_kinds"
    assert not is_marked(state, 0x22F3)
    members = value_set(state, name, [exact(1, 0x22F3)], [exact(1, 0x893B)])
    state.modify(members)
    assert state.read(members) == [members]
    assert [is_marked(state, kind) for kind in (0x22F3, 0x893B, 0x22F4)] == [True, True, False]
    assert value_set(state, "state_parser.odd_kinds") in state.read(p4r.Entity(value_set_entry=p4r.ValueSetEntry()))
    five = [[exact(1, 0x22F3 + i)] for i in range(5)]
    assert refusal(lambda: state.modify(value_set(state, name, *five)))[0] == Code.RESOURCE_EXHAUSTED
    assert refusal(lambda: state.modify(value_set(state, name, five[0], five[0])))[0] == Code.ALREADY_EXISTS
    assert refusal(lambda: state.insert(members))[0] == Code.INVALID_ARGUMENT
    assert "no key field with id 2" in refusal(lambda: state.modify(value_set(state, name, [exact(2, 1)])))[1]
    assert state.read(members) == [members]
    state.modify(value_set(state, name))
    assert not is_marked(state, 0x22F3)


def test_a_value_set_with_a_masked_field(state: State) -> None:
    odd = p4r.FieldMatch(field_id=2, ternary=p4r.FieldMatch.Ternary(value=b"\x01", mask=b"\x01"))
    members = value_set(state, "state_parser.odd_kinds", [exact(1, 0x1234), odd], [exact(1, 0x4321)])
    state.modify(members)
    assert state.read(members) == [members]
    assert [is_marked(state, 0x1234, dst) for dst in (0x10, 0x11, 0x12, 0x13)] == [False, True, False, True]
    assert is_marked(state, 0x4321, 0x10)


# -- digests


def digest(state: State, **config: int) -> p4r.Entity:
    entry = p4r.DigestEntry(digest_id=state.id("digests", "learned_t"), config=p4r.DigestEntry.Config(**config))
    return p4r.Entity(digest_entry=entry)


def learned(message: p4r.StreamMessageResponse) -> list[int]:
    return [int.from_bytes(sample.struct.members[0].bitstring, "big") for sample in message.digest.data]


def acknowledge(state: State, client: Client, message: p4r.StreamMessageResponse) -> None:
    ack = p4r.DigestListAck(digest_id=message.digest.digest_id, list_id=message.digest.list_id)
    state.device.stream_message(client, p4r.StreamMessageRequest(digest_ack=ack))


def test_digests_are_gathered_sent_and_held_back_until_acknowledged(state: State) -> None:
    state.insert(table(state.entry("forward", 1, "learn")))
    state.send(dst=1, src=99)  # before it is enabled
    state.insert(digest(state, max_timeout_ns=20 * SECOND, max_list_size=2, ack_timeout_ns=60 * SECOND))
    for src in (1, 1, 2, 1, 2):
        state.send(dst=1, src=src)
    (first,) = state.messages(state.client, "digest")
    assert learned(first) == [1, 2]
    assert first.digest.timestamp > 1_700_000_000 * SECOND
    assert first.digest.data[0] == p4d.P4Data(
        struct=p4d.P4StructLike(
            members=[p4d.P4Data(bitstring=b"\x01"), p4d.P4Data(bitstring=b"\x03"), p4d.P4Data(bool=False)]
        )
    )
    state.send(dst=1, src=3)
    acknowledge(state, state.client, first)
    state.send(dst=1, src=1)
    (second,) = state.messages(state.client, "digest")
    assert learned(second) == [3, 1]
    assert second.digest.list_id != first.digest.list_id
    acknowledge(state, state.client, first)
    (error,) = state.messages(state.client, "error")
    assert error.error.canonical_code == Code.NOT_FOUND
    assert error.error.digest_list_ack.digest_list_ack.list_id == first.digest.list_id


def test_a_digest_waits_no_longer_than_it_may(state: State) -> None:
    state.insert(table(state.entry("forward", 1, "learn")))
    state.insert(digest(state, max_timeout_ns=SECOND // 20, max_list_size=100, ack_timeout_ns=SECOND // 10))
    state.send(dst=1, src=1)
    assert learned(state.messages(state.client, "digest")[0]) == [1]
    state.send(dst=1, src=1)
    time.sleep(0.15)  # the acknowledgement's time
    state.send(dst=1, src=1)
    assert learned(state.messages(state.client, "digest")[0]) == [1]
    state.modify(digest(state))  # each sample at once, none held back
    for _ in range(2):
        state.send(dst=1, src=1)
        assert learned(state.messages(state.client, "digest")[0]) == [1]


def test_the_configuration_of_a_digest(state: State) -> None:
    entity = digest(state, max_timeout_ns=SECOND, max_list_size=3)
    assert refusal(lambda: state.modify(entity))[0] == Code.NOT_FOUND
    assert refusal(lambda: state.insert(digest(state, max_list_size=-1)))[0] == Code.INVALID_ARGUMENT
    state.insert(entity)
    assert refusal(lambda: state.insert(entity))[0] == Code.ALREADY_EXISTS
    assert state.read(p4r.Entity(digest_entry=p4r.DigestEntry())) == [entity]
    state.delete(entity)
    assert state.read(entity) == []


def test_a_digest_that_nobody_took_is_sent_to_the_next_primary(state: State) -> None:
    state.insert(table(state.entry("forward", 1, "learn")))
    state.insert(digest(state, ack_timeout_ns=60 * SECOND))
    state.device.arbiter.remove(state.client)
    state.send(dst=1, src=5)
    time.sleep(0.2)
    newcomer = Client()
    state.device.stream_message(newcomer, arbitration(state.election_id))
    state.send(dst=1, src=5)
    assert learned(state.messages(newcomer, "digest")[0]) == [5]


def test_notifications_reach_the_roles_that_have_their_objects(state: State) -> None:
    clients = {}
    for name, ids in (("learner", [state.id("digests", "learned_t")]), ("other", [state.id("tables", "limit")])):
        request = arbitration(3, role=name)
        request.arbitration.role.config.Pack(stratum.P4RoleConfig(exclusive_p4_ids=ids))
        clients[name] = Client()
        state.device.stream_message(clients[name], request)
    aged = state.entry("forward", 2, "send", 2)
    aged.idle_timeout_ns = SECOND // 50
    state.insert(table(state.entry("forward", 1, "learn")), table(aged), digest(state))
    state.send(dst=1, src=5)
    assert learned(state.messages(clients["learner"], "digest")[0]) == [5]
    assert learned(state.messages(state.client, "digest")[0]) == [5]
    assert state.messages(state.client, "idle_timeout_notification")
    assert {m.WhichOneof("update") for m in received(clients["learner"])} <= {"digest", "arbitration"}
    assert {m.WhichOneof("update") for m in received(clients["other"])} == {"arbitration"}


# -- idle timeouts


def test_an_idle_entry_is_reported_again_and_again_and_stays(state: State) -> None:
    entry = state.entry("forward", 0x0A, "send", 2)
    entry.idle_timeout_ns = SECOND // 10
    entry.metadata, entry.controller_metadata = b"mine", 5
    quiet = state.entry("forward", 0x0C, "send", 2)
    state.insert(table(entry), table(quiet))
    messages = state.messages(state.client, "idle_timeout_notification", 2)
    assert len(messages) >= 2
    for message in messages:
        assert list(message.idle_timeout_notification.table_entry) == [entry]
        assert message.idle_timeout_notification.timestamp > 1_700_000_000 * SECOND
    assert {e.match[0].exact.value for e in state.entries(entry.table_id)} == {b"\x0a", b"\x0c"}
    entry.idle_timeout_ns = 0
    state.modify(table(entry))
    other = state.entry("forward", 0x0E, "send", 2)
    other.idle_timeout_ns = SECOND // 10
    state.insert(table(other))

    def reported() -> list[list[p4r.TableEntry]]:
        messages = state.messages(state.client, "idle_timeout_notification")
        return [list(message.idle_timeout_notification.table_entry) for message in messages]

    while [other] not in reported():
        pass  # one of the first entry may have been on its way
    later: list[list[p4r.TableEntry]] = []
    while len(later) < 3:
        later += reported()
    assert all(entries == [other] for entries in later)


def test_a_hit_keeps_an_entry_from_being_idle(state: State) -> None:
    entry = state.entry("forward", 0x0A, "send", 2)
    entry.idle_timeout_ns = 2 * SECOND
    state.insert(table(entry))
    request = p4r.TableEntry(table_id=entry.table_id, time_since_last_hit=p4r.TableEntry.IdleTimeout())
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        assert state.send(dst=0x0A)[0][0] == 2
        time.sleep(0.02)
    assert received(state.client) == []
    time.sleep(0.1)
    (found,) = state.read(table(request))
    assert 0.1 * SECOND <= found.table_entry.time_since_last_hit.elapsed_ns < 100 * SECOND
    assert not state.entries(entry.table_id)[0].HasField("time_since_last_hit")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state, entry: setattr(entry, "idle_timeout_ns", -1), "negative"),
        (lambda state, entry: entry.time_since_last_hit.SetInParent(), "time_since_last_hit must be unset"),
        (
            lambda state, entry: entry.CopyFrom(_with_timeout(state.entry("limit", 1, "metered", 1))),
            "does not support idle timeouts",
        ),
    ],
)
def test_bad_timeouts(state: State, change: Callable[[State, p4r.TableEntry], None], words: str) -> None:
    entry = state.entry("forward", 0x0A, "send", 2)
    change(state, entry)
    code, message = refusal(lambda: state.insert(table(entry)))
    assert code == Code.INVALID_ARGUMENT
    assert words in message


def _with_timeout(entry: p4r.TableEntry) -> p4r.TableEntry:
    entry.idle_timeout_ns = SECOND
    return entry


# -- copies


def test_a_clone_gets_its_sessions_class_of_service_and_length(state: State) -> None:
    session = p4r.CloneSessionEntry(session_id=7, class_of_service=5, packet_length_bytes=20)
    session.replicas.add(port=b"\x04", instance=9)
    entity = p4r.Entity(packet_replication_engine_entry=p4r.PacketReplicationEngineEntry(clone_session_entry=session))
    state.insert(entity, table(state.entry("forward", 0x0A, "mirror")))
    ((port, frame),) = state.send()
    assert (port, len(frame), frame[9], frame[10]) == (4, 20, 5, 9)
    assert state.read(entity) == [entity]


def test_a_backup_replica_stands_in_while_the_port_is_down(state: State) -> None:
    group = p4r.MulticastGroupEntry(multicast_group_id=3, metadata=b"note")
    replica = group.replicas.add(port=b"\x01", instance=1)  # no such interface here, so that it is down
    replica.backup_replicas.add(port=b"\x02", instance=2)
    replica.backup_replicas.add(port=CPU.to_bytes(2, "big"), instance=3)
    group.replicas.add(port=b"\x02", instance=4)
    entity = p4r.Entity(packet_replication_engine_entry=p4r.PacketReplicationEngineEntry(multicast_group_entry=group))
    state.insert(entity, table(state.entry("forward", 0x0A, "copy", 3)))
    assert [(port, frame[10]) for port, frame in state.send()] == [(CPU, 3), (2, 4)]
    assert state.read(entity) == [entity]


# -- configurations


def test_what_the_data_plane_cannot_run_is_refused_by_name_and_the_old_program_stays(state: State) -> None:
    bad = p4r.ForwardingPipelineConfig()
    bad.CopyFrom(state.config)
    document = json.loads(bad.p4_device_config)
    (action,) = (item for item in document["actions"] if item["name"] == "state_ingress.mirror")
    action["primitives"][0]["op"] = "nonsense"
    bad.p4_device_config = json.dumps(document).encode()
    state.insert(table(state.entry("forward", 0x0A, "send", 2)))
    actions = p4r.SetForwardingPipelineConfigRequest
    for how in (actions.VERIFY, actions.VERIFY_AND_SAVE, actions.VERIFY_AND_COMMIT, actions.RECONCILE_AND_COMMIT):
        with pytest.raises(P4Error, match=r"nonsense") as caught:
            state.set_config(how, bad)
        assert caught.value.code == Code.INVALID_ARGUMENT
        assert "state_ingress.mirror" in str(caught.value)
    assert state.send()[0][0] == 2
    assert len(state.entries(state.id("tables", "forward"))) == 1


# -- batches


def test_packets_see_an_atomic_batch_wholly_or_not_at_all(state: State) -> None:
    """Two tables in turn: an entry in the first hides the second's. A batch moves the packet between ports 1, 2 and 4."""
    first, second = state.entry("forward", 0x0A, "send", 2), state.entry("limit", 0x0B, "metered", 4)
    state.insert(table(first))
    stop = threading.Event()
    seen: set[int] = set()

    def watch() -> None:
        while not stop.is_set():
            seen.update(port for port, _ in state.send())

    watcher = threading.Thread(target=watch)
    watcher.start()
    atomic = p4r.WriteRequest.DATAPLANE_ATOMIC
    try:
        for _ in range(200):
            state.write((p4r.Update.DELETE, table(first)), (p4r.Update.INSERT, table(second)), atomicity=atomic)
            state.write((p4r.Update.DELETE, table(second)), (p4r.Update.INSERT, table(first)), atomicity=atomic)
            with pytest.raises(BatchError):
                state.write((p4r.Update.DELETE, table(first)), (p4r.Update.DELETE, table(second)), atomicity=atomic)
    finally:
        stop.set()
        watcher.join()
    assert seen == {2, 4}  # 1 is where packets without an entry go


def test_roll_back_restores_every_kind(state: State) -> None:
    members = value_set(state, "state_parser.marked_kinds", [exact(1, 0x22F3)])
    learning = digest(state, max_timeout_ns=SECOND, max_list_size=3)
    metered = state.entry("limit", 0x0B, "metered", 1)
    metered.meter_config.CopyFrom(RATES)
    aged = _with_timeout(state.entry("forward", 0x0A, "send", 2))
    aged.metadata = b"mine"
    register = p4r.RegisterEntry(register_id=state.id("registers", "cells"), data=p4d.P4Data(bitstring=b"\x07"))
    cells = p4r.Entity(register_entry=register)
    rates = meter(state, 2, p4r.MeterEntry(config=RATES))
    state.insert(learning, table(metered), table(aged))
    state.modify(members, rates, cells)

    def everything() -> list[p4r.Entity]:
        tables = p4r.TableEntry(meter_config=p4r.MeterConfig(), counter_data=p4r.CounterData())
        kinds = [
            table(tables),
            p4r.Entity(value_set_entry=p4r.ValueSetEntry()),
            p4r.Entity(digest_entry=p4r.DigestEntry()),
            p4r.Entity(register_entry=p4r.RegisterEntry()),
            meter(state, None),
        ]
        return sorted(state.read(*kinds), key=lambda e: e.SerializeToString(deterministic=True))

    before = everything()
    plain_metered, plain_aged = p4r.TableEntry(), p4r.TableEntry()
    plain_metered.CopyFrom(metered)
    plain_metered.ClearField("meter_config")
    plain_aged.CopyFrom(aged)
    plain_aged.ClearField("metadata")
    plain_aged.idle_timeout_ns = 0
    zero = p4r.Entity()
    zero.CopyFrom(cells)
    zero.register_entry.data.bitstring = b"\x00"
    with pytest.raises(BatchError):
        state.write(
            (p4r.Update.MODIFY, value_set(state, "state_parser.marked_kinds")),
            (p4r.Update.MODIFY, meter(state, None)),
            (p4r.Update.MODIFY, zero),
            (p4r.Update.DELETE, learning),
            (p4r.Update.MODIFY, table(plain_metered)),
            (p4r.Update.MODIFY, table(plain_aged)),
            (p4r.Update.DELETE, table(metered)),
            (p4r.Update.DELETE, table(aged)),
            (p4r.Update.DELETE, table(aged)),
            atomicity=p4r.WriteRequest.ROLLBACK_ON_ERROR,
        )
    assert everything() == before


def test_reconciling_keeps_every_kind(state: State) -> None:
    members = value_set(state, "state_parser.marked_kinds", [exact(1, 0x22F3)])
    learning = digest(state, max_list_size=3)
    metered = state.entry("limit", 0x0B, "metered", 1)
    metered.meter_config.CopyFrom(RATES)
    aged = _with_timeout(state.entry("forward", 0x0A, "send", 2))
    many = [state.entry("forward", 0x100 + i, "send", 2) for i in range(100)]
    state.insert(learning, table(metered), table(aged), *(table(entry) for entry in many))
    state.modify(members, meter(state, 2, p4r.MeterEntry(config=RATES)))
    register = p4r.RegisterEntry(register_id=state.id("registers", "cells"), index=p4r.Index(index=2))
    register.data.bitstring = b"\x07"
    state.modify(p4r.Entity(register_entry=register))
    other = p4r.ForwardingPipelineConfig()
    other.CopyFrom(state.config)
    other.p4_device_config = state.config.p4_device_config + b"\n"
    state.set_config(p4r.SetForwardingPipelineConfigRequest.RECONCILE_AND_COMMIT, other)
    assert state.read(members) == [members]
    assert state.read(learning) == [learning]
    assert in_order(state.entries(aged.table_id)) == in_order([aged, *many])
    assert state.read(p4r.Entity(register_entry=register))[0].register_entry == register
    request = p4r.TableEntry(table_id=metered.table_id, meter_config=p4r.MeterConfig())
    assert state.read(table(request)) == [table(metered)]
    assert state.read(meter(state, 2))[0].meter_entry.config == RATES
