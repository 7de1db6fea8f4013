"""The BMv2 JSON document as objects: one class for each kind of object in the format's description.

Attribute names are the JSON's keys. An attribute that is None and stands in `optional` is left out; other Nones are nulls.
"""

from __future__ import annotations

import json
from dataclasses import field, fields
from enum import Enum
from typing import Any, ClassVar

from p4compiler.backends.bmv2.values import Json, Value
from p4compiler.node import record
from p4compiler.source import Span

FORMAT_VERSION = (2, 23)
"""What p4c writes too: nothing that came later is used."""


@record
class Item:
    """An object of the document."""

    optional: ClassVar[frozenset[str]] = frozenset({"source_info"})

    def json(self) -> dict[str, Json]:
        result: dict[str, Json] = {}
        for name in _keys(type(self)):
            value = getattr(self, name)
            if value is None and name in self.optional:
                continue
            result[name] = _encode(value)
        return result


_KEYS: dict[type[Item], tuple[str, ...]] = {}


def _keys(cls: type[Item]) -> tuple[str, ...]:
    found = _KEYS.get(cls)
    if found is None:
        found = _KEYS[cls] = tuple(f.name for f in fields(cls))
    return found


def _encode(value: Any) -> Json:
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, list | tuple):
        return [_encode(element) for element in value]
    if isinstance(value, Item | Value):
        return value.json()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {key: _encode(element) for key, element in value.items()}
    raise TypeError(f"{type(value).__name__} has no place in a BMv2 document")


@record
class SourceInfo(Item):
    filename: str
    line: int
    column: int
    source_fragment: str

    @staticmethod
    def of(span: Span) -> SourceInfo:
        """The place, with the first line of its text; the column counts from 0 as BMv2's users know it."""
        line, column = span.position
        text = span.text
        first, newline, _ = text.partition("\n")
        return SourceInfo(span.file.path, line, column - 1, f"{first} ..." if newline else first)


# -- headers


@record
class HeaderType(Item):
    """`fields`: name, width (or `*`) and sign. `max_length` in bytes, for a type with a varbit field."""

    optional = frozenset({"max_length"})
    name: str
    id: int
    fields: list[tuple[str, int | str, bool]]
    max_length: int | None = None


@record
class HeaderInstance(Item):
    name: str
    id: int
    header_type: str
    metadata: bool
    pi_omit: bool = True


@record
class HeaderStack(Item):
    name: str
    id: int
    header_type: str
    size: int
    header_ids: list[int]


@record
class HeaderUnionType(Item):
    name: str
    id: int
    headers: list[tuple[str, str]]


@record
class HeaderUnion(Item):
    name: str
    id: int
    union_type: str
    header_ids: list[int]
    pi_omit: bool = True


@record
class HeaderUnionStack(Item):
    name: str
    id: int
    union_type: str
    size: int
    header_union_ids: list[int]


@record
class FieldList(Item):
    """Also a learn list. Ids start at 1: 0 means none."""

    id: int
    name: str
    source_info: SourceInfo | None
    elements: list[Value]


@record
class EnumDefinition(Item):
    name: str
    entries: list[tuple[str, int]]


# -- parsers


@record
class Primitive(Item):
    """A primitive call in an action."""

    op: str
    parameters: list[Json]
    source_info: SourceInfo | None = None


@record
class ParserOperation(Item):
    op: str
    parameters: list[Json]


@record
class ParserTransition(Item):
    type: str
    value: str | None
    mask: str | None
    next_state: str | None


@record
class ParseState(Item):
    name: str
    id: int
    parser_ops: list[ParserOperation]
    transitions: list[ParserTransition]
    transition_key: list[Value]


@record
class Parser(Item):
    name: str
    id: int
    init_state: str
    parse_states: list[ParseState]


@record
class ParseValueSet(Item):
    name: str
    id: int
    compressed_bitwidth: int
    max_size: int


@record
class Deparser(Item):
    name: str
    id: int
    source_info: SourceInfo | None
    order: list[str]
    primitives: list[Primitive]


# -- arrays


@record
class MeterArray(Item):
    optional = frozenset({"source_info", "binding", "result_target"})
    name: str
    id: int
    source_info: SourceInfo | None
    is_direct: bool
    size: int
    rate_count: int
    type: str
    binding: str | None = None
    result_target: list[str] | None = None


@record
class CounterArray(Item):
    optional = frozenset({"source_info", "size", "binding"})
    name: str
    id: int
    source_info: SourceInfo | None
    is_direct: bool
    size: int | None = None
    binding: str | None = None


@record
class RegisterArray(Item):
    name: str
    id: int
    source_info: SourceInfo | None
    size: int
    bitwidth: int


@record
class Calculation(Item):
    name: str
    id: int
    source_info: SourceInfo | None
    algo: str
    input: list[Value]


@record
class Checksum(Item):
    name: str
    id: int
    source_info: SourceInfo | None
    target: list[str]
    type: str
    calculation: str
    verify: bool
    update: bool
    if_cond: Value


# -- actions and tables


@record
class RuntimeParameter(Item):
    name: str
    bitwidth: int


@record
class Action(Item):
    name: str
    id: int
    runtime_data: list[RuntimeParameter]
    primitives: list[Primitive]


@record
class TableKey(Item):
    match_type: str
    name: str
    target: list[str]
    mask: str | None


@record
class MatchKey(Item):
    """One field of an entry's key; which attributes are there depends on the match type."""

    optional = frozenset({"key", "mask", "prefix_length", "start", "end"})
    match_type: str
    key: str | None = None
    mask: str | None = None
    prefix_length: int | None = None
    start: str | None = None
    end: str | None = None


@record
class ActionEntry(Item):
    action_id: int
    action_data: list[str]


@record
class TableEntry(Item):
    source_info: SourceInfo | None
    match_key: list[MatchKey]
    action_entry: ActionEntry
    priority: int


@record
class DefaultEntry(Item):
    action_id: int
    action_const: bool
    action_data: list[str]
    action_entry_const: bool


@record
class Table(Item):
    optional = frozenset({"source_info", "action_profile", "default_entry", "entries"})
    name: str
    id: int
    source_info: SourceInfo | None
    key: list[TableKey]
    match_type: str
    type: str
    action_profile: str | None
    max_size: int
    with_counters: bool
    support_timeout: bool
    direct_meters: str | None
    action_ids: list[int]
    actions: list[str]
    base_default_next: str | None
    next_tables: dict[str, str | None]
    default_entry: DefaultEntry | None
    entries: list[TableEntry] | None


@record
class Selector(Item):
    algo: str
    input: list[Value]


@record
class ActionProfile(Item):
    optional = frozenset({"source_info", "selector"})
    name: str
    id: int
    source_info: SourceInfo | None
    max_size: int
    selector: Selector | None = None


@record
class Conditional(Item):
    name: str
    id: int
    source_info: SourceInfo | None
    expression: Value
    true_next: str | None
    false_next: str | None


@record
class Pipeline(Item):
    name: str
    id: int
    source_info: SourceInfo | None
    init_table: str | None
    tables: list[Table]
    action_profiles: list[ActionProfile]
    conditionals: list[Conditional]


@record
class ExternAttribute(Item):
    name: str
    type: str
    value: str


@record
class ExternInstance(Item):
    name: str
    id: int
    type: str
    attribute_values: list[ExternAttribute]


# -- everything


@record
class Document(Item):
    header_types: list[HeaderType] = field(default_factory=list)
    headers: list[HeaderInstance] = field(default_factory=list)
    header_stacks: list[HeaderStack] = field(default_factory=list)
    header_union_types: list[HeaderUnionType] = field(default_factory=list)
    header_unions: list[HeaderUnion] = field(default_factory=list)
    header_union_stacks: list[HeaderUnionStack] = field(default_factory=list)
    field_lists: list[FieldList] = field(default_factory=list)
    errors: list[tuple[str, int]] = field(default_factory=list)
    enums: list[EnumDefinition] = field(default_factory=list)
    parsers: list[Parser] = field(default_factory=list)
    parse_vsets: list[ParseValueSet] = field(default_factory=list)
    deparsers: list[Deparser] = field(default_factory=list)
    meter_arrays: list[MeterArray] = field(default_factory=list)
    counter_arrays: list[CounterArray] = field(default_factory=list)
    register_arrays: list[RegisterArray] = field(default_factory=list)
    calculations: list[Calculation] = field(default_factory=list)
    learn_lists: list[FieldList] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    pipelines: list[Pipeline] = field(default_factory=list)
    checksums: list[Checksum] = field(default_factory=list)
    force_arith: list[Value] = field(default_factory=list)
    extern_instances: list[ExternInstance] = field(default_factory=list)
    field_aliases: list[tuple[str, tuple[str, str]]] = field(default_factory=list)
    program: str = ""

    def serialize(self) -> str:
        """The JSON text: an object of the document on a line, so that it can be read and compared."""
        encode = json.JSONEncoder(separators=(", ", " : ")).encode
        sections = []
        for key in _keys(type(self)):
            value = getattr(self, key)
            if isinstance(value, list) and value:
                body = ",\n    ".join(encode(_encode(item)) for item in value)
                sections.append(f"  {encode(key)} : [\n    {body}\n  ]")
            else:
                sections.append(f"  {encode(key)} : {encode(_encode(value))}")
        meta = {"version": list(FORMAT_VERSION), "compiler": "kulvert"}
        sections.append(f"  {encode('__meta__')} : {encode(meta)}")
        return "{\n" + ",\n".join(sections) + "\n}\n"
