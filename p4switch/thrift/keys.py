"""Match keys and action data between Thrift and the data plane."""

from __future__ import annotations

from collections.abc import Sequence

from p4switch.bmv2 import model
from p4switch.dataplane import Action, Match
from p4switch.native.objects import TableInfo
from p4switch.thrift.services import (
    AddEntryOptions,
    ExactParam,
    InvalidTableOperation,
    LpmParam,
    MatchParam,
    MatchType,
    RangeParam,
    TableError,
    TernaryParam,
    ValidParam,
)
from p4switch.thrift.state import TOP_PRIORITY

_TYPES = {
    model.MatchKind.EXACT: MatchType.EXACT,
    model.MatchKind.LPM: MatchType.LPM,
    model.MatchKind.TERNARY: MatchType.TERNARY,
    model.MatchKind.RANGE: MatchType.RANGE,
    model.MatchKind.VALID: MatchType.VALID,
}


def _bad_key() -> InvalidTableOperation:
    return InvalidTableOperation(TableError.BAD_MATCH_KEY)


def _number(text: bytes, width: int) -> int:
    value = int.from_bytes(text, "big")
    if len(text) != (width + 7) // 8 or value >> width:
        raise _bad_key()
    return value


def _field(kind: model.MatchKind, width: int, param: MatchParam) -> tuple[int, int]:
    """Value and mask of one field, or the bounds of a range."""
    ones = (1 << width) - 1
    if param.type != _TYPES[kind]:
        raise _bad_key()
    match param:
        case MatchParam(exact=ExactParam(key)) if kind is model.MatchKind.EXACT:
            return _number(key, width), ones
        case MatchParam(lpm=LpmParam(key, length)) if kind is model.MatchKind.LPM:
            if not 0 <= length <= width:
                raise _bad_key()
            mask = ones ^ (ones >> length)
            return _number(key, width) & mask, mask
        case MatchParam(ternary=TernaryParam(key, mask_bytes)) if kind is model.MatchKind.TERNARY:
            mask = _number(mask_bytes, width)
            return _number(key, width) & mask, mask
        case MatchParam(range=RangeParam(start, end)) if kind is model.MatchKind.RANGE:
            low, high = _number(start, width), _number(end, width)
            if low > high:
                raise _bad_key()
            return low, high
        case MatchParam(valid=ValidParam(valid)) if kind is model.MatchKind.VALID:
            return int(valid), ones
    raise _bad_key()


def to_match(info: TableInfo, table: model.Table, key: Sequence[MatchParam], options: AddEntryOptions) -> Match:
    """A match as the data plane wants it.

    Raises:
        InvalidTableOperation: BAD_MATCH_KEY, with another number of fields, or a field of another kind, size or value.
    """
    if len(key) != len(table.key):
        raise _bad_key()
    value, mask = b"", b""
    for field, param in zip(table.key, key, strict=True):
        size = (field.width + 7) // 8
        first, second = _field(field.kind, field.width, param)
        value += first.to_bytes(size, "big")
        mask += second.to_bytes(size, "big")
    priority = 0
    if info.prioritised:
        if options.priority is None or not 0 <= options.priority < TOP_PRIORITY:
            raise _bad_key()
        priority = TOP_PRIORITY - options.priority
    return Match(value, mask if info.masked else b"", priority)


def from_match(info: TableInfo, table: model.Table, match: Match) -> tuple[list[MatchParam], AddEntryOptions]:
    params: list[MatchParam] = []
    at = 0
    for field in table.key:
        size = (field.width + 7) // 8
        value, mask = match.value[at : at + size], match.mask[at : at + size]
        at += size
        kind = _TYPES[field.kind]
        param = MatchParam(kind)
        match field.kind:
            case model.MatchKind.EXACT:
                param.exact = ExactParam(value)
            case model.MatchKind.LPM:
                param.lpm = LpmParam(value, int.from_bytes(mask, "big").bit_count())
            case model.MatchKind.TERNARY:
                param.ternary = TernaryParam(value, mask)
            case model.MatchKind.RANGE:
                param.range = RangeParam(value, mask)
            case model.MatchKind.VALID:
                param.valid = ValidParam(any(value))
        params.append(param)
    return params, AddEntryOptions(TOP_PRIORITY - match.priority if info.prioritised else -1)


def to_action(params: Sequence[model.ActionParam], name: str, data: Sequence[bytes]) -> Action:
    """An action with its arguments; bits above a parameter's width are cut off, as BMv2 does when it uses them.

    Raises:
        InvalidTableOperation: BAD_ACTION_DATA, with another number of arguments.
    """
    if len(data) != len(params):
        raise InvalidTableOperation(TableError.BAD_ACTION_DATA)
    args = b""
    for param, text in zip(params, data, strict=True):
        value = int.from_bytes(text, "big") & ((1 << param.width) - 1)
        args += value.to_bytes((param.width + 7) // 8, "big")
    return Action(name, args)


def from_action(params: Sequence[model.ActionParam], action: Action) -> list[bytes]:
    """The arguments as BMv2 tells them: without leading zero bytes."""
    data: list[bytes] = []
    at = 0
    for param in params:
        size = (param.width + 7) // 8
        data.append(action.args[at : at + size].lstrip(b"\0") or b"\0")
        at += size
    return data
