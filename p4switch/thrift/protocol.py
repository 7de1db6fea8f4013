"""Thrift's binary protocol, as far as BMv2's services use it: strict and old-style messages, multiplexed by service name.

A type is an object with a wire code, `read` and `write`; a struct is a dataclass with its fields' types in `FIELDS`. Written here
because simple_switch_CLI is started for each test of a suite, and the libraries that parse an IDL take longer to import than such a
test's commands.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, Protocol

STOP, BOOL_CODE, BYTE_CODE, DOUBLE_CODE, I16_CODE, I32_CODE, I64_CODE = 0, 2, 3, 4, 6, 8, 10
STRING_CODE, STRUCT_CODE, MAP_CODE, SET_CODE, LIST_CODE = 11, 12, 13, 14, 15
CALL, REPLY, EXCEPTION, ONEWAY = 1, 2, 3, 4
_VERSION_1 = 0x80010000
MAX_BYTES = 256 << 20  # a configuration is the largest thing that is sent; a wild length must not take the memory
MAX_DEPTH = 32

UNKNOWN_METHOD, INTERNAL_ERROR, PROTOCOL_ERROR = 1, 6, 7


class ProtocolError(Exception):
    """The peer's bytes are not Thrift, or the connection ended within a message."""


class RangeError(ProtocolError):
    """A number is too large for its place in a message. Nothing has been sent."""


class ApplicationError(Exception):
    """What a call fails with when no declared exception fits; `kind` is Thrift's number for it."""

    def __init__(self, kind: int, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ThriftError(Exception):
    """A declared exception of a service: each has a code from an enumeration of its own."""

    CODES: ClassVar[dict[int, str]] = {}
    KIND: ClassVar[str] = ""

    def __init__(self, code: int) -> None:
        super().__init__(self.CODES.get(code, str(code)))
        self.code = code


class Reader:
    """Takes values from a binary stream."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def take(self, count: int) -> bytes:
        if not 0 <= count <= MAX_BYTES:
            raise ProtocolError(f"a length of {count} bytes")
        data = self._stream.read(count)
        if len(data) != count:
            raise ProtocolError("the connection ended within a message")
        return data

    def number(self, form: struct.Struct) -> Any:
        return form.unpack(self.take(form.size))[0]

    def skip(self, code: int, depth: int = 0) -> None:
        """Passes over a value of which nothing but the wire code is known."""
        if depth > MAX_DEPTH:
            raise ProtocolError("a value is nested too deeply")
        if code in _FIXED:
            self.take(_FIXED[code])
        elif code == STRING_CODE:
            self.take(self.number(_I32))
        elif code == STRUCT_CODE:
            while (inner := self.number(_U8)) != STOP:
                self.take(2)
                self.skip(inner, depth + 1)
        elif code in (LIST_CODE, SET_CODE):
            inner = self.number(_U8)
            for _ in range(self.number(_I32)):
                self.skip(inner, depth + 1)
        elif code == MAP_CODE:
            key, value = self.number(_U8), self.number(_U8)
            for _ in range(self.number(_I32)):
                self.skip(key, depth + 1)
                self.skip(value, depth + 1)
        else:
            raise ProtocolError(f"the wire type {code} is unknown")


_U8, _I8, _I16, _I32, _I64 = (struct.Struct(form) for form in (">B", ">b", ">h", ">i", ">q"))
_U32, _DOUBLE = struct.Struct(">I"), struct.Struct(">d")
_FIXED = {BOOL_CODE: 1, BYTE_CODE: 1, I16_CODE: 2, I32_CODE: 4, I64_CODE: 8, DOUBLE_CODE: 8}


class Type(Protocol):
    """How a value is written."""

    @property
    def code(self) -> int: ...
    def read(self, reader: Reader) -> Any: ...
    def write(self, out: bytearray, value: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Number:
    code: int
    form: struct.Struct
    convert: Callable[[Any], Any] = int

    def read(self, reader: Reader) -> Any:
        return self.convert(reader.number(self.form))

    def write(self, out: bytearray, value: Any) -> None:
        try:
            out += self.form.pack(self.convert(value))
        except struct.error:
            raise RangeError(f"{value} does not fit in {self.form.size * 8} bits") from None


@dataclass(frozen=True, slots=True)
class Bytes:
    """`text` is decoded; bytes that are not UTF-8 are kept as they can be."""

    text: bool
    code: int = STRING_CODE

    def read(self, reader: Reader) -> bytes | str:
        data = reader.take(reader.number(_I32))
        return data.decode(errors="replace") if self.text else data

    def write(self, out: bytearray, value: bytes | str) -> None:
        data = value.encode() if isinstance(value, str) else value
        out += _I32.pack(len(data))
        out += data


@dataclass(frozen=True, slots=True)
class ListOf:
    item: Type
    code: int = LIST_CODE

    def read(self, reader: Reader) -> list[Any]:
        code, count = reader.number(_U8), reader.number(_I32)
        if count and code != self.item.code:
            raise ProtocolError(f"a list of wire type {code}, not {self.item.code}")
        return [self.item.read(reader) for _ in range(count)]

    def write(self, out: bytearray, value: Iterable[Any]) -> None:
        items = list(value)
        out += _U8.pack(self.item.code)
        out += _I32.pack(len(items))
        for item in items:
            self.item.write(out, item)


@dataclass(frozen=True, slots=True)
class MapOf:
    key: Type
    value: Type
    code: int = MAP_CODE

    def read(self, reader: Reader) -> dict[Any, Any]:
        codes, count = (reader.number(_U8), reader.number(_U8)), reader.number(_I32)
        if count and codes != (self.key.code, self.value.code):
            raise ProtocolError(f"a map of wire types {codes}")
        result = {}
        for _ in range(count):
            key = self.key.read(reader)
            result[key] = self.value.read(reader)
        return result

    def write(self, out: bytearray, value: dict[Any, Any]) -> None:
        out += _U8.pack(self.key.code) + _U8.pack(self.value.code) + _I32.pack(len(value))
        for key, item in value.items():
            self.key.write(out, key)
            self.value.write(out, item)


Fields = tuple[tuple[str, Type], ...]
"""Names and types of a struct's fields; their Thrift numbers count from 1."""


@dataclass(frozen=True, slots=True)
class StructOf:
    """A struct that is read into `make`, a dataclass whose attributes are the fields; fields that are None are not sent."""

    make: Callable[..., Any]
    fields: Fields
    code: int = STRUCT_CODE

    def read(self, reader: Reader) -> Any:
        return self.make(**read_fields(reader, self.fields))

    def write(self, out: bytearray, value: Any) -> None:
        write_fields(out, self.fields, [getattr(value, name) for name, _ in self.fields])


BOOL = Number(BOOL_CODE, _I8, bool)
I16 = Number(I16_CODE, _I16)
I32 = Number(I32_CODE, _I32)
I64 = Number(I64_CODE, _I64)
DOUBLE = Number(DOUBLE_CODE, _DOUBLE, float)
STRING = Bytes(text=True)
BINARY = Bytes(text=False)


def read_fields(reader: Reader, fields: Fields) -> dict[str, Any]:
    """The fields of a struct that were sent and are known, up to its end."""
    found: dict[str, Any] = {}
    while (code := reader.number(_U8)) != STOP:
        number = reader.number(_I16)
        if 1 <= number <= len(fields) and fields[number - 1][1].code == code:
            name, kind = fields[number - 1]
            found[name] = kind.read(reader)
        else:
            reader.skip(code)
    return found


def write_fields(out: bytearray, fields: Fields, values: Iterable[Any], first: int = 1) -> None:
    for number, ((_, kind), value) in enumerate(zip(fields, values, strict=True), start=first):
        if value is not None:
            out += _U8.pack(kind.code) + _I16.pack(number)
            kind.write(out, value)
    out += _U8.pack(STOP)


@dataclass(frozen=True, slots=True)
class Method:
    """A call: its arguments, what it returns (None: nothing) and the exception it declares, if any."""

    name: str
    arguments: Fields
    result: Type | None = None
    error: type[ThriftError] | None = None


_ERROR_FIELDS: Fields = (("code", I32),)
_APPLICATION_FIELDS: Fields = (("message", STRING), ("type", I32))


def message_head(kind: int, name: str, sequence: int) -> bytearray:
    out = bytearray(_U32.pack(_VERSION_1 | kind))
    STRING.write(out, name)
    out += _I32.pack(sequence)
    return out


def read_head(reader: Reader) -> tuple[int, str, int]:
    """Kind, name and sequence number of the next message."""
    first = reader.number(_I32)
    if first < 0:
        if first & 0xFFFF0000 != _VERSION_1:
            raise ProtocolError("another version of the protocol")
        kind, name = first & 0xFF, str(STRING.read(reader))
    else:
        name = reader.take(first).decode(errors="replace")
        kind = reader.number(_U8)
    return kind, name, reader.number(_I32)


def call_message(service: str, method: Method, sequence: int, arguments: Iterable[Any]) -> bytes:
    out = message_head(CALL, f"{service}:{method.name}", sequence)
    write_fields(out, method.arguments, arguments)
    return bytes(out)


def result_message(method: Method, sequence: int, value: Any) -> bytes:
    out = message_head(REPLY, method.name, sequence)
    if method.result is not None:
        write_fields(out, (("success", method.result),), (value,), first=0)
    else:
        out += _U8.pack(STOP)
    return bytes(out)


def error_message(method: Method, sequence: int, error: ThriftError) -> bytes:
    out = message_head(REPLY, method.name, sequence)
    write_fields(out, (("ouch", StructOf(type(error), _ERROR_FIELDS)),), (error,))
    return bytes(out)


def failure_message(name: str, sequence: int, error: ApplicationError) -> bytes:
    out = message_head(EXCEPTION, name, sequence)
    write_fields(out, _APPLICATION_FIELDS, (str(error), error.kind))
    return bytes(out)


def read_result(reader: Reader, method: Method) -> Any:
    """The value that a call returned.

    Raises:
        ThriftError, ApplicationError: what it failed with.
        ProtocolError: the peer's bytes make no sense.
    """
    kind, _, _ = read_head(reader)
    if kind == EXCEPTION:
        found = read_fields(reader, _APPLICATION_FIELDS)
        raise ApplicationError(found.get("type", 0), found.get("message", "the call failed"))
    value, error = None, None
    while (code := reader.number(_U8)) != STOP:
        number = reader.number(_I16)
        if number == 0 and method.result is not None and method.result.code == code:
            value = method.result.read(reader)
        elif number == 1 and method.error is not None and code == STRUCT_CODE:
            error = method.error(read_fields(reader, _ERROR_FIELDS).get("code", 0))
        else:
            reader.skip(code)
    if error is not None:
        raise error
    return value
