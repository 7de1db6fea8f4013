"""Data types to P4Info's type specifications, and the `type_info` that holds the named ones."""

from __future__ import annotations

from p4compiler.backends.p4info import messages as m
from p4compiler.backends.p4info.annotations import unstructured_and_structured
from p4compiler.ir import data_types as dt


class TypeInfoBuilder:
    """Collects named types as they are met. `info` is None as long as nothing asked for a type."""

    def __init__(self) -> None:
        self.info: m.TypeInfo | None = None

    def touch(self) -> m.TypeInfo:
        """The type info, which from now on is part of the P4Info even if it stays empty."""
        if self.info is None:
            self.info = m.TypeInfo()
        return self.info

    def spec(self, data: dt.DataType) -> m.DataTypeSpec:
        """The specification of a type; what it names goes to the type info."""
        info = self.touch()
        match data:
            case dt.BitsData() | dt.VarbitData():
                return m.DataTypeSpec(bitstring=self._bitstring(data))
            case dt.BoolData():
                return m.DataTypeSpec(bool=m.Nothing())
            case dt.ErrorData(members=names):
                if info.error is None:
                    info.error = m.ErrorTypeSpec(list(names))
                return m.DataTypeSpec(error=m.Nothing())
            case dt.TupleData(members=members):
                return m.DataTypeSpec(tuple=m.TupleTypeSpec([self.spec(member) for member in members]))
            case dt.StackData(element=element, size=size):
                return self._stack(element, size)
        return self._named(data, info)

    def _named(self, data: dt.DataType, info: m.TypeInfo) -> m.DataTypeSpec:
        match data:
            case dt.StructData(name=name, members=members):
                if name not in info.structs:
                    info.structs[name] = m.StructTypeSpec([m.StructMember(p.name, self.spec(p.type)) for p in members])
                return m.DataTypeSpec(struct=m.NamedType(name))
            case dt.HeaderData(name=name, members=members):
                if name not in info.headers:
                    fields = [m.HeaderMember(p.name, self._bitstring(p.type)) for p in members]
                    info.headers[name] = m.HeaderTypeSpec(fields)
                return m.DataTypeSpec(header=m.NamedType(name))
            case dt.HeaderUnionData(name=name, members=members):
                if name not in info.header_unions:
                    parts = [m.HeaderUnionMember(p.name, self._header_name(p.type)) for p in members]
                    info.header_unions[name] = m.HeaderUnionTypeSpec(parts)
                return m.DataTypeSpec(header_union=m.NamedType(name))
            case dt.EnumData(name=name, members=names):
                info.enums.setdefault(name, m.EnumTypeSpec([m.EnumMember(member) for member in names]))
                return m.DataTypeSpec(enum=m.NamedType(name))
            case dt.SerializableEnumData(name=name, width=width, members=values):
                size = (width + 7) // 8
                info.serializable_enums.setdefault(
                    name,
                    m.SerializableEnumTypeSpec(
                        m.Width(width), [m.SerializableEnumMember(n, value_bytes(v, size)) for n, v in values]
                    ),
                )
                return m.DataTypeSpec(serializable_enum=m.NamedType(name))
            case dt.NewTypeData(name=name):
                if name not in info.new_types:
                    info.new_types[name] = self._new_type(data)
                return m.DataTypeSpec(new_type=m.NamedType(name))
        raise TypeError(f"{type(data).__name__} has no specification")

    def _header_name(self, data: dt.DataType) -> m.NamedType:
        header = self.spec(data).header
        assert header is not None
        return header

    def _stack(self, element: dt.HeaderData | dt.HeaderUnionData, size: int) -> m.DataTypeSpec:
        spec = self.spec(element)
        if spec.header is not None:
            return m.DataTypeSpec(header_stack=m.HeaderStackTypeSpec(spec.header, size))
        assert spec.header_union is not None
        return m.DataTypeSpec(header_union_stack=m.HeaderUnionStackTypeSpec(spec.header_union, size))

    def _bitstring(self, data: dt.DataType) -> m.BitstringLikeTypeSpec:
        match data:
            case dt.BitsData(width=width, signed=True):
                return m.BitstringLikeTypeSpec(int=m.Width(width))
            case dt.VarbitData(max_width=width):
                return m.BitstringLikeTypeSpec(varbit=m.MaxWidth(width))
            case dt.NewTypeData(underlying=underlying):
                return self._bitstring(underlying)
        return m.BitstringLikeTypeSpec(bit=m.Width(dt.data_width(data)))

    def _new_type(self, data: dt.NewTypeData) -> m.NewTypeSpec:
        plain, structured = unstructured_and_structured(data.annotations, {"p4runtime_translation"})
        original = self.spec(data.underlying)
        translation = data.translation
        if translation is None:
            return m.NewTypeSpec(original, None, plain, structured)
        if translation.sdn_width is None:
            translated = m.NewTypeTranslation(translation.uri, sdn_string=m.Nothing())
        else:
            translated = m.NewTypeTranslation(translation.uri, sdn_bitwidth=m.Explicit(translation.sdn_width))
        return m.NewTypeSpec(None, translated, plain, structured)


def type_name(data: dt.DataType) -> m.NamedType | None:
    """What a key, parameter or metadata field of a new type is annotated with."""
    return m.NamedType(data.name) if isinstance(data, dt.NewTypeData) else None


def value_bytes(value: int, size: int) -> bytes:
    """Big-endian, of exactly that many bytes; negative numbers in two's complement."""
    size = max(size, 1)
    return (value & ((1 << size * 8) - 1)).to_bytes(size, "big")
