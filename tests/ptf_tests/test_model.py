"""The model of the contract against the switch in memory: they agree, and a disagreement is found and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from scapy.packet import Packet as Frame

from controlplane.desired import services
from kulvert.build import build
from ptf_tests.memory import MemoryNode, ample_target, memory_node
from ptf_tests.model.contract import Complaint, Contract, Delivery, FlowKey, Outcome, Packet
from ptf_tests.model.drive import Disagreement, Drive, every
from ptf_tests.model.scenarios import FLOWS, scenario

_SEEDS = range(5000, 5008)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryNode]:
    with memory_node(build(ample_target(), tmp_path_factory.mktemp("pipeline"), "kulvert")) as found:
        yield found


def test_random_flows_keep_the_contract(node: MemoryNode) -> None:
    assert every(node, map(scenario, _SEEDS)) == FLOWS * len(_SEEDS)


def test_icmp_errors_of_every_sort_are_sent(node: MemoryNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passed as they are, translated, by a router on the way, crafted."""
    seen: Counter[str] = Counter()
    judge = Contract.complained

    def look(contract: Contract, complaint: Complaint) -> tuple[Outcome, FlowKey]:
        outcome, sent = judge(contract, complaint)
        if isinstance(outcome, Delivery):
            seen["translated" if sent != complaint.received else "plain"] += 1
            seen["router"] += complaint.src != complaint.received[1].address
        else:
            seen["dropped"] += 1
        return outcome, sent

    monkeypatch.setattr(Contract, "complained", look)
    every(node, map(scenario, range(3)))
    assert min(seen[sort] for sort in ("translated", "plain", "router", "dropped")) > 0, seen


def test_fragments_are_sent(node: MemoryNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fragments that pass and that do not, and a contract that lets the wrong ones pass is contradicted."""
    seen: list[bool] = []
    follow = Drive._follow

    def look(
        drive: Drive, packet: Packet, allowed: list[Outcome], frame: Frame, wanted: list[tuple[int, bytes]], number: int
    ) -> None:
        seen.append(bool(wanted))
        follow(drive, packet, allowed, frame, wanted, number)

    monkeypatch.setattr(Drive, "_follow", look)
    every(node, map(scenario, range(3)))
    assert seen.count(True) == 4 * seen.count(False) > 0

    def differ(
        drive: Drive, packet: Packet, allowed: list[Outcome], frame: Frame, wanted: list[tuple[int, bytes]], number: int
    ) -> None:
        follow(drive, packet, allowed, frame, wanted or [(packet.port, b"")], number)

    monkeypatch.setattr(Drive, "_follow", differ)
    with pytest.raises(Disagreement):
        every(node, map(scenario, range(3)))


def test_a_scenario_is_its_seed_s() -> None:
    assert scenario(7) == scenario(7) != scenario(8)


def test_a_disagreement_is_reduced_and_told(node: MemoryNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """The derivation takes every endpoint for usable."""
    monkeypatch.setattr(services, "usable", lambda found, place: list(found))
    with pytest.raises(Disagreement) as raised:
        every(node, map(scenario, range(40)))
    story = str(raised.value)
    assert "reduced to:" in story and "allowed " in story, story
    assert '"kind": "EndpointSlice"' in story and "service_frontend_table" in story, story
    assert story.count("Open(") == 1, "the other flows are left out"


def test_an_error_that_is_told_wrongly_is_noticed(node: MemoryNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another contract: a router on the way takes the place of the packet's destination."""
    judge = Contract.complained

    def differ(contract: Contract, complaint: Complaint) -> tuple[Outcome, FlowKey]:
        return judge(contract, replace(complaint, src=complaint.received[1].address))

    monkeypatch.setattr(Contract, "complained", differ)
    with pytest.raises(Disagreement, match=r"Complaint\("):
        every(node, map(scenario, range(40)))


def test_the_switch_is_clean_after_a_scenario(node: MemoryNode) -> None:
    every(node, [scenario(1)])
    occupancy = node.dataplane.occupancy()
    assert occupancy is not None
    left = {name: count for name, (count, _) in occupancy.tables.items() if count and not name.startswith("tbl_")}
    assert not {name for name in left if "sctp" not in name}, left
