"""Messages to files: the text format by hand, JSON and binary by way of protobuf, which is loaded only for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from enum import Enum
from typing import Any

from p4compiler.backends.p4info import messages as m

_HEADERS = {
    m.P4Info: "# proto-file: p4/config/v1/p4info.proto\n# proto-message: p4.config.v1.P4Info\n\n",
    m.WriteRequest: "# proto-file: p4/v1/p4runtime.proto\n# proto-message: p4.v1.WriteRequest\n\n",
}


def encode(message: m.P4Info | m.WriteRequest, format_: str) -> bytes:
    """The contents of a file in the format `text`, `json` or `binary`."""
    text = format_text(message)
    if format_ == "text":
        return (_HEADERS[type(message)] + text).encode()
    from google.protobuf import json_format, text_format

    from p4base.messages import p4i, p4r

    parsed = text_format.Parse(text, p4i.P4Info() if isinstance(message, m.P4Info) else p4r.WriteRequest())
    if format_ == "binary":
        return bytes(parsed.SerializeToString(deterministic=True))
    return (json_format.MessageToJson(parsed, indent=1) + "\n").encode()


def format_text(message: m.Message) -> str:
    """The protobuf text format, as protobuf itself writes it."""
    return "".join(_message(message, ""))


_FIELDS: dict[type, tuple[str, ...]] = {}


def _field_names(kind: type) -> tuple[str, ...]:
    found = _FIELDS.get(kind)
    if found is None:
        found = _FIELDS[kind] = tuple(f.name for f in fields(kind))
    return found


def _message(message: m.Message, indent: str) -> Iterator[str]:
    for name in _field_names(type(message)):
        yield from _field(name, getattr(message, name), indent)


def _field(name: str, value: Any, indent: str) -> Iterator[str]:
    match value:
        case None | 0 | "" | b"":
            return
        case m.Explicit(value=inner):
            yield f"{indent}{name}: {_scalar(inner)}\n"
        case m.Message():
            yield from _nested(name, value, indent)
        case list():
            for element in value:
                if isinstance(element, m.Message):
                    yield from _nested(name, element, indent)
                else:
                    yield f"{indent}{name}: {_scalar(element)}\n"
        case dict():
            for key in sorted(value):
                yield f"{indent}{name} {{\n{indent}  key: {_scalar(key)}\n"
                yield from _nested("value", value[key], indent + "  ")
                yield f"{indent}}}\n"
        case _:
            yield f"{indent}{name}: {_scalar(value)}\n"


def _nested(name: str, message: m.Message, indent: str) -> Iterator[str]:
    yield f"{indent}{name} {{\n"
    yield from _message(message, indent + "  ")
    yield f"{indent}}}\n"


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, str):
        return _quoted(value.encode())
    if isinstance(value, bytes):
        return _quoted(value)
    return str(value)


_ESCAPES = {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x22: '\\"', 0x27: "\\'", 0x5C: "\\\\"}


def _quoted(data: bytes) -> str:
    """C escapes, octal for what cannot be printed."""
    return '"' + "".join(_ESCAPES.get(b) or (chr(b) if 0x20 <= b < 0x7F else f"\\{b:03o}") for b in data) + '"'
