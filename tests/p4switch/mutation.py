"""Wrong messages made from right ones: fields set to what nobody expects, and bytes changed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_INTEGERS = (
    0,
    1,
    2,
    3,
    7,
    255,
    256,
    511,
    2**15,
    2**16,
    2**31 - 1,
    2**32 - 1,
    2**63 - 1,
    2**64 - 1,
    -1,
    -(2**31),
    -(2**63),
)
_BYTES = (b"", b"\0", b"\x01", b"\xff", b"\0\x01", b"\xff\xff", b"\x01" * 6, b"\xff" * 16, b"x" * 300)

_INTEGER_LIMITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def mutated(rng: random.Random, message: Message) -> bytes:
    """The bytes of a message that is like `message`, but for a change or a few."""
    copy = type(message)()
    copy.CopyFrom(message)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        change_field(rng, copy)
    data = bytearray(copy.SerializeToString())
    if rng.random() < 0.3:
        change_bytes(rng, data)
    return bytes(data)


def change_field(rng: random.Random, message: Message) -> None:
    """Change one field, somewhere within a message."""
    target = rng.choice(list(_messages(message)))
    fields: list[FieldDescriptor] = [*target.DESCRIPTOR.fields]
    if not fields:
        return
    present: list[FieldDescriptor] = [field for field, _ in target.ListFields()]
    field: FieldDescriptor = rng.choice(present if present and rng.random() < 0.7 else fields)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        target.ClearField(field.name)
        return
    if rng.random() < 0.2:
        target.ClearField(field.name)
    elif field.is_repeated:
        _change_repeated(rng, target, field)
    elif field.message_type is not None:
        getattr(target, field.name).SetInParent()
    else:
        setattr(target, field.name, _scalar(rng, field))


def _change_repeated(rng: random.Random, target: Message, field: FieldDescriptor) -> None:
    items: Any = getattr(target, field.name)
    if items and rng.random() < 0.3:
        del items[rng.randrange(len(items))]
    elif field.message_type is None:
        items.append(_scalar(rng, field))
    elif items and rng.random() < 0.7:
        items.add().CopyFrom(rng.choice(list(items)))
    else:
        items.add()


def _scalar(rng: random.Random, field: FieldDescriptor) -> object:
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return rng.random() < 0.5
    if field.cpp_type in _INTEGER_LIMITS:
        low, high = _INTEGER_LIMITS[field.cpp_type]
        return max(low, min(high, rng.choice(_INTEGERS)))
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        value = rng.choice(_BYTES)
        return value if field.type == FieldDescriptor.TYPE_BYTES else value.decode("latin-1")
    return 0.0


def _messages(message: Message) -> Iterator[Message]:
    """A message and all within it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for item in value if field.is_repeated else (value,):
            yield from _messages(item)


def change_bytes(rng: random.Random, data: bytearray) -> None:
    """Change, remove, repeat or insert a few bytes."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0 if at < len(data):
                data[at] = rng.randrange(256)
            case 1:
                del data[at : at + rng.randint(1, 4)]
            case 2:
                data[at:at] = data[at : at + rng.randint(1, 16)]
            case _:
                data.insert(at, rng.randrange(256))


def change_json(rng: random.Random, document: Any) -> None:
    """Change something, somewhere within a JSON document."""
    nodes = [node for node in _nodes(document) if node]
    node = rng.choice(nodes)
    key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
    match rng.randrange(4):
        case 0:
            del node[key]
        case 1 if isinstance(node, list):
            node.insert(key, node[key])
        case 2:
            other = rng.choice(nodes)
            node[key] = other if not _contains(other, node) else None
        case _:
            node[key] = rng.choice((None, 0, -1, 1, 2**31, 2**70, "", "x", "0x", True, [], {}, [[]], 1.5, "$valid$"))


def _nodes(document: Any) -> Iterator[Any]:
    if isinstance(document, dict | list):
        yield document
        for child in document.values() if isinstance(document, dict) else document:
            yield from _nodes(child)


def _contains(outer: Any, inner: Any) -> bool:
    return any(node is inner for node in _nodes(outer))


def choose(rng: random.Random, messages: Sequence[Message]) -> Message:
    return messages[rng.randrange(len(messages))]
