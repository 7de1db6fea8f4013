"""The BMv2 JSON as it is written (format 2.x, JSON_format.md of behavioral-model): one struct for each kind of object.

Only shapes are checked here, by msgspec; references between objects are resolved by `p4switch.bmv2.loader`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from p4switch.bmv2.errors import JsonError


class SourceInfoDoc(msgspec.Struct, frozen=True):
    filename: str = ""
    line: int = 0
    column: int = 0
    source_fragment: str = ""


class TypeValue(msgspec.Struct, frozen=True):
    """The `{"type": …, "value": …}` object that stands for every kind of operand."""

    type: str
    value: Any = None
    bitwidth: int | None = None


class HeaderTypeDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    fields: list[list[str | int | bool]]
    length_exp: TypeValue | None = None
    max_length: int | None = None


class HeaderDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    header_type: str
    metadata: bool = False


class HeaderStackDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    header_type: str
    header_ids: list[int]


class HeaderUnionTypeDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    headers: list[tuple[str, str]]


class HeaderUnionDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    union_type: str
    header_ids: list[int]


class HeaderUnionStackDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    union_type: str
    header_union_ids: list[int]


class ParserOpDoc(msgspec.Struct, frozen=True):
    op: str
    parameters: list[Any]
    source_info: SourceInfoDoc | None = None


class TransitionDoc(msgspec.Struct, frozen=True):
    value: str | None = None
    type: str = "hexstr"
    mask: str | None = None
    next_state: str | None = None


class ParseStateDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    parser_ops: list[ParserOpDoc]
    transitions: list[TransitionDoc]
    transition_key: list[TypeValue]
    source_info: SourceInfoDoc | None = None


class ParserDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    init_state: str | None
    parse_states: list[ParseStateDoc]


class ParseVsetDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    compressed_bitwidth: int


class DeparserDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    order: list[str]
    primitives: list[PrimitiveDoc] = []
    source_info: SourceInfoDoc | None = None


class MeterArrayDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    type: str
    rate_count: int
    size: int | None = None
    is_direct: bool = False
    binding: str | None = None
    result_target: tuple[str, str] | None = None


class CounterArrayDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    size: int | None = None
    is_direct: bool = False
    binding: str | None = None


class RegisterArrayDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    size: int
    bitwidth: int
    source_info: SourceInfoDoc | None = None


class CalculationDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    algo: str
    input: list[TypeValue]
    source_info: SourceInfoDoc | None = None


class LearnListDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    elements: list[TypeValue]


class FieldListDoc(msgspec.Struct, frozen=True):
    id: int
    elements: list[TypeValue]
    name: str = ""


class RuntimeDataDoc(msgspec.Struct, frozen=True):
    name: str
    bitwidth: int


class PrimitiveDoc(msgspec.Struct, frozen=True):
    op: str
    parameters: list[TypeValue]
    source_info: SourceInfoDoc | None = None


class ActionDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    runtime_data: list[RuntimeDataDoc]
    primitives: list[PrimitiveDoc]
    source_info: SourceInfoDoc | None = None


class SelectorDoc(msgspec.Struct, frozen=True):
    algo: str
    input: list[TypeValue]


class ActionProfileDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    max_size: int
    selector: SelectorDoc | None = None


class KeyDoc(msgspec.Struct, frozen=True):
    match_type: str
    target: list[str] | str
    mask: str | None = None
    name: str | None = None


class DefaultEntryDoc(msgspec.Struct, frozen=True):
    action_id: int
    action_data: list[str]
    action_const: bool = False
    action_entry_const: bool = False


class MatchKeyDoc(msgspec.Struct, frozen=True):
    match_type: str
    key: str | bool | None = None
    mask: str | None = None
    prefix_length: int | None = None
    start: str | None = None
    end: str | None = None


class ActionEntryDoc(msgspec.Struct, frozen=True):
    action_id: int
    action_data: list[str]


class EntryDoc(msgspec.Struct, frozen=True):
    match_key: list[MatchKeyDoc]
    action_entry: ActionEntryDoc
    priority: int = 0
    source_info: SourceInfoDoc | None = None


class TableDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    match_type: str
    type: str
    key: list[KeyDoc]
    actions: list[str]
    next_tables: dict[str, str | None]
    action_ids: list[int] | None = None
    max_size: int | None = None
    with_counters: bool = False
    support_timeout: bool = False
    action_profile: str | None = None
    act_prof_name: str | None = None
    selector: SelectorDoc | None = None
    direct_meters: str | None = None
    base_default_next: str | None = None
    default_entry: DefaultEntryDoc | None = None
    entries: list[EntryDoc] | None = None
    source_info: SourceInfoDoc | None = None


class ConditionalDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    expression: TypeValue | None
    true_next: str | None = None
    false_next: str | None = None
    source_info: SourceInfoDoc | None = None


class ActionCallDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    action_id: int
    next_node: str | None = None


class PipelineDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    init_table: str | None
    tables: list[TableDoc]
    conditionals: list[ConditionalDoc]
    action_profiles: list[ActionProfileDoc] = []
    action_calls: list[ActionCallDoc] = []
    source_info: SourceInfoDoc | None = None


class ChecksumDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    target: tuple[str, str]
    type: str
    calculation: str | None = None
    update: bool = True
    verify: bool = True
    if_cond: TypeValue | None = None
    source_info: SourceInfoDoc | None = None


class ExternInstanceDoc(msgspec.Struct, frozen=True):
    name: str
    id: int
    type: str
    source_info: SourceInfoDoc | None = None


class MetaDoc(msgspec.Struct, frozen=True):
    version: list[int] = []
    compiler: str = ""


class Document(msgspec.Struct, frozen=True):
    """The whole file."""

    header_types: list[HeaderTypeDoc]
    headers: list[HeaderDoc]
    parsers: list[ParserDoc]
    deparsers: list[DeparserDoc]
    actions: list[ActionDoc]
    pipelines: list[PipelineDoc]
    program: str = ""
    meta: MetaDoc = msgspec.field(name="__meta__", default=MetaDoc())
    header_stacks: list[HeaderStackDoc] = []
    header_union_types: list[HeaderUnionTypeDoc] = []
    header_unions: list[HeaderUnionDoc] = []
    header_union_stacks: list[HeaderUnionStackDoc] = []
    field_lists: list[FieldListDoc] = []
    errors: list[tuple[str, int]] = []
    enums: list[Any] = []
    parse_vsets: list[ParseVsetDoc] = []
    meter_arrays: list[MeterArrayDoc] = []
    counter_arrays: list[CounterArrayDoc] = []
    register_arrays: list[RegisterArrayDoc] = []
    calculations: list[CalculationDoc] = []
    learn_lists: list[LearnListDoc] = []
    checksums: list[ChecksumDoc] = []
    extern_instances: list[ExternInstanceDoc] = []
    field_aliases: list[tuple[str, tuple[str, str]]] = []


def decode(data: bytes) -> Document:
    """Read `data` as a BMv2 JSON.

    Raises:
        JsonError: it is not JSON, or not of that shape; the message names the object.
    """
    try:
        raw = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JsonError("BMv2 JSON", str(error)) from None
    except RecursionError:
        raise JsonError("BMv2 JSON", "nested too deeply") from None
    try:
        return msgspec.convert(raw, Document)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        path = path.rstrip("`")
        raise JsonError(_describe(raw, path) if path else "BMv2 JSON", message) from None


def _describe(raw: object, path: str) -> str:
    """Add the names met on the way to a msgspec path such as `$.pipelines[0].tables[2].key`."""
    names: list[str] = []
    node = raw
    for step in path.removeprefix("$").replace("[", ".[").split("."):
        if not step:
            continue
        if step.startswith("["):
            index = step[1:-1]
            node = node[int(index)] if index.isdigit() and isinstance(node, list) else None
        else:
            node = node.get(step) if isinstance(node, dict) else None
        if isinstance(node, dict) and isinstance(node.get("name"), str):
            names.append(node["name"])
    return path + (f" ({' / '.join(repr(name) for name in names)})" if names else "")
