"""Does a P4Info describe the program of a BMv2 JSON?

Everything that the P4Info names must be in the JSON with the same shape. The other way round the JSON may hold more:
the compiler's own tables and actions are hidden from the control plane.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from p4base.bytestring import byte_width
from p4base.lookup import P4InfoIndex
from p4base.messages import p4i
from p4switch.service.errors import invalid
from p4switch.service.p4data import make_codec
from p4switch.service.program import DeviceProgram, DeviceTable

MAX_REPORTED = 8

_MATCH_KINDS: dict[p4i.MatchField.MatchType.ValueType, tuple[str, ...]] = {
    p4i.MatchField.EXACT: ("exact",),
    p4i.MatchField.LPM: ("lpm",),
    p4i.MatchField.TERNARY: ("ternary",),
    p4i.MatchField.RANGE: ("range",),
    p4i.MatchField.OPTIONAL: ("optional", "ternary"),  # the compiler writes optional keys either way
}


def check_consistent(index: P4InfoIndex, program: DeviceProgram) -> None:
    """Compare the P4Info with the program.

    Raises:
        P4Error: INVALID_ARGUMENT naming each object that differs (the first few of them).
    """
    problems = list(_problems(index, program))
    if not problems:
        return
    more = f"; and {len(problems) - MAX_REPORTED} more" if len(problems) > MAX_REPORTED else ""
    raise invalid("the P4Info does not match the BMv2 JSON: " + "; ".join(problems[:MAX_REPORTED]) + more)


def _problems(index: P4InfoIndex, program: DeviceProgram) -> Iterator[str]:
    yield from _duplicate_ids(index.p4info)
    for table in index.tables:
        device_table = program.tables.get(table.preamble.name)
        if device_table is None:
            yield f"table {table.preamble.name} is not in the JSON"
            continue
        yield from _table_problems(index, table, device_table)
    for profile in index.action_profiles:
        name = profile.preamble.name
        if name not in program.profiles:
            yield f"action profile {name} is not in the JSON"
        elif profile.with_selector != (name in program.selectors):
            kind = "an action selector" if profile.with_selector else "a plain action profile"
            yield f"action profile {name} is {kind} in the P4Info only"
    yield from _array_problems(index, program)
    yield from _parser_problems(index, program)
    yield from _digest_problems(index, program)
    for direct_counter in index.direct_counters:
        yield from _direct_problems(
            index,
            "direct counter",
            direct_counter.preamble.name,
            direct_counter.direct_table_id,
            program.direct_counters,
        )
    for direct_meter in index.direct_meters:
        yield from _direct_problems(
            index, "direct meter", direct_meter.preamble.name, direct_meter.direct_table_id, program.direct_meters
        )


def _parser_problems(index: P4InfoIndex, program: DeviceProgram) -> Iterator[str]:
    for value_set in index.p4info.value_sets:
        name = value_set.preamble.name
        if name not in program.value_sets:
            yield f"value set {name} is not in the JSON"
            continue
        for field in value_set.match:
            if field.WhichOneof("match") != "match_type" or field.match_type not in _MATCH_KINDS:
                yield f"field {field.name or field.id} of value set {name} has a match type that is not supported"
        bits = sum(field.bitwidth for field in value_set.match)
        padded = sum(byte_width(field.bitwidth) for field in value_set.match) * 8
        if program.value_sets[name] not in (bits, padded):
            yield f"value set {name} has {bits} bits in the P4Info, {program.value_sets[name]} in the JSON"


def _digest_problems(index: P4InfoIndex, program: DeviceProgram) -> Iterator[str]:
    for digest in index.p4info.digests:
        name = digest.preamble.name
        if name not in program.digests:
            yield f"digest {name} is not in the JSON"
            continue
        codec = make_codec(digest.type_spec, index.p4info.type_info)
        if codec is not None and len(codec.widths) != len(program.digests[name]):
            yield f"digest {name} has {len(codec.widths)} fields in the P4Info, {len(program.digests[name])} in the JSON"


def _duplicate_ids(p4info: p4i.P4Info) -> Iterator[str]:
    for field, objects in p4info.ListFields():
        if field.name in ("pkg_info", "externs", "type_info"):
            continue
        seen: dict[int, str] = {}
        for item in objects:
            preamble = item.preamble
            if preamble.id == 0:
                yield f"{preamble.name or field.name} has id 0"
            elif preamble.id in seen:
                yield f"{preamble.name} and {seen[preamble.id]} share the id 0x{preamble.id:08x}"
            seen[preamble.id] = preamble.name


def _table_problems(index: P4InfoIndex, table: p4i.Table, device: DeviceTable) -> Iterator[str]:
    name = table.preamble.name
    device_keys = {key.name: key for key in device.keys}
    for match_field in table.match_fields:
        key = device_keys.pop(match_field.name, None)
        if key is None:
            yield f"table {name} has no key {match_field.name} in the JSON"
            continue
        if match_field.WhichOneof("match") == "other_match_type":
            yield f"key {match_field.name} of table {name} has the unknown match type {match_field.other_match_type}"
        elif key.match_kind not in _MATCH_KINDS.get(match_field.match_type, ()):
            kind = _kind_name(match_field.match_type)
            yield f"key {match_field.name} of table {name} is {kind} in the P4Info, {key.match_kind} in the JSON"
        # A translated type (type_name) may have another width for the controller than on the device.
        # (And a type without a width, such as error, is 0 bits wide in the P4Info.)
        flexible = key.masked or match_field.HasField("type_name") or not match_field.bitwidth
        if key.bitwidth is not None and key.bitwidth != match_field.bitwidth and not flexible:
            yield (
                f"key {match_field.name} of table {name} has {match_field.bitwidth} bits in the P4Info, "
                f"{key.bitwidth} in the JSON"
            )
    for left in device_keys:
        yield f"table {name} has a key {left} in the JSON that the P4Info lacks"
    for ref in table.action_refs:
        action = index.actions.get(ref.id)
        if action is None:
            yield f"table {name} refers to action id 0x{ref.id:08x}, which the P4Info does not define"
        elif action.preamble.name not in device.actions:
            yield f"action {action.preamble.name} is not an action of table {name} in the JSON"
        else:
            yield from _action_problems(action, device)
    profile = index.action_profiles.get(table.implementation_id) if table.implementation_id else None
    if table.implementation_id and profile is None:
        yield f"table {name} refers to the unknown action profile id 0x{table.implementation_id:08x}"
    elif (profile.preamble.name if profile else None) != device.profile:
        given = profile.preamble.name if profile else "none"
        yield f"table {name} has the action profile {given} in the P4Info, {device.profile or 'none'} in the JSON"


def _kind_name(match_type: int) -> str:
    found = p4i.MatchField.MatchType.DESCRIPTOR.values_by_number.get(match_type)
    return found.name.lower() if found is not None else f"of the unknown match type {match_type}"


def _action_problems(action: p4i.Action, device: DeviceTable) -> Iterator[str]:
    name = action.preamble.name
    params = device.actions[name]
    if [p.name for p in action.params] != [p.name for p in params]:
        yield (
            f"action {name} has the parameters ({', '.join(p.name for p in action.params)}) in the P4Info, "
            f"({', '.join(p.name for p in params)}) in the JSON"
        )
        return
    for param, device_param in zip(action.params, params, strict=True):
        if param.bitwidth not in (0, device_param.bitwidth) and not param.HasField("type_name"):
            yield (
                f"parameter {param.name} of action {name} has {param.bitwidth} bits in the P4Info, "
                f"{device_param.bitwidth} in the JSON"
            )


def _array_problems(index: P4InfoIndex, program: DeviceProgram) -> Iterator[str]:
    arrays = [
        *(("counter", c.preamble.name, c.size, program.counters) for c in index.counters),
        *(("meter", m.preamble.name, m.size, program.meters) for m in index.meters),
        *(("register", r.preamble.name, r.size, program.registers) for r in index.registers),
    ]
    for kind, name, size, in_program in arrays:
        if name not in in_program:
            yield f"{kind} {name} is not in the JSON"
        elif in_program[name] != size:
            yield f"{kind} {name} has {size} cells in the P4Info, {in_program[name]} in the JSON"


def _direct_problems(
    index: P4InfoIndex, kind: str, name: str, table_id: int, bindings: Mapping[str, str]
) -> Iterator[str]:
    table = index.tables.get(table_id)
    if table is None:
        yield f"{kind} {name} refers to the unknown table id 0x{table_id:08x}"
    elif name not in bindings:
        yield f"{kind} {name} is not in the JSON"
    elif bindings[name] != table.preamble.name:
        yield f"{kind} {name} belongs to table {table.preamble.name} in the P4Info, {bindings[name]} in the JSON"
