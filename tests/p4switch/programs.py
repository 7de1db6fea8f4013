"""A small program's P4Info and BMv2 JSON, as a compiler would write them, for the tests of the service.

It has a table of each kind: `exact_table` (two keys, one of 9 bits, a direct counter), `route_table` (LPM), `acl_table` (exact,
ternary, range and optional), `balance_table` (an action selector), `profile_table` (an action profile), `const_table`
(constant entries), `keyless_table` and `aged_table` (idle timeouts and a direct meter).
"""

from __future__ import annotations

import json
from typing import Any

from p4base.messages import p4i, p4r

HEADER_FIELDS = {"dst": 48, "src": 32, "port": 9, "pad": 7, "proto": 8, "dport": 16, "wide": 128}

ACTIONS: dict[str, list[tuple[str, int]]] = {
    "forward": [("port", 9), ("mac", 48)],
    "drop": [],
    "mark": [("value", 32)],
    "only_default": [],
    "only_entry": [],
}

TABLES: dict[str, dict[str, Any]] = {
    "exact_table": {"keys": [("dst", "exact"), ("port", "exact")], "size": 64, "counter": True},
    "route_table": {"keys": [("wide", "lpm")]},
    "acl_table": {
        "keys": [("proto", "exact"), ("src", "ternary"), ("dport", "range"), ("port", "optional")],
    },
    "balance_table": {"keys": [("src", "exact")], "profile": "selector"},
    "profile_table": {"keys": [("src", "exact")], "profile": "plain_profile"},
    "const_table": {"keys": [("proto", "exact")], "const": True},
    "keyless_table": {"keys": []},
    "aged_table": {"keys": [("src", "exact")], "timeout": True, "meter": True},
}

STANDARD_METADATA = {
    "ingress_port": 9,
    "egress_spec": 9,
    "egress_port": 9,
    "instance_type": 32,
    "packet_length": 32,
    "mcast_grp": 16,
    "parser_error": 32,
    "checksum_error": 1,
    "_padding": 4,
}

# What BMv2 wants to be there all the same.
_EMPTY = (
    "header_stacks",
    "header_union_types",
    "header_unions",
    "header_union_stacks",
    "field_lists",
    "enums",
    "parse_vsets",
    "calculations",
    "learn_lists",
    "checksums",
    "force_arith",
    "extern_instances",
    "field_aliases",
)

_FORWARD = [
    {
        "op": "assign",
        "parameters": [
            {"type": "field", "value": ["standard_metadata", "egress_spec"]},
            {"type": "runtime_data", "value": 0},
        ],
    },
    {
        "op": "assign",
        "parameters": [{"type": "field", "value": ["hdr", "dst"]}, {"type": "runtime_data", "value": 1}],
    },
]

SIZE = 1024
COUNTER_SIZE = 8
REGISTER_SIZE = 4
MAX_GROUP_SIZE = 8

TABLE_ID = {name: 0x02000001 + i for i, name in enumerate(TABLES)}
ACTION_ID = {name: 0x01000001 + i for i, name in enumerate(ACTIONS)}
PROFILE_ID = {"selector": 0x11000001, "plain_profile": 0x11000002}
COUNTER_ID = 0x12000001
DIRECT_COUNTER_ID = 0x13000001
DIRECT_METER_ID = 0x15000001
METER_ID = 0x16000001
METER_SIZE = 4
REGISTER_ID = {"register": 0x14000001, "signed_register": 0x14000002}

_BOTH = p4i.CounterSpec(unit=p4i.CounterSpec.BOTH)

_MATCH_TYPES = {
    "exact": p4i.MatchField.EXACT,
    "lpm": p4i.MatchField.LPM,
    "ternary": p4i.MatchField.TERNARY,
    "range": p4i.MatchField.RANGE,
    "optional": p4i.MatchField.OPTIONAL,
}


def full_name(name: str) -> str:
    """The fully qualified name; the short one is the alias."""
    return f"ingress.{name}"


def _preamble(object_id: int, name: str) -> p4i.Preamble:
    return p4i.Preamble(id=object_id, name=full_name(name), alias=name)


def make_p4info() -> p4i.P4Info:
    """The program's P4Info."""
    info = p4i.P4Info(pkg_info=p4i.PkgInfo(arch="v1model"))
    for name, params in ACTIONS.items():
        action = info.actions.add(preamble=_preamble(ACTION_ID[name], name))
        for i, (param, width) in enumerate(params, 1):
            action.params.add(id=i, name=param, bitwidth=width)
    for name, shape in TABLES.items():
        table = info.tables.add(preamble=_preamble(TABLE_ID[name], name), size=shape.get("size", SIZE))
        for i, (field, kind) in enumerate(shape["keys"], 1):
            table.match_fields.add(
                id=i, name=f"hdr.{field}", bitwidth=HEADER_FIELDS[field], match_type=_MATCH_TYPES[kind]
            )
        for action_name in ACTIONS:
            ref = table.action_refs.add(id=ACTION_ID[action_name])
            if action_name == "only_default":
                ref.scope = p4i.ActionRef.DEFAULT_ONLY
            if action_name == "only_entry":
                ref.scope = p4i.ActionRef.TABLE_ONLY
        if "profile" in shape:
            table.implementation_id = PROFILE_ID[shape["profile"]]
        if shape.get("const"):
            table.is_const_table = True
            table.const_default_action_id = ACTION_ID["drop"]
        if shape.get("counter"):
            table.direct_resource_ids.append(DIRECT_COUNTER_ID)
            info.direct_counters.add(
                preamble=_preamble(DIRECT_COUNTER_ID, f"{name}_counter"),
                spec=_BOTH,
                direct_table_id=TABLE_ID[name],
            )
        if shape.get("timeout"):
            table.idle_timeout_behavior = p4i.Table.NOTIFY_CONTROL
        if shape.get("meter"):
            table.direct_resource_ids.append(DIRECT_METER_ID)
            info.direct_meters.add(
                preamble=_preamble(DIRECT_METER_ID, f"{name}_meter"),
                spec=p4i.MeterSpec(unit=p4i.MeterSpec.BYTES),
                direct_table_id=TABLE_ID[name],
            )
    info.meters.add(
        preamble=_preamble(METER_ID, "meter"), spec=p4i.MeterSpec(unit=p4i.MeterSpec.PACKETS), size=METER_SIZE
    )
    info.action_profiles.add(
        preamble=_preamble(PROFILE_ID["selector"], "selector"),
        table_ids=[TABLE_ID["balance_table"]],
        with_selector=True,
        size=SIZE,
        max_group_size=MAX_GROUP_SIZE,
    )
    info.action_profiles.add(
        preamble=_preamble(PROFILE_ID["plain_profile"], "plain_profile"), table_ids=[TABLE_ID["profile_table"]], size=4
    )
    info.counters.add(preamble=_preamble(COUNTER_ID, "counter"), spec=_BOTH, size=COUNTER_SIZE)
    register = info.registers.add(preamble=_preamble(REGISTER_ID["register"], "register"), size=REGISTER_SIZE)
    register.type_spec.bitstring.bit.bitwidth = 24
    register = info.registers.add(
        preamble=_preamble(REGISTER_ID["signed_register"], "signed_register"), size=REGISTER_SIZE
    )
    register.type_spec.bitstring.int.bitwidth = 12
    packet_in = info.controller_packet_metadata.add(
        preamble=p4i.Preamble(id=0x4000001, name="packet_in", alias="packet_in")
    )
    packet_in.metadata.add(id=1, name="ingress_port", bitwidth=9)
    packet_in.metadata.add(id=2, name="reason", bitwidth=16)
    packet_in.metadata.add(id=3, name="pad", bitwidth=7, annotations=["@padding"])
    packet_out = info.controller_packet_metadata.add(
        preamble=p4i.Preamble(id=0x4000002, name="packet_out", alias="packet_out")
    )
    packet_out.metadata.add(id=1, name="egress_port", bitwidth=9)
    packet_out.metadata.add(id=2, name="pad", bitwidth=7, annotations=["@padding"])
    return info


def make_document() -> dict[str, Any]:
    """The program's BMv2 JSON: it extracts the one header, applies every table in turn, and emits it again."""
    headers = [("hdr", HEADER_FIELDS, False), ("standard_metadata", STANDARD_METADATA, True), ("scalars", {}, True)]
    return {
        **{name: [] for name in _EMPTY},
        "__meta__": {"version": [2, 24]},
        "header_types": [
            {"name": f"{name}_t", "id": i, "fields": [[f, w, False] for f, w in fields.items()]}
            for i, (name, fields, _) in enumerate(headers)
        ],
        "headers": [
            {"name": name, "id": i, "header_type": f"{name}_t", "metadata": metadata, "pi_omit": True}
            for i, (name, _, metadata) in enumerate(headers)
        ],
        "parsers": [
            {
                "name": "parser",
                "id": 0,
                "init_state": "start",
                "parse_states": [
                    {
                        "name": "start",
                        "id": 0,
                        "parser_ops": [{"op": "extract", "parameters": [{"type": "regular", "value": "hdr"}]}],
                        "transitions": [{"type": "default", "value": None, "mask": None, "next_state": None}],
                        "transition_key": [],
                    }
                ],
            }
        ],
        "deparsers": [{"name": "deparser", "id": 0, "order": ["hdr"], "primitives": []}],
        "errors": [["NoError", 0]],
        "actions": [
            {
                "name": full_name(name),
                "id": i,
                "runtime_data": [{"name": p, "bitwidth": w} for p, w in params],
                "primitives": _FORWARD if name == "forward" else [],
            }
            for i, (name, params) in enumerate(ACTIONS.items())
        ],
        "pipelines": [
            {
                "name": "ingress",
                "id": 0,
                "init_table": full_name(next(iter(TABLES))),
                "action_profiles": [
                    {
                        "name": full_name("selector"),
                        "id": 0,
                        "max_size": SIZE,
                        "selector": {"algo": "crc16", "input": [{"type": "field", "value": ["hdr", "dst"]}]},
                    },
                    {"name": full_name("plain_profile"), "id": 1, "max_size": 4},
                ],
                "tables": _tables(),
                "conditionals": [],
            },
            {"name": "egress", "id": 1, "init_table": None, "tables": [], "action_profiles": [], "conditionals": []},
        ],
        "counter_arrays": [
            {"name": full_name("exact_table_counter"), "id": 0, "is_direct": True, "binding": full_name("exact_table")},
            {"name": full_name("counter"), "id": 1, "size": COUNTER_SIZE, "is_direct": False},
        ],
        "meter_arrays": [
            {
                "name": full_name("aged_table_meter"),
                "id": 0,
                "type": "bytes",
                "rate_count": 2,
                "is_direct": True,
                "binding": full_name("aged_table"),
                "result_target": ["hdr", "pad"],
            },
            {"name": full_name("meter"), "id": 1, "type": "packets", "rate_count": 2, "size": METER_SIZE},
        ],
        "register_arrays": [
            {"name": full_name("register"), "id": 0, "bitwidth": 24, "size": REGISTER_SIZE},
            {"name": full_name("signed_register"), "id": 1, "bitwidth": 12, "size": REGISTER_SIZE},
        ],
    }


def _tables() -> list[dict[str, Any]]:
    action_ids = {name: i for i, name in enumerate(ACTIONS)}
    tables = []
    for i, (name, shape) in enumerate(TABLES.items()):
        following = list(TABLES)[i + 1 : i + 2]
        next_table = full_name(following[0]) if following else None
        kinds = {kind for _, kind in shape["keys"]}
        table: dict[str, Any] = {
            "name": full_name(name),
            "id": i,
            "match_type": "range" if "range" in kinds else "lpm" if "lpm" in kinds else "exact",
            "type": "simple",
            "key": [
                {
                    "match_type": "ternary" if kind == "optional" else kind,
                    "name": f"hdr.{field}",
                    "target": ["hdr", field],
                    "mask": None,
                }
                for field, kind in shape["keys"]
            ],
            "max_size": shape.get("size", SIZE),
            "with_counters": bool(shape.get("counter")),
            "support_timeout": bool(shape.get("timeout")),
            "direct_meters": full_name(f"{name}_meter") if shape.get("meter") else None,
            "action_ids": list(action_ids.values()),
            "actions": [full_name(action) for action in ACTIONS],
            "base_default_next": next_table,
            "next_tables": {full_name(action): next_table for action in ACTIONS},
        }
        if "profile" in shape:
            table["type"] = "indirect_ws" if shape["profile"] == "selector" else "indirect"
            table["action_profile"] = full_name(shape["profile"])
        else:
            table["default_entry"] = {
                "action_id": action_ids["drop"],
                "action_const": False,
                "action_data": [],
                "action_entry_const": False,
            }
        if shape.get("const"):
            table["entries"] = [
                {
                    "match_key": [{"match_type": "exact", "key": f"0x{proto:02x}"}],
                    "action_entry": {"action_id": action_ids["mark"], "action_data": [f"0x{proto:08x}"]},
                    "priority": proto,
                }
                for proto in (6, 17)
            ]
        tables.append(table)
    return tables


def make_config(cookie: int = 0) -> p4r.ForwardingPipelineConfig:
    """The program as a client sends it."""
    config = p4r.ForwardingPipelineConfig(p4info=make_p4info(), p4_device_config=json.dumps(make_document()).encode())
    if cookie:
        config.cookie.cookie = cookie
    return config


# -- entities of the program


def exact_entry(dst: int, port: int = 1, out: int = 2) -> p4r.TableEntry:
    """An entry of `exact_table` that forwards to port `out`, all values canonical."""
    entry = p4r.TableEntry(table_id=TABLE_ID["exact_table"])
    entry.match.add(field_id=1).exact.value = number(dst)
    entry.match.add(field_id=2).exact.value = number(port)
    set_forward(entry.action.action, out)
    return entry


def set_forward(action: p4r.Action, out: int, mac: int = 0x0A0000000001) -> None:
    """Make `action` forward(out, mac)."""
    action.action_id = ACTION_ID["forward"]
    action.params.add(param_id=1, value=number(out))
    action.params.add(param_id=2, value=number(mac))


def acl_entry(priority: int = 10, **fields: tuple[int, int] | int) -> p4r.TableEntry:
    """An entry of `acl_table`: proto=6 unless given; src=(value, mask), dport=(low, high), port=value if given."""
    entry = p4r.TableEntry(table_id=TABLE_ID["acl_table"], priority=priority)
    proto = fields.get("proto", 6)
    assert isinstance(proto, int)
    entry.match.add(field_id=1).exact.value = number(proto)
    if isinstance(src := fields.get("src"), tuple):
        match = entry.match.add(field_id=2)
        match.ternary.value, match.ternary.mask = number(src[0]), number(src[1])
    if isinstance(dport := fields.get("dport"), tuple):
        match = entry.match.add(field_id=3)
        match.range.low, match.range.high = number(dport[0]), number(dport[1])
    if isinstance(port := fields.get("port"), int):
        entry.match.add(field_id=4).optional.value = number(port)
    entry.action.action.action_id = ACTION_ID["drop"]
    return entry


def route_entry(value: int, length: int) -> p4r.TableEntry:
    """An entry of `route_table`; length 0 is the don't-care."""
    entry = p4r.TableEntry(table_id=TABLE_ID["route_table"])
    if length:
        match = entry.match.add(field_id=1)
        match.lpm.value, match.lpm.prefix_len = number(value), length
    set_forward(entry.action.action, 3)
    return entry


def number(value: int) -> bytes:
    """The canonical byte string, written here independently of the code under test."""
    text = f"{value:x}"
    return bytes.fromhex(text if len(text) % 2 == 0 else f"0{text}")
