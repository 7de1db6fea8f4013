"""Runs one packet through a BMv2 program as its JSON says, one statement at a time, and says what happened on the way.

This is `kulvert trace`'s engine. It knows nothing of Kulvert's pipeline: parser, ingress and actions are those of the JSON that the
switch holds, values are unbounded integers cut down when they are stored (as in BMv2), and the entries come from whoever asks.
So what it says is what the switch does, for any program. Registers read as zero: the packet is the first of its connection.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from p4switch.bmv2 import model

_MAX_STEPS = 100_000
_DROP_PORT = 511


class InterpreterError(Exception):
    """The program does something that cannot be followed here. `str()` says what and where."""


@dataclass(frozen=True, slots=True)
class Hit:
    """What a table look-up found.

    Attributes:
        action_id: the action's id in the JSON.
        args: one number for each parameter.
        entry: what found it: an entry of whoever looked it up.
    """

    action_id: int
    args: tuple[int, ...]
    entry: Any


class Entries(Protocol):
    """Where entries come from.

    `select` chooses one of n members by the selector's hash. `default_action` is asked on a miss: None for the program's own.
    """

    def look_up(self, table: model.Table, key: Sequence[int], select: Callable[[int], int]) -> Hit | None: ...

    def default_action(self, table: model.Table) -> tuple[int, tuple[int, ...]] | None: ...


@dataclass(frozen=True, slots=True)
class Step:
    """One table applied.

    Attributes:
        table: its name in the JSON.
        key: (name, value) of each key field.
        hit: the entry, None for a miss.
        action: the action that was run, "" for none.
        args: its parameters by name.
        changed: fields that its action changed: (name, before, after).
    """

    table: str
    key: tuple[tuple[str, int], ...]
    hit: Hit | None
    action: str
    args: tuple[tuple[str, int], ...]
    changed: tuple[tuple[str, int, int], ...]
    source: model.SourceInfo | None


@dataclass(frozen=True, slots=True)
class Decision:
    """Where the watched field got the value that it has at the end: in an action of `table`, or in a statement of its own."""

    value: int
    table: str | None
    source: model.SourceInfo | None


@dataclass(slots=True)
class Run:
    """What became of a packet in ingress.

    Attributes:
        steps: the tables applied, in order.
        fields: every field at the end, by `header.field`; headers that are not valid are left out.
        egress_port: where it goes; None if it is dropped.
        cloned: whether a copy was made for a clone session.
        decided_by: what set the watched field last, if it is not zero.
    """

    steps: list[Step] = field(default_factory=list)
    fields: dict[str, int] = field(default_factory=dict)
    egress_port: int | None = None
    multicast_group: int = 0
    cloned: bool = False
    parser_error: str = "NoError"
    decided_by: Decision | None = None


class _ParserEnd(Exception):
    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class _Exit(Exception):
    pass


_Slot = tuple[str, str]


class Interpreter:
    """One packet at a time; `run` starts afresh. `watch` is the last part of a field's name, whose cause is to be told."""

    def __init__(self, program: model.Program, entries: Entries, watch: str = "") -> None:
        self._watch = watch
        self._statement: model.SourceInfo | None = None
        self._program = program
        self._entries = entries
        self._fields: dict[_Slot, int] = {}
        self._valid: set[str] = set()
        self._next: dict[str, int] = {}
        self._packet = b""
        self._position = 0
        self._length = 0
        self._args: tuple[int, ...] = ()
        self._written: dict[_Slot, int] = {}
        self._run = Run()
        self._where = ""
        self._table: model.Table | None = None

    def run(self, packet: bytes, ingress_port: int) -> Run:
        """Parse and run ingress.

        Raises:
            InterpreterError
        """
        program = self._program
        self._run = Run()
        self._fields = {}
        self._valid = {name for name, header in program.headers.items() if header.metadata}
        self._next = dict.fromkeys([*program.stacks, *program.union_stacks], 0)
        self._packet, self._position, self._length = packet, 0, len(packet)
        self._intrinsic("standard_metadata.ingress_port", ingress_port)
        self._intrinsic("standard_metadata.packet_length", len(packet))
        self._parse()
        self._verify_checksums()
        with contextlib.suppress(_Exit):
            self._pipeline(program.ingress)
        run = self._run
        run.fields = {f"{name}.{item}": value for (name, item), value in self._fields.items() if name in self._valid}
        port = self._read_intrinsic("standard_metadata.egress_spec")
        run.multicast_group = self._read_intrinsic("standard_metadata.mcast_grp")
        run.egress_port = None if port == _DROP_PORT else port
        return run

    # -- fields

    def _intrinsic(self, name: str, value: int) -> None:
        ref = self._program.intrinsic(name)
        if ref is not None:
            self._store(ref, value)

    def _read_intrinsic(self, name: str) -> int:
        ref = self._program.intrinsic(name)
        return 0 if ref is None else self._load(ref.header, ref.decl)

    def _load(self, header: str, decl: model.FieldDecl) -> int:
        if decl.name == "$valid$":
            return int(header in self._valid)
        value = self._fields.get((header, decl.name), 0)
        if decl.signed and value >> (decl.width - 1):
            value -= 1 << decl.width
        return value

    def _store(self, ref: model.FieldRef, value: int) -> None:
        if ref.decl.name == "$valid$":
            (self._valid.add if value else self._valid.discard)(ref.header)
            return
        slot = (ref.header, ref.decl.name)
        width = ref.decl.width
        if ref.decl.saturating:
            low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if ref.decl.signed else (0, (1 << width) - 1)
            value = min(max(value, low), high)
        self._written.setdefault(slot, self._fields.get(slot, 0))
        self._fields[slot] = value & ((1 << width) - 1)
        if self._watch and _plain_name(ref.decl.name) == self._watch:
            decision = Decision(self._fields[slot], self._table.name if self._table else None, self._statement)
            self._run.decided_by = decision if decision.value else None

    # -- parser

    def _bits(self, offset: int, width: int) -> int:
        """`width` bits of the packet, `offset` bits behind the position."""
        end = self._position * 8 + offset + width
        if end > self._length * 8:
            raise _ParserEnd("PacketTooShort")
        whole = int.from_bytes(self._packet[: (end + 7) // 8], "big")
        return (whole >> (-end % 8)) & ((1 << width) - 1)

    def _parse(self) -> None:
        state_name = self._program.parser.init_state
        try:
            for _ in range(_MAX_STEPS):
                if state_name is None:
                    break
                state = self._program.parser.states[state_name]
                self._where = f"parser state {state.name}"
                for op in state.ops:
                    self._parser_op(op)
                state_name = self._select(state)
        except _ParserEnd as end:
            self._run.parser_error = end.error
            self._intrinsic("standard_metadata.parser_error", self._program.errors.get(end.error, 0))

    def _parser_op(self, op: model.ParserOp) -> None:
        match op:
            case model.Extract(header):
                self._extract(header, 0)
            case model.ExtractStack(stack):
                self._extract(self._next_of(stack), 0)
                self._next[stack] += 1
            case model.ExtractVarlen(target, is_stack, bits):
                length = self._number(bits)
                if length % 8:
                    raise _ParserEnd("ParserInvalidArgument")
                self._extract(self._next_of(target) if is_stack else target, length)
                if is_stack:
                    self._next[target] += 1
            case model.SetField(target, value):
                self._store(target, self._number(value))
            case model.Verify(cond, error):
                if not self._number(cond):
                    wanted = self._number(error)
                    names = [name for name, number in self._program.errors.items() if number == wanted]
                    raise _ParserEnd(names[0] if names else "NoError")
            case model.Advance(bits):
                length = self._number(bits)
                if length % 8:
                    raise _ParserEnd("ParserInvalidArgument")
                if self._position + length // 8 > self._length:
                    raise _ParserEnd("PacketTooShort")
                self._position += length // 8
            case model.Call(primitive):
                self._primitive(primitive)
            case _:
                raise self._unsupported("extracting into a stack of header unions")

    def _next_of(self, stack: str) -> str:
        headers = self._program.stacks[stack].headers
        if self._next[stack] >= len(headers):
            raise _ParserEnd("StackOutOfBounds")
        return headers[self._next[stack]]

    def _extract(self, name: str, varlen_bits: int) -> None:
        header = self._program.headers[name]
        varlen = header.type.varlen
        if varlen is not None and varlen_bits > varlen.width:
            raise _ParserEnd("HeaderTooShort")
        total = header.type.fixed_bits + varlen_bits
        self._bits(0, total)
        offset = 0
        for decl in header.type.fields:
            width = varlen_bits if decl.varlen else decl.width
            self._fields[name, decl.name] = self._bits(offset, width) if width else 0
            offset += width
        self._position += total // 8
        self._valid.add(name)
        if header.union is not None:
            self._valid -= set(self._program.unions[header.union].headers) - {name}

    def _select(self, state: model.ParseState) -> str | None:
        key = b""
        for item in state.key:
            match item:
                case model.Lookahead(_, width):
                    pass
                case model.FieldRef(_, decl) | model.StackFieldRef(_, decl) | model.UnionStackFieldRef(_, _, decl):
                    width = decl.width
                case _:
                    raise self._unsupported("this kind of select key")
            key += (self._number(item) & ((1 << width) - 1)).to_bytes((width + 7) // 8, "big")
        for case in state.cases:
            if case.value_set is not None:
                continue  # without members, as the controller leaves them
            mask = case.mask if case.mask is not None else b"\xff" * len(key)
            if all(a & m == b & m for a, b, m in zip(key, case.value, mask, strict=True)):
                return case.next_state
        return state.default

    def _verify_checksums(self) -> None:
        for checksum in self._program.checksums:
            applies = checksum.verify and checksum.target.header in self._valid
            if applies and (checksum.cond is None or self._number(checksum.cond)):
                calculation = self._program.calculations[checksum.calculation]
                if self._calculate(calculation.algorithm, calculation.inputs) != self._number(checksum.target):
                    self._intrinsic("standard_metadata.checksum_error", 1)

    # -- control

    def _pipeline(self, pipeline: model.Pipeline) -> None:
        name = pipeline.init
        for _ in range(_MAX_STEPS):
            if name is None:
                return
            node = pipeline.nodes[name]
            self._where = name
            match node:
                case model.Conditional():
                    self._statement = node.source or self._statement
                    name = node.true_next if self._number(node.cond) else node.false_next
                case model.ActionCall():
                    self._action(node.action_id, ())
                    name = node.next
                case model.Table():
                    name = self._apply(node)
        raise self._unsupported("a pipeline that does not end")

    def _apply(self, table: model.Table) -> str | None:
        key = tuple(
            self._load(item.target.header, item.target.decl) & (item.mask if item.mask is not None else -1)
            for item in table.key
        )
        hit = self._constant_hit(table, key) if table.entries else None
        if hit is None and table.key:
            hit = self._entries.look_up(table, key, lambda count: self._choose(table, count))
        call = (hit.action_id, hit.args) if hit is not None else self._default(table)
        self._written = {}
        name = ""
        args: tuple[tuple[str, int], ...] = ()
        self._table = table if table.key else None  # one without a key is a statement of the source
        if call is not None:
            action = self._program.actions[call[0]]
            name, args = action.name, tuple(zip((param.name for param in action.params), call[1], strict=True))
            exited = False
            try:
                self._action(*call)
            except _Exit:
                exited = True
        if table.key:
            changed = tuple(
                (f"{header}.{item}", before, self._fields[header, item])
                for (header, item), before in self._written.items()
                if self._fields[header, item] != before
            )
            step_key = tuple(
                (item.name or f"key {number}", value)
                for number, (item, value) in enumerate(zip(table.key, key, strict=True))
            )
            self._run.steps.append(Step(table.name, step_key, hit, name, args, changed, table.source))
        self._table = None
        if call is not None and exited:
            raise _Exit
        if table.next_hit_miss is not None:
            return table.next_hit_miss[0 if hit is not None else 1]
        if name in table.next_by_action:
            return table.next_by_action[name]
        return table.default_next

    def _default(self, table: model.Table) -> tuple[int, tuple[int, ...]] | None:
        default = self._entries.default_action(table)
        if default is not None:
            return default
        return None if table.default is None else (table.default.action_id, table.default.args)

    def _constant_hit(self, table: model.Table, key: Sequence[int]) -> Hit | None:
        for entry in sorted(table.entries, key=lambda item: item.priority):
            pairs = zip(table.key, entry.match, key, strict=True)
            if all(
                match.value <= value <= match.mask
                if item.kind is model.MatchKind.RANGE
                else (value ^ match.value) & match.mask == 0
                for item, match, value in pairs
            ):
                return Hit(entry.call.action_id, entry.call.args, entry)
        return None

    def _choose(self, table: model.Table, count: int) -> int:
        """Which of a group's members the packet gets."""
        profile = self._program.profiles[table.profile or ""]
        if profile.selector is None:
            return 0
        return self._calculate(profile.selector.algorithm, profile.selector.inputs) % count

    # -- actions

    def _action(self, action_id: int, args: tuple[int, ...]) -> None:
        action = self._program.actions[action_id]
        outer, self._args = self._args, args
        where, self._where = self._where, f"action {action.name}"
        place = 0
        for _ in range(_MAX_STEPS):
            if place >= len(action.body):
                break
            primitive = action.body[place]
            place += 1
            if primitive.op == "_jump":
                place = self._number(primitive.args[0])
            elif primitive.op == "_jump_if_zero":
                if not self._number(primitive.args[0]):
                    place = self._number(primitive.args[1])
            else:
                self._primitive(primitive)
        self._args, self._where = outer, where

    def _primitive(self, primitive: model.Primitive) -> None:
        function = _PRIMITIVES.get(primitive.op)
        if function is None:
            raise self._unsupported(f"primitive {primitive.op}")
        if primitive.source is not None:
            self._statement = primitive.source
        function(self, primitive.args)

    def _target(self, arg: model.Argument) -> model.FieldRef | None:
        """The field to store into; None for a stack element that there is not."""
        match arg:
            case model.FieldRef():
                return arg
            case model.ElementField(element, decl):
                header = self._element(element)
                return None if header is None else model.FieldRef(header, decl)
            case model.StackFieldRef(stack, decl):
                place = self._next[stack] - 1
                return model.FieldRef(self._program.stacks[stack].headers[place], decl) if place >= 0 else None
        raise self._unsupported("this kind of target")

    def _element(self, element: model.StackElement) -> str | None:
        headers = self._program.stacks[element.stack].headers
        index = self._number(element.index)
        return headers[index] if 0 <= index < len(headers) else None

    def _header(self, arg: model.Argument) -> str | None:
        match arg:
            case model.HeaderRef(header):
                return header
            case model.StackElement():
                return self._element(arg)
        raise self._unsupported("this kind of header")

    def _assign(self, args: tuple[model.Argument, ...]) -> None:
        value = self._number(args[1])
        target = self._target(args[0])
        if target is not None:
            self._store(target, value)

    def _assign_header(self, args: tuple[model.Argument, ...]) -> None:
        target, source = self._header(args[0]), self._header(args[1])
        if target is None:
            return
        if source is None or source not in self._valid:
            self._valid.discard(target)
            return
        for decl in self._program.headers[target].type.fields:
            self._fields[target, decl.name] = self._fields.get((source, decl.name), 0)
        self._valid.add(target)

    def _add_header(self, args: tuple[model.Argument, ...]) -> None:
        header = self._header(args[0])
        if header is not None and header not in self._valid:
            for decl in self._program.headers[header].type.fields:
                self._fields[header, decl.name] = 0
            self._valid.add(header)

    def _remove_header(self, args: tuple[model.Argument, ...]) -> None:
        header = self._header(args[0])
        if header is not None:
            self._valid.discard(header)

    def _drop(self, args: tuple[model.Argument, ...]) -> None:
        self._intrinsic("standard_metadata.egress_spec", _DROP_PORT)
        self._intrinsic("standard_metadata.mcast_grp", 0)

    def _exit(self, args: tuple[model.Argument, ...]) -> None:
        raise _Exit

    def _clone(self, args: tuple[model.Argument, ...]) -> None:
        self._run.cloned = True

    def _register_read(self, args: tuple[model.Argument, ...]) -> None:
        target = self._target(args[0])
        if target is not None:
            self._store(target, 0)

    def _hash(self, args: tuple[model.Argument, ...]) -> None:
        reference = args[2]
        if not isinstance(reference, model.ObjectRef):
            raise self._unsupported("a hash of this kind")
        calculation = self._program.calculations[reference.name]
        value = self._calculate(calculation.algorithm, calculation.inputs)
        target = self._target(args[0])
        if target is not None:
            self._store(target, self._number(args[1]) + value % (self._number(args[3]) or 1))

    def _random(self, args: tuple[model.Argument, ...]) -> None:
        """The lowest of the numbers that could come."""
        target = self._target(args[0])
        if target is not None and self._number(args[1]) <= self._number(args[2]):
            self._store(target, self._number(args[1]))

    def _meter(self, args: tuple[model.Argument, ...]) -> None:
        target = self._target(args[2])
        if target is not None:
            self._store(target, 0)  # green

    def _nothing(self, args: tuple[model.Argument, ...]) -> None:
        """What leaves no trace in the packet: counting, digests, log messages, registers being written."""

    # -- calculations

    def _calculate(
        self, algorithm: str, inputs: Iterable[model.FieldRef | model.Const | model.HeaderRef | model.Payload]
    ) -> int:
        value, bits = 0, 0
        for item in inputs:
            parts: list[tuple[int, int]] = []
            match item:
                case model.Const(number, width):
                    parts.append((number, width or 0))
                case model.FieldRef(header, decl):
                    if header in self._valid:
                        parts.append((self._fields.get((header, decl.name), 0), decl.width))
                case model.HeaderRef(header):
                    if header in self._valid:
                        parts += [
                            (self._fields.get((header, decl.name), 0), decl.width)
                            for decl in self._program.headers[header].type.fields
                            if not decl.varlen
                        ]
                case model.Payload():
                    rest = self._packet[self._position :]
                    parts.append((int.from_bytes(rest, "big"), 8 * len(rest)))
            for number, width in parts:
                value, bits = value << width | number & ((1 << width) - 1), bits + width
        data = (value << (-bits % 8)).to_bytes((bits + 7) // 8, "big")
        function = _ALGORITHMS.get(algorithm)
        if function is None:
            raise self._unsupported(f"hash algorithm {algorithm}")
        return function(data)

    # -- expressions

    def _number(self, expr: model.Argument) -> int:
        """The value of an expression; a Boolean is 0 or 1."""
        match expr:
            case model.Const(value, _):
                return value
            case model.BoolConst(value):
                return int(value)
            case model.FieldRef(header, decl):
                return self._load(header, decl)
            case model.Param(index, _):
                return self._args[index]
            case model.Binary(op, left, right):
                return self._binary(op, left, right)
            case model.Unary(op, operand):
                return self._unary(op, operand)
            case model.Ternary(cond, left, right):
                return self._number(left if self._number(cond) else right)
            case model.Lookahead(offset, width):
                return self._bits(offset, width)
            case model.RegisterRef():
                return 0
            case model.ElementField() | model.StackFieldRef():
                target = self._target(expr)
                return 0 if target is None else self._load(target.header, target.decl)
        raise self._unsupported(f"a value of {type(expr).__name__}")

    def _unary(self, op: str, operand: model.Expr) -> int:
        match op, operand:
            case "valid", _:
                return int(self._header(operand) in self._valid)
            case "valid_union", model.UnionRef(union):
                return int(any(name in self._valid for name in self._program.unions[union].headers))
            case "last_stack_index", model.StackRef(stack):
                return self._next[stack] - 1
            case "size_stack", model.StackRef(stack):
                return self._next[stack]
            case "not", _:
                return int(not self._number(operand))
            case "d2b", _:
                return int(self._number(operand) != 0)
            case "b2d", _:
                return self._number(operand)
            case "~", _:
                return ~self._number(operand)
            case "-", _:
                return -self._number(operand)
        raise self._unsupported(f"operation {op}")

    def _binary(self, op: str, left: model.Expr, right: model.Expr) -> int:
        if op == "and":
            return int(bool(self._number(left)) and bool(self._number(right)))
        if op == "or":
            return int(bool(self._number(left)) or bool(self._number(right)))
        if op in ("==", "!=") and isinstance(left, model.HeaderRef | model.StackElement):
            return int(self._equal_headers(left, right) == (op == "=="))
        function = _BINARY.get(op)
        if function is None:
            raise self._unsupported(f"operation {op}")
        return function(self._number(left), self._number(right))

    def _equal_headers(self, left: model.Expr, right: model.Expr) -> bool:
        one, other = self._header(left), self._header(right)
        if one is None or other is None or one not in self._valid or other not in self._valid:
            return False
        return all(
            self._fields.get((one, decl.name), 0) == self._fields.get((other, decl.name), 0)
            for decl in self._program.headers[one].type.fields
        )

    def _unsupported(self, what: str) -> InterpreterError:
        return InterpreterError(f"{self._where}: {what} cannot be followed")


def _plain_name(field: str) -> str:
    """The field's name in the source: Kulvert's compiler writes `meta.name`, p4c `_name7` where it has flattened a structure."""
    name = field.rpartition(".")[2]
    return name.lstrip("_").rstrip("0123456789") if name.startswith("_") else name


def _two_comp_mod(value: int, width: int) -> int:
    value &= (1 << width) - 1
    return value - (1 << width) if value >> (width - 1) else value


_BINARY: Mapping[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a // b if b else 0,
    "%": lambda a, b: a % b if b else 0,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "<<": lambda a, b: a << min(b, 4096),
    ">>": lambda a, b: a >> b,
    "==": lambda a, b: int(a == b),
    "!=": lambda a, b: int(a != b),
    "<": lambda a, b: int(a < b),
    "<=": lambda a, b: int(a <= b),
    ">": lambda a, b: int(a > b),
    ">=": lambda a, b: int(a >= b),
    "two_comp_mod": _two_comp_mod,
    "usat_cast": lambda a, b: min(max(a, 0), (1 << b) - 1),
    "sat_cast": lambda a, b: min(max(a, -(1 << (b - 1))), (1 << (b - 1)) - 1),
}


def _crc16(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xA001 if crc & 1 else 0)
    return crc


def _crc_ccitt(data: bytes) -> int:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


def internet_checksum(data: bytes) -> int:
    """RFC 1071's checksum of the bytes, an odd one padded with zero."""
    if len(data) % 2:
        data += b"\0"
    total = sum(int.from_bytes(data[place : place + 2], "big") for place in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _xor16(data: bytes) -> int:
    result = 0
    for place in range(0, len(data), 2):
        result ^= int.from_bytes(data[place : place + 2].ljust(2, b"\0"), "big")
    return result


_ALGORITHMS: Mapping[str, Callable[[bytes], int]] = {
    "crc32": zlib.crc32,
    "crc32_custom": zlib.crc32,
    "crc16": _crc16,
    "crc16_custom": _crc16,
    "crcCCITT": _crc_ccitt,
    "csum16": internet_checksum,
    "cksum16": internet_checksum,
    "xor16": _xor16,
    "identity": lambda data: int.from_bytes(data[:8], "big"),
}

_PRIMITIVES: Mapping[str, Callable[[Interpreter, tuple[model.Argument, ...]], None]] = {
    "assign": Interpreter._assign,
    "modify_field": Interpreter._assign,
    "assign_VL": Interpreter._assign,
    "assign_header": Interpreter._assign_header,
    "copy_header": Interpreter._assign_header,
    "add_header": Interpreter._add_header,
    "add_header_fast": Interpreter._add_header,
    "remove_header": Interpreter._remove_header,
    "mark_to_drop": Interpreter._drop,
    "drop": Interpreter._drop,
    "exit": Interpreter._exit,
    "clone_ingress_pkt_to_egress": Interpreter._clone,
    "clone_egress_pkt_to_egress": Interpreter._clone,
    "register_read": Interpreter._register_read,
    "register_write": Interpreter._nothing,
    "modify_field_with_hash_based_offset": Interpreter._hash,
    "modify_field_rng_uniform": Interpreter._random,
    "execute_meter": Interpreter._meter,
    "count": Interpreter._nothing,
    "truncate": Interpreter._nothing,
    "generate_digest": Interpreter._nothing,
    "log_msg": Interpreter._nothing,
    "no_op": Interpreter._nothing,
    "resubmit": Interpreter._nothing,
    "recirculate": Interpreter._nothing,
    "assert": Interpreter._nothing,
    "assume": Interpreter._nothing,
}
