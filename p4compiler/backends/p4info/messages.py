"""The messages of p4info.proto, p4types.proto and, for table entries, p4runtime.proto, as far as the compiler writes them.

They mirror the protobuf messages so that the compiler need not load protobuf, which takes longer than most compilations.
Attributes stand in the order of the field numbers, which is the order of the text format. A default value (0, False, "", an
empty list) is left out, as protobuf does; None is a message or oneof member that is not set, and a oneof's number that must be
written even where it is 0 is wrapped into `Explicit`.
"""

from __future__ import annotations

from dataclasses import field
from enum import Enum

from p4compiler.node import record, value


@record
class Message:
    """A protobuf message. An attribute whose name is a Python keyword has an underscore behind it."""


@value
class Explicit:
    """A scalar that is written whatever its value: a member of a oneof."""

    value: int | bool | str


# -- p4types.proto


@record
class NamedType(Message):
    name: str


@record
class Literal(Message):
    """`p4.config.v1.Expression`"""

    string_value: Explicit | None = None
    int64_value: Explicit | None = None
    bool_value: Explicit | None = None


@record
class ExpressionList(Message):
    expressions: list[Literal]


@record
class KeyValuePair(Message):
    key: str
    value: Literal


@record
class KeyValuePairList(Message):
    kv_pairs: list[KeyValuePair]


@record
class StructuredAnnotation(Message):
    name: str
    expression_list: ExpressionList | None = None
    kv_pair_list: KeyValuePairList | None = None


@record
class Width(Message):
    """`P4BitTypeSpec` and `P4IntTypeSpec`"""

    bitwidth: int


@record
class MaxWidth(Message):
    """`P4VarbitTypeSpec`"""

    max_bitwidth: int


@record
class BitstringLikeTypeSpec(Message):
    bit: Width | None = None
    int: Width | None = None
    varbit: MaxWidth | None = None


@record
class Nothing(Message):
    """A message without fields: `P4BoolType`, `P4ErrorType`, `SdnString`."""


@record
class TupleTypeSpec(Message):
    members: list[DataTypeSpec]


@record
class HeaderStackTypeSpec(Message):
    header: NamedType
    size: int


@record
class HeaderUnionStackTypeSpec(Message):
    header_union: NamedType
    size: int


@record
class DataTypeSpec(Message):
    bitstring: BitstringLikeTypeSpec | None = None
    bool: Nothing | None = None
    tuple: TupleTypeSpec | None = None
    struct: NamedType | None = None
    header: NamedType | None = None
    header_union: NamedType | None = None
    header_stack: HeaderStackTypeSpec | None = None
    header_union_stack: HeaderUnionStackTypeSpec | None = None
    enum: NamedType | None = None
    error: Nothing | None = None
    serializable_enum: NamedType | None = None
    new_type: NamedType | None = None


@record
class StructMember(Message):
    name: str
    type_spec: DataTypeSpec


@record
class StructTypeSpec(Message):
    members: list[StructMember]


@record
class HeaderMember(Message):
    name: str
    type_spec: BitstringLikeTypeSpec


@record
class HeaderTypeSpec(Message):
    members: list[HeaderMember]


@record
class HeaderUnionMember(Message):
    name: str
    header: NamedType


@record
class HeaderUnionTypeSpec(Message):
    members: list[HeaderUnionMember]


@record
class EnumMember(Message):
    name: str


@record
class EnumTypeSpec(Message):
    members: list[EnumMember]


@record
class ErrorTypeSpec(Message):
    members: list[str]


@record
class SerializableEnumMember(Message):
    name: str
    value: bytes


@record
class SerializableEnumTypeSpec(Message):
    underlying_type: Width
    members: list[SerializableEnumMember]


@record
class NewTypeTranslation(Message):
    uri: str
    sdn_bitwidth: Explicit | None = None
    sdn_string: Nothing | None = None


@record
class NewTypeSpec(Message):
    original_type: DataTypeSpec | None
    translated_type: NewTypeTranslation | None
    annotations: list[str]
    structured_annotations: list[StructuredAnnotation]


@record
class TypeInfo(Message):
    """The maps are written as entries of key and value, sorted by key."""

    structs: dict[str, StructTypeSpec] = field(default_factory=dict)
    headers: dict[str, HeaderTypeSpec] = field(default_factory=dict)
    header_unions: dict[str, HeaderUnionTypeSpec] = field(default_factory=dict)
    enums: dict[str, EnumTypeSpec] = field(default_factory=dict)
    error: ErrorTypeSpec | None = None
    serializable_enums: dict[str, SerializableEnumTypeSpec] = field(default_factory=dict)
    new_types: dict[str, NewTypeSpec] = field(default_factory=dict)


# -- p4info.proto


@record
class Documentation(Message):
    brief: str = ""
    description: str = ""


@record
class PlatformProperties(Message):
    multicast_group_table_size: int = 0
    multicast_group_table_total_replicas: int = 0
    multicast_group_table_max_replicas_per_entry: int = 0


@record
class PkgInfo(Message):
    name: str = ""
    version: str = ""
    doc: Documentation | None = None
    annotations: list[str] = field(default_factory=list)
    arch: str = ""
    organization: str = ""
    contact: str = ""
    url: str = ""
    structured_annotations: list[StructuredAnnotation] = field(default_factory=list)
    platform_properties: PlatformProperties | None = None


@record
class Preamble(Message):
    id: int
    name: str
    alias: str
    annotations: list[str]
    doc: Documentation | None
    structured_annotations: list[StructuredAnnotation]


class MatchType(Enum):
    EXACT = 2
    LPM = 3
    TERNARY = 4
    RANGE = 5
    OPTIONAL = 6


@record
class MatchField(Message):
    id: int
    name: str
    annotations: list[str]
    bitwidth: int
    match_type: MatchType
    doc: Documentation | None
    type_name: NamedType | None
    structured_annotations: list[StructuredAnnotation]


@record
class ActionArgument(Message):
    param_id: int
    value: bytes


@record
class TableActionCall(Message):
    action_id: int
    arguments: list[ActionArgument]


class Scope(Enum):
    """TABLE_AND_DEFAULT is the default and never written."""

    TABLE_ONLY = 1
    DEFAULT_ONLY = 2


@record
class ActionRef(Message):
    id: int
    annotations: list[str]
    scope: Scope | None
    structured_annotations: list[StructuredAnnotation]


class IdleTimeoutBehavior(Enum):
    NOTIFY_CONTROL = 1


@record
class Table(Message):
    preamble: Preamble
    match_fields: list[MatchField]
    action_refs: list[ActionRef]
    const_default_action_id: int
    initial_default_action: TableActionCall | None
    implementation_id: int
    direct_resource_ids: list[int]
    size: int
    idle_timeout_behavior: IdleTimeoutBehavior | None
    is_const_table: bool
    has_initial_entries: bool


@record
class Param(Message):
    id: int
    name: str
    annotations: list[str]
    bitwidth: int
    doc: Documentation | None
    type_name: NamedType | None
    structured_annotations: list[StructuredAnnotation]


@record
class Action(Message):
    preamble: Preamble
    params: list[Param]


@record
class SumOfMembers(Message):
    max_member_weight: int = 0


@record
class ActionProfile(Message):
    preamble: Preamble
    table_ids: list[int]
    with_selector: bool
    size: int
    max_group_size: int
    sum_of_weights: Nothing | None
    sum_of_members: SumOfMembers | None


class CounterUnit(Enum):
    BYTES = 1
    PACKETS = 2
    BOTH = 3


@record
class CounterSpec(Message):
    unit: CounterUnit


@record
class Counter(Message):
    preamble: Preamble
    spec: CounterSpec
    size: int


@record
class DirectCounter(Message):
    preamble: Preamble
    spec: CounterSpec
    direct_table_id: int


class MeterUnit(Enum):
    BYTES = 1
    PACKETS = 2


@record
class MeterSpec(Message):
    unit: MeterUnit


@record
class Meter(Message):
    preamble: Preamble
    spec: MeterSpec
    size: int


@record
class DirectMeter(Message):
    preamble: Preamble
    spec: MeterSpec
    direct_table_id: int


@record
class Metadata(Message):
    id: int
    name: str
    annotations: list[str]
    bitwidth: int
    type_name: NamedType | None
    structured_annotations: list[StructuredAnnotation]


@record
class ControllerPacketMetadata(Message):
    preamble: Preamble
    metadata: list[Metadata]


@record
class ValueSet(Message):
    preamble: Preamble
    match: list[MatchField]
    size: int


@record
class Register(Message):
    preamble: Preamble
    type_spec: DataTypeSpec
    size: int


@record
class Digest(Message):
    preamble: Preamble
    type_spec: DataTypeSpec


@record
class P4Info(Message):
    pkg_info: PkgInfo | None
    tables: list[Table] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    action_profiles: list[ActionProfile] = field(default_factory=list)
    counters: list[Counter] = field(default_factory=list)
    direct_counters: list[DirectCounter] = field(default_factory=list)
    meters: list[Meter] = field(default_factory=list)
    direct_meters: list[DirectMeter] = field(default_factory=list)
    controller_packet_metadata: list[ControllerPacketMetadata] = field(default_factory=list)
    value_sets: list[ValueSet] = field(default_factory=list)
    registers: list[Register] = field(default_factory=list)
    digests: list[Digest] = field(default_factory=list)
    type_info: TypeInfo | None = None


# -- p4runtime.proto


@record
class ExactMatch(Message):
    value: bytes


@record
class TernaryMatch(Message):
    value: bytes
    mask: bytes


@record
class LpmMatch(Message):
    value: bytes
    prefix_len: int


@record
class RangeMatch(Message):
    low: bytes
    high: bytes


@record
class FieldMatch(Message):
    field_id: int
    exact: ExactMatch | None = None
    ternary: TernaryMatch | None = None
    lpm: LpmMatch | None = None
    range: RangeMatch | None = None
    optional: ExactMatch | None = None


@record
class RuntimeParam(Message):
    param_id: int
    value: bytes


@record
class RuntimeAction(Message):
    action_id: int
    params: list[RuntimeParam]


@record
class TableAction(Message):
    action: RuntimeAction


@record
class TableEntry(Message):
    table_id: int
    match: list[FieldMatch]
    action: TableAction
    priority: int
    is_const: bool


@record
class Entity(Message):
    table_entry: TableEntry


class UpdateType(Enum):
    INSERT = 1


@record
class Update(Message):
    type: UpdateType
    entity: Entity


@record
class WriteRequest(Message):
    updates: list[Update] = field(default_factory=list)
