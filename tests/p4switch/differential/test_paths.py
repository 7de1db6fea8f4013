"""Copies, clones, resubmissions and recirculations, digests, meters, registers, packets of the controller's: as in BMv2."""

from __future__ import annotations

import random
import time

import pytest

from p4base.messages import p4r
from tests.p4switch.compiled import compile_file
from tests.p4switch.differential.comparison import Comparison
from tests.p4switch.differential.conftest import PROGRAMS, ROUNDS, Sides
from tests.p4switch.differential.entries import PORTS, Writer, batches
from tests.p4switch.differential.frames import damaged, explain, header, header_types
from tests.p4switch.differential.replication import GROUPS, SESSIONS, Replication, digests_on, meter_updates
from tests.p4switch.differential.sides import CPU_PORT
from tests.p4switch.differential.values import Values, canonical

FRAMES = 60
WAYS = (
    *("clone", "clone_egress", "resubmit", "recirculate", "multicast", "drop", "learn", "cut", "keep", "keep_more"),
    *("no_list", "egress_drop", "to_cpu", "late_spec", "two_clones", "meter"),
)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_random_ways(seed: int, sides: Sides) -> None:
    bmv2_json, p4info = compile_file(PROGRAMS / "paths.p4")
    types = header_types(bmv2_json)
    rng = random.Random(seed)
    values = Values(rng)
    writer = Writer(p4info, values)
    replication = Replication(values)
    comparison = Comparison(*sides, p4info, bmv2_json)
    comparison.write(digests_on(p4info))
    came = learnt = controlled = 0

    def order() -> bytes:
        ways = dict.fromkeys(WAYS, 0)
        ways.update(dict.fromkeys(rng.sample(WAYS, rng.choice((0, 1, 1, 2, 2, 3, 4))), 1))
        group = rng.choice(GROUPS) | rng.choice((0, 0x40, 0xFF00))
        given = {"session": rng.choice(SESSIONS), "group": group, "length": rng.choice((0, 5, 14, 30, 60, 200))}
        report = bytes(types["report_t"].fixed_bits // 8)
        return header(values, types["order_t"], given | ways) + report + rng.randbytes(rng.randrange(20))

    def describe(packet: bytes) -> str:
        return explain(packet, types["order_t"], types["report_t"])

    for _ in range(3):
        for batch in batches(rng, replication.updates(12) + writer.table_updates(12)):
            comparison.write(batch)
        comparison.write(meter_updates(values, p4info, 8))
        came += comparison.process([(rng.choice(PORTS), damaged(values, order())) for _ in range(FRAMES)], describe)
        for _ in range(10):
            packet = p4r.PacketOut(payload=order())
            packet.metadata.add(metadata_id=1, value=canonical(CPU_PORT))
            packet.metadata.add(metadata_id=2, value=b"\x00")
            for side in sides:
                side.client.packet_out(packet)
            time.sleep(0.02)  # a resubmitted packet would let the next one overtake it, or not
        controlled += comparison.packet_ins()
        learnt += comparison.digests()
        comparison.read_everything()
        comparison.read_registers(bmv2_json)
    assert came > FRAMES
    assert learnt > 5
    assert controlled > 10
