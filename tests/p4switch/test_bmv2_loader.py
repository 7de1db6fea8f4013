"""A BMv2 JSON that cannot be run is refused with a message that names the object."""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from p4switch.bmv2.errors import JsonError
from p4switch.bmv2.loader import load
from p4switch.codegen.program import generate
from p4switch.dataplane import Status
from tests.p4switch.bmv2_builder import Document, Json, assign, hexstr, op, ref
from tests.p4switch.compiled import compiled


def document() -> Json:
    program = Document(headers={"h": [("a", 8), ("b", 16)]})
    miss = program.action("NoAction", [], [])
    hit = program.action("set_a", [("value", 8)], [assign(ref("h", "a"), {"type": "runtime_data", "value": 0})])
    program.table("ingress.t", "exact", [("exact", "h", "b")], [miss, hit])
    made: Json = json.loads(program.encode())
    return made


def refusal(change: Callable[[Json], Any]) -> str:
    made = document()
    change(made)
    with pytest.raises(JsonError) as caught:
        generate(load(json.dumps(made).encode()))
    assert caught.value.status is Status.INVALID_ARGUMENT
    return str(caught.value)


def table(made: Json) -> Json:
    found: Json = made["pipelines"][0]["tables"][0]
    return found


def set_primitive(made: Json, primitive: Json) -> None:
    made["actions"][1]["primitives"] = [primitive]


def test_the_unchanged_document_is_fine() -> None:
    assert "kv_program" in generate(load(json.dumps(document()).encode()))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"headers": 1}'])
def test_malformed_json(data: bytes) -> None:
    with pytest.raises(JsonError):
        load(data)


CASES: dict[str, tuple[Callable[[Json], Any], str]] = {
    "missing field": (lambda made: table(made).pop("key"), "'ingress.t'.*`key`"),
    "wrong type": (lambda made: table(made).update(max_size="many"), "'ingress.t'.*int"),
    "format version": (lambda made: made["__meta__"].update(version=[3, 0]), "version 3.0"),
    "unknown header type": (lambda made: made["headers"][0].update(header_type="x"), "header 'h'.*'x'"),
    "unknown header": (lambda made: table(made)["key"][0].update(target=["x", "b"]), "table 'ingress.t'.*header 'x'"),
    "unknown field": (lambda made: table(made)["key"][0].update(target=["h", "x"]), "table 'ingress.t'.*field 'x'"),
    "odd header": (lambda made: made["header_types"][0]["fields"].append(["c", 3]), "header 'h'.*27 bits"),
    "unknown action": (lambda made: table(made).update(action_ids=[0, 9]), "table 'ingress.t'.*id 9"),
    "unknown next node": (lambda made: table(made).update(next_tables={"NoAction": "x", "set_a": None}), "'x'"),
    "next nodes incomplete": (lambda made: table(made).update(next_tables={"NoAction": None}), "lacks.*'set_a'"),
    "hit without miss": (lambda made: table(made).update(next_tables={"__HIT__": None}), "'__HIT__' and '__MISS__'"),
    "unknown first node": (lambda made: made["pipelines"][0].update(init_table="x"), "first node 'x'"),
    "unknown profile": (
        lambda made: table(made).update(type="indirect", action_profile="p"),
        "table 'ingress.t'.*profile 'p'",
    ),
    "unknown primitive": (
        lambda made: set_primitive(made, {"op": "teleport", "parameters": []}),
        "action 'set_a'.*'teleport'.*not supported",
    ),
    "wrong number of arguments": (
        lambda made: set_primitive(made, {"op": "assign", "parameters": [ref("h", "a")]}),
        "action 'set_a'.*'assign'.*2 arguments, not 1",
    ),
    "unknown operation": (
        lambda made: set_primitive(made, assign(ref("h", "a"), op("**", ref("h", "a"), hexstr(2)))),
        r"action 'set_a'.*'\*\*'",
    ),
    "no such parameter": (
        lambda made: set_primitive(made, assign(ref("h", "a"), {"type": "runtime_data", "value": 1})),
        "action 'set_a'.*parameter 1",
    ),
    "unknown register": (
        lambda made: set_primitive(
            made,
            {
                "op": "register_read",
                "parameters": [ref("h", "a"), {"type": "register_array", "value": "r"}, hexstr(0)],
            },
        ),
        "action 'set_a'.*register 'r'",
    ),
    "not a hexadecimal value": (
        lambda made: set_primitive(made, assign(ref("h", "a"), {"type": "hexstr", "value": "0xzz"})),
        "action 'set_a'.*'0xzz'",
    ),
    "kinds mixed": (
        lambda made: set_primitive(made, assign(ref("h", "a"), op("+", op("==", ref("h", "a"), hexstr(1)), hexstr(1)))),
        "'data', not 'bool'",
    ),
    "unknown parser state": (
        lambda made: made["parsers"][0]["parse_states"][0]["transitions"][0].update(next_state="x"),
        "parser state 'start'.*'x'",
    ),
    "transition too short": (
        lambda made: made["parsers"][0]["parse_states"][0].update(
            transition_key=[ref("h", "b")],
            transitions=[{"type": "hexstr", "value": "0x01", "mask": None, "next_state": None}],
        ),
        "parser state 'start'.*1 bytes.*2",
    ),
    "unknown hash": (
        lambda made: made.update(calculations=[{"name": "c", "id": 0, "algo": "md5", "input": []}]),
        "calculation 'c'.*'md5'",
    ),
    "extern": (
        lambda made: made.update(extern_instances=[{"name": "e", "id": 0, "type": "magic"}]),
        "extern 'e'.*'magic'",
    ),
    "extern with a place": (
        lambda made: made.update(
            extern_instances=[
                {"name": "e", "id": 0, "type": "magic", "source_info": {"filename": "x.p4", "line": 7, "column": 3}}
            ]
        ),
        r"extern 'e' \(x.p4:7:3\).*'magic'.*--load-modules",
    ),
    "required field missing": (
        lambda made: made["header_types"][1]["fields"].remove(["egress_spec", 9, False]),
        "egress_spec",
    ),
    "entry of another length": (
        lambda made: table(made).update(
            entries=[{"match_key": [], "action_entry": {"action_id": 0, "action_data": []}, "priority": 1}]
        ),
        "table 'ingress.t'.*0 fields, the key 1",
    ),
}


ODD_VALUES: list[Any] = [None, 0, -1, 2**70, "", "x", "0x", "-0x1", [], {}, [[]], True, 1.5, ref("h", "x"), hexstr(1)]


def paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every node of a document."""
    if path:
        yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from paths(child, (*path, key))


def test_a_mutated_document_is_refused_or_taken_but_never_crashes() -> None:
    rng = random.Random(3)
    base = json.loads(compiled("packets"))
    places = [path for path in paths(base) if "source_info" not in path]
    refused = 0
    for _ in range(400):
        made = json.loads(json.dumps(base))
        *way, last = rng.choice(places)
        node = functools.reduce(lambda at, key: at[key], way, made)
        if rng.random() < 0.4:
            del node[last]
        elif rng.random() < 0.7:
            node[last] = rng.choice(ODD_VALUES)
        else:
            node[last] = functools.reduce(lambda at, key: at[key], rng.choice(places), base)
        try:
            generate(load(json.dumps(made).encode()))
        except JsonError:
            refused += 1
    assert refused > 200


@pytest.mark.parametrize("name", CASES)
def test_the_object_is_named(name: str) -> None:
    change, message = CASES[name]
    text = refusal(change)
    assert re.search(message, text), text
