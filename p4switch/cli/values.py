"""Values as they are typed: numbers in any base, addresses, match keys."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from p4switch.cli.errors import CommandError
from p4switch.cli.program import Action, KeyField, Table
from p4switch.thrift.services import (
    ExactParam,
    LpmParam,
    MatchParam,
    MatchType,
    RangeParam,
    TernaryParam,
    ValidParam,
)

_BAD_KEY = "Invalid match key"
_BAD_DATA = "Invalid runtime data"


def integer(text: str, what: str) -> int:
    """A decimal number."""
    try:
        return int(text)
    except ValueError:
        raise CommandError(f"Bad format for {what}, expected integer") from None


def _address(text: str, width: int) -> bytes | None:
    """An IPv4, MAC or IPv6 address for a field as wide as one; None if it does not look like one."""
    if width == 32 and "." in text:
        try:
            return socket.inet_pton(socket.AF_INET, text)
        except OSError:
            raise ValueError("Invalid IPv4 address") from None
    if width == 48 and ":" in text:
        parts = text.split(":")
        try:
            if len(parts) == 6:
                return bytes(int(part, 16) for part in parts)
        except ValueError:
            pass
        raise ValueError("Invalid MAC address")
    if width == 128 and ":" in text:
        try:
            return socket.inet_pton(socket.AF_INET6, text)
        except OSError:
            raise ValueError("Invalid IPv6 address") from None
    return None


def parse_value(text: str, width: int) -> bytes:
    """The value of a field of `width` bits, as ceil(width / 8) bytes.

    Raises:
        ValueError: not a value, or too large.
    """
    address = _address(text, width)
    if address is not None:
        return address
    try:
        value = int(text, 0)
    except ValueError:
        raise ValueError("Invalid input, could not cast to integer, try in hex with 0x prefix") from None
    size = (width + 7) // 8
    if value < 0 or value.bit_length() > 8 * size:
        raise ValueError("Parameter is too large" if value >= 0 else "Parameter is negative")
    return value.to_bytes(size, "big")


def parse_data(action: Action, texts: Sequence[str], name: str | None = None) -> list[bytes]:
    """The arguments of an action."""
    if len(texts) != len(action.params):
        raise CommandError(f"Action {name or action.name} needs {len(action.params)} parameters")
    data: list[bytes] = []
    for text, (_, width) in zip(texts, action.params, strict=True):
        try:
            data.append(parse_value(text, width))
        except ValueError as error:
            raise CommandError(f"Error while parsing {text} - {error}", _BAD_DATA) from None
    return data


def parse_key(table: Table, texts: Sequence[str]) -> list[MatchParam]:
    """The fields of a match key: VALUE, PREFIX/LENGTH, VALUE&&&MASK, LOW->HIGH, or 0 and 1 for validity."""
    if len(texts) != len(table.key):
        raise CommandError(f"Table {table.name} needs {len(table.key)} key fields")
    return [_parse_field(field, text) for field, text in zip(table.key, texts, strict=True)]


def _parse_field(field: KeyField, text: str) -> MatchParam:
    def value(part: str) -> bytes:
        try:
            return parse_value(part, field.width)
        except ValueError as error:
            raise CommandError(f"Error while parsing {part} - {error}", _BAD_KEY) from None

    def split(separator: str) -> tuple[str, str]:
        left, found, right = text.partition(separator)
        if not found or separator in right:
            raise CommandError(f"Invalid {field.match} value {text}, use '{separator}' between its parts", _BAD_KEY)
        return left, right

    match field.match:
        case "lpm":
            prefix, length = split("/")
            if not length.isdecimal():
                raise CommandError(f"Invalid prefix length {length}", _BAD_KEY)
            return MatchParam(MatchType.LPM, lpm=LpmParam(value(prefix), int(length)))
        case "ternary" | "optional":
            key, mask = split("&&&")
            return MatchParam(MatchType.TERNARY, ternary=TernaryParam(value(key), value(mask)))
        case "range":
            low, high = (value(part) for part in split("->"))
            if low > high:
                raise CommandError(f"the start is above the end in {text}", _BAD_KEY)
            return MatchParam(MatchType.RANGE, range=RangeParam(low, high))
        case "valid":
            if text.lower() not in ("0", "1", "true", "false"):
                raise CommandError(f"Invalid valid value {text}, use 0 or 1", _BAD_KEY)
            return MatchParam(MatchType.VALID, valid=ValidParam(text.lower() in ("1", "true")))
    return MatchParam(MatchType.EXACT, exact=ExactParam(value(text)))


def spelled(data: bytes) -> str:
    """Bytes with colons between, as the commands echo what they were given."""
    return ":".join(f"{byte:02x}" for byte in data)


def spelled_param(param: MatchParam) -> str:
    kind = MatchType(param.type).name
    match param:
        case MatchParam(exact=ExactParam(key)):
            return f"{kind}-{spelled(key)}"
        case MatchParam(lpm=LpmParam(key, length)):
            return f"{kind}-{spelled(key)}/{length}"
        case MatchParam(ternary=TernaryParam(key, mask)):
            return f"{kind}-{spelled(key)} &&& {spelled(mask)}"
        case MatchParam(range=RangeParam(low, high)):
            return f"{kind}-{spelled(low)} -> {spelled(high)}"
    return f"{kind}-"


def dumped_param(param: MatchParam) -> str:
    """A field of an installed entry."""
    match param:
        case MatchParam(exact=ExactParam(key)):
            return key.hex()
        case MatchParam(lpm=LpmParam(key, length)):
            return f"{key.hex()}/{length}"
        case MatchParam(ternary=TernaryParam(key, mask)):
            return f"{key.hex()} &&& {mask.hex()}"
        case MatchParam(range=RangeParam(low, high)):
            return f"{low.hex()} -> {high.hex()}"
        case MatchParam(valid=ValidParam(valid)):
            return "01" if valid else "00"
    return ""
