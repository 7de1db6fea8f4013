"""The types of data as the control plane sees them: P4's own, with their names and structure.

The data plane's part of the IR does without them; P4Info's `type_info` is made of them.
"""

from __future__ import annotations

from typing import final

from p4compiler.ir.annotations import Annotation
from p4compiler.node import node
from p4compiler.source import Span


@node
class DataType:
    pass


@final
@node
class BitsData(DataType):
    width: int
    signed: bool = False


@final
@node
class VarbitData(DataType):
    max_width: int


@final
@node
class BoolData(DataType):
    pass


@final
@node
class ErrorData(DataType):
    """All the errors of the program, in order."""

    members: tuple[str, ...]


@final
@node
class TupleData(DataType):
    members: tuple[DataType, ...]


@final
@node
class DataMember:
    name: str
    type: DataType


@final
@node
class StructData(DataType):
    name: str
    members: tuple[DataMember, ...]


@final
@node
class HeaderData(DataType):
    """Nested structures are flattened; the members are bits, varbits or named by a new type or serializable enum."""

    name: str
    members: tuple[DataMember, ...]


@final
@node
class HeaderUnionData(DataType):
    name: str
    members: tuple[DataMember, ...]


@final
@node
class StackData(DataType):
    element: HeaderData | HeaderUnionData
    size: int


@final
@node
class EnumData(DataType):
    name: str
    members: tuple[str, ...]


@final
@node
class SerializableEnumData(DataType):
    name: str
    width: int
    members: tuple[tuple[str, int], ...]


@final
@node
class Translation:
    """`@p4runtime_translation(uri, ...)`: `sdn_width` None means an SDN string."""

    uri: str
    sdn_width: int | None


@final
@node
class NewTypeData(DataType):
    """`type underlying name`; `underlying` is already followed through other new types."""

    span: Span
    name: str
    underlying: DataType
    translation: Translation | None
    annotations: tuple[Annotation, ...]


def data_width(data_type: DataType) -> int:
    """The width on the P4Runtime channel: 0 for an SDN string and for errors.

    Raises:
        TypeError: it is not a type of a key or parameter.
    """
    match data_type:
        case BitsData(width=width) | SerializableEnumData(width=width):
            return width
        case BoolData():
            return 1
        case ErrorData():
            return 0
        case EnumData():
            return 32
        case VarbitData(max_width=width):
            return width
        case NewTypeData(underlying=underlying, translation=translation):
            if translation is None:
                return data_width(underlying)
            return translation.sdn_width or 0
        case StructData(members=members) | HeaderData(members=members):
            return sum(data_width(member.type) for member in members)
        case TupleData(members=elements):
            return sum(data_width(element) for element in elements)
    raise TypeError(f"{data_type} has no width")
