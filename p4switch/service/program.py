"""What the service reads of a BMv2 JSON: the names, orders and widths that the packed bytes of the seam follow.

Only the control plane's side is read here; parsing it into code is the data plane's business. See JSON_format.md of
behavioral-model, version 2.24.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from p4base.bytestring import byte_width
from p4switch.dataplane import Action, Entry, Match
from p4switch.service import wire
from p4switch.service.errors import Code, P4Error, invalid

LEGACY_DEVICE_DATA = 3
"""The field number of the JSON in `p4.tmp.P4DeviceConfig`, the envelope that older BMv2 controllers still send."""


MAX_BITS = 1 << 20
"""The widest field or parameter that is read: far beyond what can be, and harmless."""

DEFAULT_SIZE = 1024
"""Entries of a table, or members of a profile, that declares no size."""


class DeviceKey(msgspec.Struct, frozen=True):
    """One field of a table's key.

    Attributes:
        bitwidth: of the field that is matched; None where the JSON does not tell it (an unknown header).
        masked: only some bits of the field are matched, so that the P4 key may be narrower than the field.
    """

    name: str
    match_kind: str
    bitwidth: int | None
    masked: bool = False


class DeviceParam(msgspec.Struct, frozen=True):
    name: str
    bitwidth: int


_Actions = dict[int, tuple[str, tuple[DeviceParam, ...]]]
"""Name and parameters by the JSON's action id."""

_Widths = dict[tuple[str, str], int]
"""The width of each (header instance, field)."""


class DeviceTable(msgspec.Struct, frozen=True):
    """One match table.

    Attributes:
        actions: by full name, the parameters of each action of the table.
        profile: the action profile's or selector's name, None for a direct table.
        size: entries that it can hold.
        default: the program's default action; None where the JSON has none (indirect tables).
        entries: the program's constant entries, with P4Runtime's priorities.
    """

    name: str
    keys: tuple[DeviceKey, ...]
    actions: Mapping[str, tuple[DeviceParam, ...]]
    profile: str | None
    size: int
    default: Action | None
    entries: tuple[Entry, ...]

    @property
    def all_exact(self) -> bool:
        return all(key.match_kind == "exact" for key in self.keys)


class DeviceProgram(msgspec.Struct, frozen=True):
    """The objects of a BMv2 JSON that P4Runtime can name.

    Attributes:
        profiles: by name, the members that each action profile can hold; `selectors` are those with groups.
        counters, meters, registers: the number of cells of each indirect array, by name.
        register_widths: the bits of one cell of each register.
        value_sets: the bits of a member of each parser value set.
        digests: the bits of each field of a sample, by the digest's name.
        header_types: the fields of each type with their bits; those of variable length are left out.
        direct_counters, direct_meters: the table that each is bound to, by its own name.
    """

    tables: Mapping[str, DeviceTable]
    profiles: Mapping[str, int]
    selectors: frozenset[str]
    counters: Mapping[str, int]
    direct_counters: Mapping[str, str]
    meters: Mapping[str, int]
    direct_meters: Mapping[str, str]
    registers: Mapping[str, int]
    register_widths: Mapping[str, int]
    value_sets: Mapping[str, int]
    digests: Mapping[str, tuple[int, ...]]
    header_types: Mapping[str, Mapping[str, int]]


def unwrap_device_config(config: bytes) -> bytes:
    """The BMv2 JSON in a `p4_device_config`: the bytes themselves, or what the deprecated P4DeviceConfig wraps."""
    if config.lstrip()[:1] == b"{":
        return config
    try:
        data = [value for number, value in wire.fields(config) if number == LEGACY_DEVICE_DATA]
    except wire.WireError:
        return config
    return data[-1] if data and isinstance(data[-1], bytes) else config


class MalformedProgramError(P4Error):
    """A BMv2 JSON has something missing or of the wrong kind, somewhere. A data plane that reads it all can say where."""

    def __init__(self, cause: Exception) -> None:
        what = f"{cause} is missing" if isinstance(cause, KeyError) else f"a part of it is not as expected ({cause})"
        super().__init__(Code.INVALID_ARGUMENT, f"p4_device_config is not a BMv2 JSON: {what}")


def parse_program(bmv2_json: bytes) -> DeviceProgram:
    """Read a BMv2 JSON.

    Raises:
        P4Error: INVALID_ARGUMENT; it is not JSON, or (MalformedProgramError) not a BMv2 JSON of a version this switch reads.
    """
    try:
        document = json.loads(bmv2_json)
    except (ValueError, RecursionError) as error:
        raise invalid(f"p4_device_config is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise invalid("p4_device_config is not a BMv2 JSON: its top level is not an object")
    try:
        _check_names(document)
        return _read_document(document)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise MalformedProgramError(error) from None


_NUMBERS = ("bitwidth", "compressed_bitwidth", "max_size", "size", "priority", "action_id", "prefix_length")
_TEXTS = ("name", "match_type", "header_type", "binding", "action_profile")


def _check_names(node: object) -> None:
    """Names become keys of mappings below: they must be strings, and widths must be numbers."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in _TEXTS and not isinstance(value, str | None):
                raise TypeError(f"{key} is {json.dumps(value)[:80]}, expected a string")
            if key in _NUMBERS and not isinstance(value, int):
                raise TypeError(f"{key} is {json.dumps(value)[:80]}, expected a number")
            if key == "bitwidth" and not 0 <= value <= MAX_BITS:
                raise ValueError(f"bitwidth is {json.dumps(value)[:80]}, expected a number of at most {MAX_BITS}")
            _check_names(value)
    elif isinstance(node, list):
        for item in node:
            _check_names(item)


def _read_document(document: dict[str, Any]) -> DeviceProgram:
    version = document.get("__meta__", {}).get("version")
    if version is not None and int(version[0]) != 2:
        raise ValueError(f"version {version[0]}.{version[1]}, expected 2.x")
    widths = _field_widths(document)
    actions: _Actions = {
        action["id"]: (
            str(action["name"]),
            tuple(DeviceParam(str(p["name"]), int(p["bitwidth"])) for p in action.get("runtime_data", [])),
        )
        for action in document["actions"]
    }
    tables: dict[str, DeviceTable] = {}
    profiles: dict[str, int] = {}
    selectors: set[str] = set()
    direct_meters: dict[str, str] = {}
    for pipeline in document["pipelines"]:
        for profile in pipeline.get("action_profiles", []):
            profiles[profile["name"]] = int(profile.get("max_size", DEFAULT_SIZE))
            if "selector" in profile:
                selectors.add(profile["name"])
        for table in pipeline["tables"]:
            tables[table["name"]] = _read_table(table, actions, widths)
            if table.get("direct_meters"):
                direct_meters[table["direct_meters"]] = table["name"]
    counters: dict[str, int] = {}
    direct_counters: dict[str, str] = {}
    for counter in document.get("counter_arrays", []):
        if counter.get("is_direct"):
            direct_counters[counter["name"]] = counter["binding"]
        else:
            counters[counter["name"]] = int(counter["size"])
    meters = {m["name"]: int(m["size"]) for m in document.get("meter_arrays", []) if not m.get("is_direct")}
    registers = document.get("register_arrays", [])
    return DeviceProgram(
        tables=tables,
        profiles=profiles,
        selectors=frozenset(selectors),
        counters=counters,
        direct_counters=direct_counters,
        meters=meters,
        direct_meters=direct_meters,
        registers={r["name"]: int(r["size"]) for r in registers},
        register_widths={r["name"]: int(r["bitwidth"]) for r in registers},
        value_sets={v["name"]: int(v["compressed_bitwidth"]) for v in document.get("parse_vsets", [])},
        header_types=_header_types(document),
        digests={item["name"]: _sample_widths(item, widths) for item in document.get("learn_lists", [])},
    )


def _header_types(document: dict[str, Any]) -> dict[str, dict[str, int]]:
    return {
        header_type["name"]: {f[0]: f[1] for f in header_type["fields"] if isinstance(f[1], int)}
        for header_type in document["header_types"]
    }


def _sample_widths(learn_list: dict[str, Any], widths: _Widths) -> tuple[int, ...]:
    return tuple(
        widths.get((element["value"][0], element["value"][1]), 0) if element["type"] == "field" else 0
        for element in learn_list["elements"]
    )


def _field_widths(document: dict[str, Any]) -> _Widths:
    """The width of each (header instance, field); variable-length fields ("*") are left out."""
    types = _header_types(document)
    return {
        (header["name"], field): width
        for header in document["headers"]
        for field, width in types[header["header_type"]].items()
    }


def _read_table(table: dict[str, Any], actions: _Actions, widths: _Widths) -> DeviceTable:
    by_name = dict(actions.values())
    ids = table.get("action_ids")
    keys = tuple(_read_key(key, widths) for key in table["key"])
    rows = table.get("entries", [])
    default = table.get("default_entry")
    lowest = max((int(row.get("priority", 0)) for row in rows), default=0)
    ranked = any(key.match_kind not in ("exact", "lpm") for key in keys)
    return DeviceTable(
        name=table["name"],
        keys=keys,
        actions=dict(actions[i] for i in ids) if ids else {name: by_name[name] for name in table["actions"]},
        profile=table.get("action_profile"),
        size=int(table.get("max_size", DEFAULT_SIZE)),
        default=_read_action(default, actions) if default else None,
        entries=tuple(
            # In the JSON the lower number wins, in P4Runtime the higher one.
            _read_entry(row, keys, actions, lowest + 1 - int(row.get("priority", 0)) if ranked else 0)
            for row in rows
        ),
    )


def _read_action(entry: dict[str, Any], actions: _Actions) -> Action:
    name, params = actions[entry["action_id"]]
    data = entry.get("action_data", [])
    return Action(name, b"".join(_pack(value, p.bitwidth) for value, p in zip(data, params, strict=True)))


def _read_entry(row: dict[str, Any], keys: tuple[DeviceKey, ...], actions: _Actions, priority: int) -> Entry:
    values, masks = [], []
    for cell, key in zip(row["match_key"], keys, strict=True):
        bits = key.bitwidth or 0
        ones = (1 << bits) - 1
        match cell["match_type"]:
            case "lpm":
                value, mask = cell["key"], ones >> (bits - cell["prefix_length"]) << (bits - cell["prefix_length"])
            case "ternary":
                value, mask = cell["key"], cell["mask"]
            case "range":
                value, mask = cell["start"], cell["end"]
            case _:
                value, mask = cell["key"], ones
        values.append(_pack(value, bits))
        masks.append(_pack(mask, bits))
    exact = all(key.match_kind == "exact" for key in keys)
    match = Match(b"".join(values), b"" if exact else b"".join(masks), priority)
    return Entry(match, _read_action(row["action_entry"], actions))


def _pack(value: int | str, bitwidth: int) -> bytes:
    number = int(value, 16) if isinstance(value, str) else int(value)
    return (number & (1 << bitwidth) - 1).to_bytes(byte_width(bitwidth), "big")


def _read_key(key: dict[str, Any], widths: _Widths) -> DeviceKey:
    target = key["target"]
    kind = key["match_type"]
    if kind == "valid" or (isinstance(target, list) and len(target) == 2 and target[1] == "$valid$"):
        width: int | None = 1
    else:
        width = widths.get((target[0], target[1])) if isinstance(target, list) and len(target) == 2 else None
    name = key.get("name") or (".".join(target) if isinstance(target, list) else str(target))
    return DeviceKey(
        name=name, match_kind="exact" if kind == "valid" else kind, bitwidth=width, masked=bool(key.get("mask"))
    )
