"""What happened to a packet, read from the records of a traced pipeline (runtime/trace.h) and told in the program's names."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import IntEnum

from p4switch.bmv2 import model
from p4switch.codegen.control import conditionals
from p4switch.codegen.layout import limbs
from p4switch.codegen.tables import action_names, action_of, arg_limbs, pack, profile_actions, table_kind


class Kind(IntEnum):
    """As in trace.h."""

    BEGIN = 1
    INGRESS = 2
    EGRESS = 3
    STATE = 4
    PARSER_ERROR = 5
    CHECKSUM_ERROR = 6
    TABLE = 7
    CONDITION = 8
    ACTION = 9
    OUT = 10
    DROP = 11
    CLONE = 12
    RESUBMIT = 13
    RECIRCULATE = 14
    MULTICAST = 15
    DIGEST = 16
    QUEUE = 17


_DROPS = (
    "by the ingress",
    "by the egress",
    "its headers grew too much",
    "it was copied without end",
    "there is no queue of its priority",
)
_HEAD = struct.Struct("<BBHI")
_TABLE_HEAD = struct.Struct("<IIIiII")
_ENTRY, _MEMBER, _GROUP, _NOTHING = range(4)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened.

    Attributes:
        what: "state", "table", "condition", "drop", ...
        name: of the object in the program, or "".
        source: FILE:LINE of it, or "".
        detail: numbers and values of this kind of step; values in hexadecimal.
    """

    what: str
    name: str = ""
    source: str = ""
    detail: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PacketTrace:
    """A packet and all that became of it and its copies.

    Attributes:
        time_us: microseconds since the switch started.
    """

    port: int
    length: int
    time_us: int
    steps: tuple[Step, ...]

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), separators=(", ", ": "))

    def to_text(self) -> str:
        """A line for the packet, and an indented one for each step."""
        lines = [f"{self.time_us / 1e6:.6f} packet of {self.length} bytes on port {self.port}"]
        lines += [f"  {_told(step)}" for step in self.steps]
        return "\n".join(lines)


def _told(step: Step) -> str:
    detail = step.detail
    text = step.what if not step.name else f"{step.what} {step.name}"
    match step.what:
        case "table":
            key = ", ".join(f"{name}={value}" for name, value in _items(detail["key"]))
            text += f" [{key}]" if key else ""
            text += " hit" if detail["hit"] else " miss"
            if "entry" in detail:
                entry = ", ".join(f"{name}={value}" for name, value in _items(detail["entry"]))
                priority = f" priority {detail['priority']}" if "priority" in detail else ""
                text += f" ({entry}{priority})"
            for kind in ("member", "group"):
                if kind in detail:
                    text += f" {kind} {detail[kind]}"
            if "action" in detail:
                args = ", ".join(f"{name}={value}" for name, value in _items(detail["args"]))
                text += f" -> {detail['action']}({args})"
        case "condition":
            text += f" is {str(detail['result']).lower()}"
        case "drop":
            text += f" {detail['why']}"
        case _:
            text += "".join(f" {name} {value}" for name, value in detail.items())
    return f"{text}  # {step.source}" if step.source else text


def _items(value: object) -> Iterator[tuple[str, object]]:
    assert isinstance(value, dict)
    return iter(value.items())


def _place(source: model.SourceInfo | None) -> str:
    return f"{source.filename}:{source.line}" if source is not None else ""


def _action_place(action: model.Action) -> str:
    """Of the action, or where compilers leave that out, of its first statement."""
    sources = [action.source, *(primitive.source for primitive in action.body)]
    return _place(next((source for source in sources if source is not None), None))


class TraceDecoder:
    """Reads the records of one program."""

    def __init__(self, program: model.Program) -> None:
        self.program = program
        self._states = list(program.parser.states.values())
        self._tables = program.tables()
        self._conditionals = conditionals(program)
        self._actions = list(program.actions.values())
        self._errors = {number: name for name, number in program.errors.items()}
        self._digests = {digest.id: digest.name for digest in program.digests.values()}

    def decode(self, records: bytes) -> PacketTrace:
        steps: list[Step] = []
        port = length = time_us = 0
        at = 0
        while at < len(records):
            kind, _, number, size = _HEAD.unpack_from(records, at)
            data = records[at + _HEAD.size : at + _HEAD.size + size]
            at += _HEAD.size + size
            if kind == Kind.BEGIN:
                port, length, low, high = struct.unpack("<4I", data)
                time_us = high << 32 | low
            elif kind == Kind.TABLE:
                steps.append(self._table(self._tables[number], data))
            else:
                steps.append(self._step(Kind(kind), number, struct.unpack(f"<{size // 4}I", data)))
        return PacketTrace(port, length, time_us, tuple(steps))

    def _step(self, kind: Kind, number: int, words: tuple[int, ...]) -> Step:
        match kind:
            case Kind.STATE:
                state = self._states[number]
                return Step("state", state.name, _place(state.source))
            case Kind.PARSER_ERROR:
                return Step("parser error", self._errors.get(words[0], str(words[0])))
            case Kind.CONDITION:
                node = self._conditionals[number]
                return Step("condition", node.name, _place(node.source), {"result": bool(words[0])})
            case Kind.ACTION:
                action = self._actions[number]
                return Step("action", action.name, _action_place(action))
            case Kind.OUT:
                return Step("out", detail={"port": words[0], "length": words[1]})
            case Kind.DROP:
                return Step("drop", detail={"why": _DROPS[number]})
            case Kind.CLONE:
                return Step("clone", detail={"from": ("ingress", "egress")[number], "session": words[0]})
            case Kind.MULTICAST:
                return Step("multicast", detail={"group": words[0], "copies": words[1]})
            case Kind.QUEUE:
                return Step("queue", detail={"port": words[0], "priority": words[1], "before it": words[2]})
            case Kind.DIGEST:
                return Step("digest", self._digests.get(words[0], str(words[0])))
            case Kind.EGRESS | Kind.INGRESS:
                return Step(kind.name.lower(), detail={"port": words[0]})
        return Step(kind.name.lower().replace("_", " "))

    # -- tables

    def _table(self, table: model.Table, data: bytes) -> Step:
        hit, kind, number, priority, ident, found = _TABLE_HEAD.unpack_from(data)
        words = list(struct.unpack_from(f"<{(len(data) - _TABLE_HEAD.size) // 8}Q", data, _TABLE_HEAD.size))
        count = pack([item.width for item in table.key])[1]
        detail: dict[str, object] = {"hit": bool(hit), "key": self._values(table, words[:count])}
        rest = words[count:]
        if found:
            ranges = 2 * sum(item.kind is model.MatchKind.RANGE for item in table.key)
            detail["entry"] = self._match(table, rest[:count], rest[count : count + ranges], rest[count + ranges :])
            if table_kind(table) in (model.MatchKind.TERNARY, model.MatchKind.RANGE):
                detail["priority"] = priority
            rest = rest[2 * count + ranges :]
        if kind in (_MEMBER, _GROUP):
            detail["member" if kind == _MEMBER else "group"] = ident
        names = action_names(self.program, table)
        if kind in (_MEMBER, _GROUP) and table.profile is not None:
            names = profile_actions(self.program, table.profile)
        action = action_of(self.program, table, names[number]) if kind != _NOTHING and names else None
        if action is not None:
            detail["action"] = action.name
            detail["args"] = {
                param.name: _hex(_joined(rest[start : start + limbs(param.width)]), param.width)
                for param, start in zip(action.params, arg_limbs(action)[0], strict=True)
            }
            detail["action_source"] = _action_place(action)
        return Step("table", table.name, _place(table.source), detail)

    @staticmethod
    def _values(table: model.Table, words: list[int]) -> dict[str, object]:
        places, _ = pack([item.width for item in table.key])
        return {
            item.name: _hex(_field(words, place.limb, place.shift, item.width), item.width)
            for item, place in zip(table.key, places, strict=True)
        }

    @staticmethod
    def _match(table: model.Table, values: list[int], bounds: list[int], masks: list[int]) -> dict[str, object]:
        """The key of an entry, in simple_switch_CLI's spelling."""
        places, _ = pack([item.width for item in table.key])
        result: dict[str, object] = {}
        ranges = iter(range(0, len(bounds), 2))
        for item, place in zip(table.key, places, strict=True):
            value = _hex(_field(values, place.limb, place.shift, item.width), item.width)
            mask = _field(masks, place.limb, place.shift, item.width)
            match item.kind:
                case model.MatchKind.RANGE:
                    at = next(ranges)
                    value = f"{_hex(bounds[at], item.width)}->{_hex(bounds[at + 1], item.width)}"
                case model.MatchKind.LPM:
                    value += f"/{mask.bit_count()}"
                case model.MatchKind.TERNARY:
                    value += f"&&&{_hex(mask, item.width)}"
            result[item.name] = value
        return result


def _joined(words: list[int]) -> int:
    return sum(word << (64 * i) for i, word in enumerate(words))


def _field(words: list[int], limb: int, shift: int, width: int) -> int:
    return _joined(words[limb : limb + limbs(width + shift)]) >> shift & ((1 << width) - 1)


def _hex(value: int, width: int) -> str:
    return f"0x{value:0{(width + 3) // 4}x}"
