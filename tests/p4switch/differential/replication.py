"""Random multicast groups, clone sessions, meters, and what switches digests on."""

from __future__ import annotations

from p4base.messages import p4i, p4r
from tests.p4switch.differential.sides import CPU_PORT
from tests.p4switch.differential.values import Values

INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE
GROUPS = range(1, 6)
SESSIONS = range(1, 6)
OUT_PORTS = (0, 1, 2, 3, 4, 5, 6, CPU_PORT)


class Replication:
    """Makes updates of the packet replication engine, and remembers what there is."""

    def __init__(self, values: Values) -> None:
        self.rng = values.rng
        self._groups: set[int] = set()
        self._sessions: set[int] = set()

    def updates(self, count: int) -> list[p4r.Update]:
        return [self._group() if self.rng.random() < 0.5 else self._session() for _ in range(count)]

    def _kind(self, number: int, known: set[int]) -> p4r.Update.Type.ValueType:
        if number not in known:
            known.add(number)
            return INSERT
        if self.rng.random() < 0.6:
            return MODIFY
        known.remove(number)
        return DELETE

    def _replicas(self, most: int) -> list[tuple[int, int]]:
        pairs = [(port, instance) for port in OUT_PORTS for instance in (0, 1, 2, 65535)]
        return self.rng.sample(pairs, self.rng.randint(1, most))

    def _group(self) -> p4r.Update:
        number = self.rng.choice(GROUPS)
        group = p4r.MulticastGroupEntry(multicast_group_id=number)
        for port, instance in self._replicas(4):
            group.replicas.add(egress_port=port, instance=instance)
        entry = p4r.PacketReplicationEngineEntry(multicast_group_entry=group)
        return p4r.Update(
            type=self._kind(number, self._groups), entity=p4r.Entity(packet_replication_engine_entry=entry)
        )

    def _session(self) -> p4r.Update:
        number = self.rng.choice(SESSIONS)
        session = p4r.CloneSessionEntry(session_id=number)  # BMv2 takes no packet_length_bytes here
        for port, instance in self._replicas(3):
            session.replicas.add(egress_port=port, instance=instance)
        entry = p4r.PacketReplicationEngineEntry(clone_session_entry=session)
        return p4r.Update(
            type=self._kind(number, self._sessions), entity=p4r.Entity(packet_replication_engine_entry=entry)
        )


def digests_on(p4info: p4i.P4Info) -> list[p4r.Update]:
    """Every digest, each sample as a list of its own, and never again."""
    config = p4r.DigestEntry.Config(max_timeout_ns=0, max_list_size=1, ack_timeout_ns=3600 * 10**9)
    return [
        p4r.Update(
            type=INSERT,
            entity=p4r.Entity(digest_entry=p4r.DigestEntry(digest_id=digest.preamble.id, config=config)),
        )
        for digest in p4info.digests
    ]


def meter_updates(values: Values, p4info: p4i.P4Info, size: int) -> list[p4r.Update]:
    """Meters whose buckets are filled once and so slowly again that a test sees nothing of it."""
    rng = values.rng
    updates = []
    for meter in p4info.meters:
        for index in rng.sample(range(size), size // 2):
            bytes_ = meter.spec.unit == p4i.MeterSpec.BYTES
            committed = rng.randint(1, 600) if bytes_ else rng.randint(1, 6)
            config = p4r.MeterConfig(cir=0, cburst=committed, pir=0, pburst=committed + rng.randint(0, committed))
            entry = p4r.MeterEntry(meter_id=meter.preamble.id, index=p4r.Index(index=index), config=config)
            updates.append(p4r.Update(type=MODIFY, entity=p4r.Entity(meter_entry=entry)))
    return updates
