"""Small BMv2 JSON documents, made by hand for the tests of the data plane."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

STANDARD_METADATA = [
    ["ingress_port", 9, False],
    ["egress_spec", 9, False],
    ["egress_port", 9, False],
    ["instance_type", 32, False],
    ["packet_length", 32, False],
    ["mcast_grp", 16, False],
    ["parser_error", 32, False],
    ["checksum_error", 1, False],
    ["_padding", 4, False],
]


def ref(header: str, name: str) -> Json:
    return {"type": "field", "value": [header, name]}


def hexstr(value: int) -> Json:
    return {"type": "hexstr", "value": f"-0x{-value:x}" if value < 0 else f"0x{value:x}"}


def op(name: str, left: Json | None, right: Json | None, cond: Json | None = None) -> Json:
    value: Json = {"op": name, "left": left, "right": right}
    if cond is not None:
        value["cond"] = cond
    return {"type": "expression", "value": value}


def assign(target: Json, value: Json) -> Json:
    """`target = value`, the value wrapped as compilers wrap it."""
    wrapped = {"type": "expression", "value": value} if value["type"] == "expression" else value
    return {"op": "assign", "parameters": [target, wrapped]}


@dataclass
class Document:
    """A program that extracts the headers named in `extracts` and applies `tables` in turn.

    `fields` are (name, width[, signed]) by header type; one header instance a type, named like it.
    """

    headers: dict[str, list[tuple[Any, ...]]]
    metadata: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    actions: list[Json] = field(default_factory=list)
    tables: list[Json] = field(default_factory=list)
    extra: Json = field(default_factory=dict)

    def action(self, name: str, params: list[tuple[str, int]], primitives: list[Json]) -> int:
        self.actions.append(
            {
                "name": name,
                "id": len(self.actions),
                "runtime_data": [{"name": param, "bitwidth": width} for param, width in params],
                "primitives": primitives,
            }
        )
        return len(self.actions) - 1

    def table(
        self, name: str, match_type: str, key: list[tuple[str, str, str]], actions: list[int], **more: Any
    ) -> None:
        """`key`: (match type, header, field). The first action is the default one, unless `more` says otherwise."""
        self.tables.append(
            {
                "name": name,
                "id": len(self.tables),
                "match_type": match_type,
                "type": "simple",
                "max_size": 1024,
                "key": [{"match_type": kind, "target": [header, name], "mask": None} for kind, header, name in key],
                "action_ids": actions,
                "actions": [self.actions[index]["name"] for index in actions],
                "default_entry": {"action_id": actions[0], "action_data": []},
                **more,
            }
        )

    def to_json(self) -> Json:
        types: dict[str, Sequence[Any]] = {**self.headers, **self.metadata, "standard_metadata": STANDARD_METADATA}
        nodes = [table["name"] for table in self.tables]
        for table, following in zip(self.tables, [*nodes[1:], None], strict=True):
            table.setdefault("next_tables", dict.fromkeys(table["actions"], following))
        return {
            "program": "test.p4",
            "__meta__": {"version": [2, 23], "compiler": "test"},
            "header_types": [
                {"name": name, "id": number, "fields": [list(entry) for entry in fields]}
                for number, (name, fields) in enumerate(types.items())
            ],
            "headers": [
                {"name": name, "id": number, "header_type": name, "metadata": name not in self.headers}
                for number, name in enumerate(types)
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
                            "parser_ops": [
                                {"op": "extract", "parameters": [{"type": "regular", "value": name}]}
                                for name in self.headers
                            ],
                            "transition_key": [],
                            "transitions": [{"type": "default", "value": None, "mask": None, "next_state": None}],
                        }
                    ],
                }
            ],
            "deparsers": [{"name": "deparser", "id": 0, "order": list(self.headers)}],
            "actions": self.actions,
            "pipelines": [
                {
                    "name": "ingress",
                    "id": 0,
                    "init_table": nodes[0] if nodes else None,
                    "tables": self.tables,
                    "action_profiles": [],
                    "conditionals": [],
                },
                {
                    "name": "egress",
                    "id": 1,
                    "init_table": None,
                    "tables": [],
                    "action_profiles": [],
                    "conditionals": [],
                },
            ],
            **self.extra,
        }

    def encode(self) -> bytes:
        return json.dumps(self.to_json()).encode()
