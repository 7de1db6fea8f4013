"""What a traced switch tells of packets."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator

import pytest

from p4switch.bmv2.loader import load
from p4switch.codegen.program import generate
from p4switch.dataplane import Action, GroupMember, GroupRef, Match
from p4switch.native import NativeDataplane
from p4switch.native.trace import PacketTrace
from tests.p4switch.compiled import compiled
from tests.p4switch.test_cli import probe


@pytest.fixture(scope="module")
def traced() -> Iterator[tuple[NativeDataplane, queue.Queue[PacketTrace]]]:
    plane = NativeDataplane()
    told: queue.Queue[PacketTrace] = queue.Queue()
    plane.on_trace(told.put)
    plane.load(compiled("tools"))
    plane.insert_entry("I.routes", Match(b"\x0a\0\0\0", b"\xff\0\0\0"), Action("I.forward", b"\0\2"))
    rule = Match(b"\x0a\0\0\1\0\5\x10\x01", b"\xff" * 4 + b"\0\x09\xf0\1", 7)
    plane.insert_entry("I.rules", rule, Action("I.mark", bytes(26) + b"\x12\x34"))
    plane.insert_member("members", 3, Action("I.mirror", b""))
    plane.insert_group("members", 9, [GroupMember(3)])
    plane.insert_entry("I.balanced", Match(b"\4"), GroupRef(9))
    plane.set_clone_session(5, [(6, 0)])
    yield plane, told
    plane.close()


def test_hits_keys_arguments_and_copies(traced: tuple[NativeDataplane, queue.Queue[PacketTrace]]) -> None:
    plane, told = traced
    plane.inject(1, probe(0x0A000001, number=6, kind=0x11, index=4))
    trace = told.get(timeout=100)
    assert (trace.port, trace.length) == (1, 25)
    steps = [(step.what, step.name) for step in trace.steps]
    assert steps[:6] == [
        ("ingress", ""),
        ("state", "start"),
        ("table", "I.routes"),
        ("table", "I.rules"),
        ("table", "I.balanced"),
        ("table", "I.fixed"),
    ]
    assert steps[-6:] == [("clone", ""), ("state", "start"), ("egress", ""), ("out", ""), ("egress", ""), ("out", "")]
    routes, rules, balanced = (step.detail for step in trace.steps[2:5])
    assert routes["entry"] == {"hdr.probe.address": "0x0a000000/8"}
    assert (routes["action"], routes["args"]) == ("I.forward", {"port": "0x002"})
    assert rules["key"] == {
        "hdr.probe.address": "0x0a000001",
        "hdr.probe.number": "0x0006",
        "hdr.probe.kind": "0x11",
        "hdr.probe.$valid$": "0x1",
    }
    assert rules["entry"] == {
        "hdr.probe.address": "0x0a000001",
        "hdr.probe.number": "0x0005->0x0009",
        "hdr.probe.kind": "0x10&&&0xf0",
        "hdr.probe.$valid$": "0x1",
    }
    assert (rules["hit"], rules["priority"], balanced["group"], balanced["action"]) == (True, 7, 9, "I.mirror")
    assert trace.steps[2].source.endswith("tools.p4:58")
    assert [step.detail["port"] for step in trace.steps if step.what == "out"] == [6, 2]
    lines = trace.to_text().splitlines()
    assert (
        lines[3]
        .strip()
        .startswith("table I.routes [hdr.probe.address=0x0a000001] hit (hdr.probe.address=0x0a000000/8)")
    )
    assert json.loads(trace.to_json())["steps"][2]["detail"]["args"] == {"port": "0x002"}


def test_misses_and_parser_errors(traced: tuple[NativeDataplane, queue.Queue[PacketTrace]]) -> None:
    plane, told = traced
    plane.inject(1, b"ab")
    trace = told.get(timeout=100)
    assert ("parser error", "PacketTooShort") in [(step.what, step.name) for step in trace.steps]
    routes = next(step.detail for step in trace.steps if step.name == "I.routes")
    assert (routes["hit"], routes["action"]) == (False, "I.pass")
    assert "entry" not in routes


def test_drops_conditions_and_digests(traced: tuple[NativeDataplane, queue.Queue[PacketTrace]]) -> None:
    _, told = traced
    plane = NativeDataplane()
    plane.on_trace(told.put)
    plane.load(compiled("packets"))
    plane.inject(1, bytes(12) + b"\x88\xb5" + bytes(30))
    whats = [step.what for step in told.get(timeout=100).steps]
    assert "condition" in whats
    plane.close()


def test_code_that_is_not_traced_knows_nothing_of_it() -> None:
    program = load(compiled("tools"))
    plain, traced = generate(program), generate(program, traced=True)
    assert "TRACE_TABLE" not in plain
    assert "kv_trace" not in plain
    assert "KV_TRACE(KV_TRACE_STATE" in traced
    assert [line for line in traced.splitlines() if "race" not in line] != []


def test_a_default_member_is_used_on_a_miss(traced: tuple[NativeDataplane, queue.Queue[PacketTrace]]) -> None:
    plane, told = traced
    plane.set_default_action("I.balanced", GroupRef(9))
    assert [port for port, _ in plane.inject(1, probe(0x0A000001))] == [6, 2]
    balanced = next(step.detail for step in told.get(timeout=100).steps if step.name == "I.balanced")
    assert (balanced["hit"], balanced["group"], balanced["action"]) == (False, 9, "I.mirror")
    plane.set_default_action("I.balanced", None)
