"""Random v1model programs together with what they mean, written from the specification and not from the compiler.

A piece of a program is its text and a Python function that does to an environment what the specification says (section numbers
are those of P4_16 1.2.5). Numbers in the environment are in the range of their types; nothing undefined is ever read, so that
there is one right answer.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random

Environment = dict[str, int]


@dataclass(frozen=True)
class Ty:
    """`bit<width>`, `int<width>` or, with width 0, `bool`."""

    width: int
    signed: bool = False

    def __str__(self) -> str:
        return f"{'int' if self.signed else 'bit'}<{self.width}>" if self.width else "bool"

    def wrap(self, value: int) -> int:
        """Modulo 2**width, in two's complement if signed (8.5, 8.6)."""
        if not self.width:
            return value
        value &= (1 << self.width) - 1
        return value - (1 << self.width) if self.signed and value >> (self.width - 1) else value

    def saturate(self, value: int) -> int:
        low, high = (
            (-(1 << (self.width - 1)), (1 << (self.width - 1)) - 1) if self.signed else (0, (1 << self.width) - 1)
        )
        return min(max(value, low), high)

    def literal(self, value: int) -> str:
        if not self.width:
            return "true" if value else "false"
        if self.signed:  # the least number is not the negation of another one
            return f"(int<{self.width}>)({self.width}w{value & ((1 << self.width) - 1)})"
        return f"{self.width}w{value}"


BOOL = Ty(0)


@dataclass(frozen=True)
class Expr:
    text: str
    value: Callable[[Environment], int]


@dataclass(frozen=True)
class Stmt:
    text: str
    run: Callable[[Environment], None]


class Exit(Exception):
    """`exit` (12.5)."""


class Return(Exception):
    """`return` in a control's apply (12.4)."""


H_FIELDS = {
    "a": Ty(8),
    "b": Ty(16),
    "c": Ty(32),
    "d": Ty(3),
    "e": Ty(13),
    "s": Ty(8, True),
    "t": Ty(24, True),
    "f": Ty(8),
}
G_FIELDS = {"x": Ty(8), "y": Ty(48), "z": Ty(16, True)}
META = {"m0": Ty(8), "m1": Ty(20), "m2": Ty(7, True), "m3": BOOL, "m4": Ty(64)}
S_FIELDS = {"v": Ty(8), "more": Ty(8)}
STACK = 3
REGISTER = Ty(12)
REGISTER_SIZE = 4

_COMMON = ("+", "-", "*", "&", "|", "^", "|+|", "|-|")
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "==": lambda x, y: x == y,
    "!=": lambda x, y: x != y,
    "<": lambda x, y: x < y,
    "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y,
    ">=": lambda x, y: x >= y,
}
WIDTHS = (1, 3, 7, 8, 13, 16, 20, 24, 31, 32, 48, 64, 65, 100)


def arithmetic(operator: str, left: int, right: int, ty: Ty) -> int:
    match operator:
        case "+":
            return ty.wrap(left + right)
        case "-":
            return ty.wrap(left - right)
        case "*":
            return ty.wrap(left * right)
        case "&":
            return ty.wrap(left & right)
        case "|":
            return ty.wrap(left | right)
        case "^":
            return ty.wrap(left ^ right)
        case "|+|":
            return ty.saturate(left + right)
        case "|-|":
            return ty.saturate(left - right)
        case "<<":
            return ty.wrap(left << right)
        case ">>":  # arithmetic for signed numbers
            return left >> right
    raise ValueError(operator)


@dataclass
class Function:
    """`parameters`: name, type, whether it is inout."""

    name: str
    result: Ty
    parameters: list[tuple[str, Ty, bool]]
    body: list[Stmt]
    returned: Expr


@dataclass(frozen=True)
class RandomProgram:
    text: str
    parse: Callable[[bytes], tuple[Environment, bytes]]
    ingress: Stmt

    def packet(self, data: bytes, registers: Environment) -> bytes:
        """What comes out for a packet; `registers` live on from packet to packet."""
        env, rest = self.parse(data)
        env |= registers
        with suppress(Exit, Return):
            self.ingress.run(env)
        registers.update({name: env[name] for name in registers})
        return deparse(env) + rest


def pack(fields: dict[str, Ty], env: Environment, prefix: str) -> bytes:
    number = width = 0
    for name, ty in fields.items():
        number = number << ty.width | env[prefix + name] & ((1 << ty.width) - 1)
        width += ty.width
    return number.to_bytes(width // 8, "big")


def size_of(fields: dict[str, Ty]) -> int:
    return sum(ty.width for ty in fields.values()) // 8


def unpack(fields: dict[str, Ty], data: bytes, env: Environment, prefix: str) -> bytes:
    size = size_of(fields)
    number = int.from_bytes(data[:size], "big")
    at = 8 * size
    for name, ty in fields.items():
        at -= ty.width
        env[prefix + name] = ty.wrap(number >> at)
    return data[size:]


def deparse(env: Environment) -> bytes:
    """Valid headers in their order (16.1)."""
    out = pack(H_FIELDS, env, "hdr.h.")
    if env["hdr.g"]:
        out += pack(G_FIELDS, env, "hdr.g.")
    for index in range(STACK):
        if env[f"hdr.s[{index}]"]:
            out += pack(S_FIELDS, env, f"hdr.s[{index}].")
    return out


@dataclass(frozen=True)
class Trial:
    """A program and packets for it. `repr` is all that is needed to get it again."""

    seed: int
    size: int
    portable: bool

    def draw(self, packets: int) -> tuple[RandomProgram, list[bytes], list[bytes]]:
        """The program, packets, and what must come out for them, one after the other."""
        random = Random(self.seed)
        program = Generator(random, portable=self.portable).program(self.size)
        sent = [draw_packet(random) for _ in range(packets)]
        registers = {f"reg{index}": 0 for index in range(REGISTER_SIZE)}
        return program, sent, [program.packet(packet, registers) for packet in sent]


class Generator:
    """Draws a program from `random`; a `portable` one is within what p4c and BMv2 can do: no `for`, no signed table keys."""

    def __init__(self, random: Random, *, portable: bool = False) -> None:
        self.random = random
        self.portable = portable
        self.names = 0
        self.declarations: list[str] = []
        self.locals: list[str] = []
        self.functions: list[Function] = []
        self.scope: dict[str, Ty] = {}
        """What can be read and written here."""
        self.fixed: dict[str, Ty] = {}
        """What can only be read: loop variables, parameters of direction in, action data."""
        self.valid: set[str] = set()
        """Headers known to be valid here."""
        self.in_action = False

    def name(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"

    # -- expressions

    def number(self, ty: Ty) -> int:
        if not ty.width:
            return self.random.randrange(2)
        choice = self.random.randrange(4)
        if choice == 0:
            return ty.wrap(self.random.choice([0, 1, 2, -1, 1 << (ty.width - 1), (1 << (ty.width - 1)) - 1]))
        return ty.wrap(self.random.getrandbits(ty.width if choice > 1 else min(4, ty.width)))

    def constant(self, ty: Ty) -> Expr:
        value = self.number(ty)
        return Expr(ty.literal(value), lambda env: value)

    def readable(self) -> dict[str, Ty]:
        return {**self.scope, **self.fixed}

    def leaf(self, ty: Ty) -> Expr:
        fitting = [name for name, known in self.readable().items() if known == ty]
        if fitting and self.random.randrange(4):
            name = self.random.choice(fitting)
            return Expr(name, lambda env: env[name])
        others = {name: known for name, known in self.readable().items() if known.width and not known.signed}
        if ty.width and not ty.signed and others and self.random.randrange(2):
            name = self.random.choice(list(others))
            width = others[name].width
            text = f"{name}[{ty.width - 1}:0]" if width > ty.width else f"({ty})({name})"
            return Expr(text, lambda env: ty.wrap(env[name]))
        return self.constant(ty)

    def expression(self, ty: Ty, depth: int) -> Expr:
        if depth <= 0:
            return self.leaf(ty)
        return self.boolean(depth) if not ty.width else self.bits(ty, depth)

    def bits(self, ty: Ty, depth: int) -> Expr:
        below = depth - 1
        kinds = ["binary", "binary", "unary", "shift", "choice", "cast", "leaf", "call"]
        if not ty.signed:
            kinds += ["slice"] + ["concat"] * (ty.width > 1)
        kind = self.random.choice(kinds)
        if kind == "binary":
            operator = self.random.choice(_COMMON)
            left, right = self.expression(ty, below), self.expression(ty, below)
            return Expr(
                f"({left.text} {operator} {right.text})",
                lambda env: arithmetic(operator, left.value(env), right.value(env), ty),
            )
        if kind == "unary":
            operand = self.expression(ty, below)
            if self.random.randrange(2):
                return Expr(f"(~{operand.text})", lambda env: ty.wrap(~operand.value(env)))
            return Expr(f"(-{operand.text})", lambda env: ty.wrap(-operand.value(env)))
        if kind == "shift":
            operator = self.random.choice(["<<", ">>"])
            left, right = self.expression(ty, below), self.expression(Ty(self.random.choice([1, 3, 8])), below)
            return Expr(
                f"({left.text} {operator} {right.text})",
                lambda env: arithmetic(operator, left.value(env), right.value(env), ty),
            )
        if kind == "choice":
            condition, left, right = self.boolean(below), self.expression(ty, below), self.expression(ty, below)
            return Expr(
                f"({condition.text} ? {left.text} : {right.text})",
                lambda env: left.value(env) if condition.value(env) else right.value(env),
            )
        if kind == "cast":
            return self.cast(ty, below)
        if kind == "slice":
            source = Ty(self.random.choice([w for w in WIDTHS if w >= ty.width] or [ty.width]))
            low = self.random.randrange(source.width - ty.width + 1)
            high = low + ty.width - 1
            operand = self.expression(source, below)
            return Expr(f"({operand.text})[{high}:{low}]", lambda env: ty.wrap(operand.value(env) >> low))
        if kind == "concat":
            split = self.random.randrange(1, ty.width)
            left, right = self.expression(Ty(ty.width - split), below), self.expression(Ty(split), below)
            return Expr(f"({left.text} ++ {right.text})", lambda env: left.value(env) << split | right.value(env))
        if kind == "call":
            return self.call(ty, below)
        return self.leaf(ty)

    def cast(self, ty: Ty, depth: int) -> Expr:
        """Between widths of one sign, between signs of one width, and bool to bit<1> (8.11)."""
        source = Ty(ty.width, not ty.signed) if self.random.randrange(2) else Ty(self.random.choice(WIDTHS), ty.signed)
        if ty == Ty(1) and self.random.randrange(2):
            source = BOOL
        if source.signed and source.width == 1:
            source = Ty(2, True) if ty.signed else Ty(1)
        operand = self.expression(source, depth)
        return Expr(f"({ty})({operand.text})", lambda env: ty.wrap(operand.value(env)))

    def boolean(self, depth: int) -> Expr:
        below = depth - 1
        kind = self.random.choice(["compare", "compare", "and", "or", "not", "leaf", "valid"])
        if kind == "compare":
            operator = self.random.choice(list(_COMPARE))
            ty = self.random.choice([*H_FIELDS.values(), *G_FIELDS.values(), Ty(65), Ty(7, True)])
            left, right = self.expression(ty, below), self.expression(ty, below)
            return Expr(
                f"({left.text} {operator} {right.text})",
                lambda env: int(_COMPARE[operator](left.value(env), right.value(env))),
            )
        if kind in ("and", "or"):
            first, second = self.expression(BOOL, below), self.expression(BOOL, below)
            if kind == "and":
                return Expr(
                    f"({first.text} && {second.text})", lambda env: second.value(env) if first.value(env) else 0
                )
            return Expr(f"({first.text} || {second.text})", lambda env: 1 if first.value(env) else second.value(env))
        if kind == "not":
            operand = self.expression(BOOL, below)
            return Expr(f"(!{operand.text})", lambda env: 1 - operand.value(env))
        if kind == "valid" and "hdr.h.a" in self.readable():
            header = self.random.choice(["hdr.g", "hdr.s[0]", "hdr.s[1]", "hdr.s[2]"])
            return Expr(f"{header}.isValid()", lambda env: env[header])
        return self.leaf(BOOL)

    def call(self, ty: Ty, depth: int) -> Expr:
        fitting = [f for f in self.functions if f.result == ty]
        if not fitting:
            return self.leaf(ty)
        function = self.random.choice(fitting)
        arguments: list[Expr] = []
        for _, parameter, inout in function.parameters:
            if not inout:
                arguments.append(self.expression(parameter, depth - 1))
                continue
            places = [name for name, known in self.scope.items() if known == parameter]
            taken = {argument.text for argument in arguments}
            places = [name for name in places if name not in taken]
            if not places:
                return self.leaf(ty)
            place = self.random.choice(places)
            arguments.append(Expr(place, lambda env, place=place: env[place]))  # type: ignore[misc]

        def value(env: Environment) -> int:
            given = [argument.value(env) for argument in arguments]
            env.update({name: number for (name, _, _), number in zip(function.parameters, given, strict=True)})
            for statement in function.body:
                statement.run(env)
            result = function.returned.value(env)
            for (name, _, inout), argument in zip(function.parameters, arguments, strict=True):
                if inout:
                    env[argument.text] = env[name]
            return result

        return Expr(f"{function.name}({', '.join(argument.text for argument in arguments)})", value)

    # -- statements

    def block(self, depth: int, count: int) -> Stmt:
        """Statements in braces; what is declared inside is forgotten afterwards."""
        outer_scope, outer_fixed, outer_valid = dict(self.scope), dict(self.fixed), set(self.valid)
        statements = [self.statement(depth) for _ in range(count)]
        self.scope, self.fixed, self.valid = outer_scope, outer_fixed, outer_valid
        return _sequence(statements)

    def statement(self, depth: int) -> Stmt:
        kinds = ["assign", "assign", "assign", "slice", "local"]
        if depth > 0:
            kinds += ["if", "if"]
        if depth > 0 and not self.in_action:
            kinds += [] if self.portable else ["loop"]
            kinds += ["switch", "guarded", "table", "table", "register", "header", "stack", "action"]
        return getattr(self, f"_{self.random.choice(kinds)}")(depth)  # type: ignore[no-any-return]

    def _assign(self, depth: int) -> Stmt:
        name = self.random.choice(list(self.scope))
        value = self.expression(self.scope[name], 3)

        def run(env: Environment) -> None:
            env[name] = value.value(env)

        return Stmt(f"{name} = {value.text};", run)

    def _slice(self, depth: int) -> Stmt:
        wide = {name: ty for name, ty in self.scope.items() if ty.width > 1 and not ty.signed}
        if not wide:
            return self._assign(depth)
        name = self.random.choice(list(wide))
        high = self.random.randrange(wide[name].width)
        low = self.random.randrange(high + 1)
        value = self.expression(Ty(high - low + 1), 2)
        ones = (1 << (high - low + 1)) - 1

        def run(env: Environment) -> None:
            number = value.value(env)
            env[name] = env[name] & ~(ones << low) | number << low

        return Stmt(f"{name}[{high}:{low}] = {value.text};", run)

    def _local(self, depth: int) -> Stmt:
        ty = self.random.choice([*H_FIELDS.values(), *G_FIELDS.values(), BOOL, Ty(65)])
        value = self.expression(ty, 2)
        name = self.name("v")
        self.scope[name] = ty

        def run(env: Environment) -> None:
            env[name] = value.value(env)

        return Stmt(f"{ty} {name} = {value.text};", run)

    def _if(self, depth: int) -> Stmt:
        condition = self.boolean(3)
        then = self.block(depth - 1, self.random.randrange(1, 4))
        otherwise = self.block(depth - 1, self.random.randrange(0, 3))
        ends = "" if self.in_action else self.random.choice(["", "", "", "", "", "exit;", "return;"])

        def run(env: Environment) -> None:
            if condition.value(env):
                then.run(env)
                if ends:
                    raise Exit if ends == "exit;" else Return
            else:
                otherwise.run(env)

        return Stmt(f"if ({condition.text}) {{ {then.text} {ends} }} else {{ {otherwise.text} }}", run)

    def _switch(self, depth: int) -> Stmt:
        """On an expression (12.7.2)."""
        ty = self.random.choice([Ty(3), Ty(8), Ty(16)])
        key = self.expression(ty, 2)
        labels = list({self.number(ty) for _ in range(self.random.randrange(1, 4))})
        bodies = [self.block(depth - 1, 2) for _ in labels]
        default = self.block(depth - 1, 1)

        def run(env: Environment) -> None:
            value = key.value(env)
            (bodies[labels.index(value)] if value in labels else default).run(env)

        cases = "".join(f"{ty.literal(n)}: {{ {b.text} }} " for n, b in zip(labels, bodies, strict=True))
        return Stmt(f"switch ({key.text}) {{ {cases} default: {{ {default.text} }} }}", run)

    def _loop(self, depth: int) -> Stmt:
        name = self.name("i")
        low = self.random.randrange(4)
        high = self.random.randrange(6)
        outer = dict(self.fixed)
        self.fixed[name] = Ty(8)
        stop = self.boolean(2)
        outer_in_action, self.in_action = self.in_action, True  # no tables: BMv2 applies each once
        body = self.block(0, 2)
        self.in_action = outer_in_action
        self.fixed = outer

        def run(env: Environment) -> None:
            for number in range(low, high + 1):
                env[name] = number
                if stop.value(env):
                    break
                body.run(env)

        return Stmt(f"for (bit<8> {name} in 8w{low} .. 8w{high}) {{ if ({stop.text}) {{ break; }} {body.text} }}", run)

    def _guarded(self, depth: int) -> Stmt:
        """Only where a header is known to be valid may its fields be read."""
        header = self.random.choice(["hdr.g", "hdr.s[0]", "hdr.s[2]"])
        fields = G_FIELDS if header == "hdr.g" else S_FIELDS
        outer = dict(self.scope)
        self.scope |= {f"{header}.{name}": ty for name, ty in fields.items()}
        outer_in_action, self.in_action = self.in_action, True  # nothing inside may make it invalid
        body = self.block(1, 2)
        self.in_action = outer_in_action
        self.scope = outer

        def run(env: Environment) -> None:
            if env[header]:
                body.run(env)

        return Stmt(f"if ({header}.isValid()) {{ {body.text} }}", run)

    def _header(self, depth: int) -> Stmt:
        if self.random.randrange(2):

            def remove(env: Environment) -> None:
                env["hdr.g"] = 0

            return Stmt("hdr.g.setInvalid();", remove)
        values = [self.expression(ty, 1) for ty in G_FIELDS.values()]

        def make(env: Environment) -> None:
            numbers = [value.value(env) for value in values]
            env["hdr.g"] = 1
            env.update({f"hdr.g.{name}": number for name, number in zip(G_FIELDS, numbers, strict=True)})

        return Stmt(f"hdr.g = {{ {', '.join(value.text for value in values)} }};", make)

    def _stack(self, depth: int) -> Stmt:
        """push_front and pop_front (8.18); the new first element is made valid and filled."""
        push = bool(self.random.randrange(2))
        v, more = self.expression(Ty(8), 1), self.expression(Ty(8), 1)

        def move(env: Environment, target: int, source: int | None) -> None:
            if source is None or not 0 <= source < STACK:
                env[f"hdr.s[{target}]"] = 0
                return
            for suffix in ("", ".v", ".more"):
                env[f"hdr.s[{target}]{suffix}"] = env.get(f"hdr.s[{source}]{suffix}", 0)

        def pushed(env: Environment) -> None:
            for index in reversed(range(STACK)):
                move(env, index, index - 1)
            first, second = v.value(env), more.value(env)
            env["hdr.s[0]"], env["hdr.s[0].v"], env["hdr.s[0].more"] = 1, first, second

        def popped(env: Environment) -> None:
            for index in range(STACK):
                move(env, index, index + 1)

        if push:
            return Stmt(f"hdr.s.push_front(1); hdr.s[0] = {{ {v.text}, {more.text} }};", pushed)
        return Stmt("hdr.s.pop_front(1);", popped)

    def _register(self, depth: int) -> Stmt:
        index = self.random.randrange(REGISTER_SIZE)
        if self.random.randrange(2):
            value = self.expression(REGISTER, 2)

            def write(env: Environment) -> None:
                env[f"reg{index}"] = value.value(env)

            return Stmt(f"reg.write({index}, {value.text});", write)
        name = self.name("r")

        def read(env: Environment) -> None:
            env[name] = env[f"reg{index}"]

        self.scope[name] = REGISTER
        return Stmt(f"bit<{REGISTER.width}> {name}; reg.read({name}, {index});", read)

    # -- actions and tables

    def _global_scope(self) -> dict[str, Ty]:
        return {f"hdr.h.{name}": ty for name, ty in H_FIELDS.items()} | {f"m.{name}": ty for name, ty in META.items()}

    def make_action(self, parameters: list[tuple[str, Ty]]) -> tuple[str, Stmt]:
        """An action of the control with these parameters; its name and body."""
        outer = (self.scope, self.fixed, self.valid, self.in_action)
        self.scope, self.fixed, self.valid, self.in_action = self._global_scope(), dict(parameters), set(), True
        body = self.block(1, self.random.randrange(1, 4))
        self.scope, self.fixed, self.valid, self.in_action = outer
        name = self.name("act")
        shown = ", ".join(f"{ty} {parameter}" for parameter, ty in parameters)
        self.locals.append(f"action {name}({shown}) {{ {body.text} }}")
        return name, body

    def _action(self, depth: int) -> Stmt:
        name, body = self.make_action([])
        return Stmt(f"{name}();", body.run)

    def _table(self, depth: int) -> Stmt:
        """A table with constant entries, of which the first that matches counts; used in one of three ways (14.2)."""
        names = self.random.sample([n for n, ty in H_FIELDS.items() if not (ty.signed and self.portable)], 2)
        keys = [
            (n, "exact" if H_FIELDS[n].signed else self.random.choice(["exact", "ternary", "range"])) for n in names
        ]
        parameters = [[(self.name("p"), self.random.choice([Ty(8), Ty(16), Ty(8, True)]))] for _ in range(2)]
        actions = [self.make_action(each) for each in parameters]

        def call() -> tuple[int, int]:
            which = self.random.randrange(2)
            return which, self.number(parameters[which][0][1])

        default = call()
        entries = [
            ([self._keyset(name, kind) for name, kind in keys], call()) for _ in range(self.random.randrange(1, 5))
        ]
        exact = all(kind == "exact" for _, kind in keys)
        shown: dict[str, tuple[list[Keyset], tuple[int, int]]] = {}
        for sets, chosen in entries:
            shown.setdefault(", ".join(each.text for each in sets), (sets, chosen))
        kept = list(shown.values()) if exact else entries
        name = self.name("tbl")

        def spell(chosen: tuple[int, int]) -> str:
            which, number = chosen
            return f"{actions[which][0]}({parameters[which][0][1].literal(number)})"

        self.locals.append(
            f"table {name} {{ key = {{ {' '.join(f'hdr.h.{n} : {kind};' for n, kind in keys)} }} "
            f"actions = {{ {actions[0][0]}; {actions[1][0]}; }} const default_action = {spell(default)}; const entries = {{ "
            + " ".join(f"({', '.join(e.text for e in sets)}) : {spell(chosen)};" for sets, chosen in kept)
            + " } }"
        )

        def apply(env: Environment) -> tuple[bool, int]:
            hit, (which, number) = False, default
            for sets, chosen in kept:
                if all(each.matches(env[f"hdr.h.{n}"]) for each, (n, _) in zip(sets, keys, strict=True)):
                    hit, (which, number) = True, chosen
                    break
            env[parameters[which][0][0]] = number
            actions[which][1].run(env)
            return hit, which

        way = self.random.choice(["plain", "hit", "switch"])
        bodies = [self.block(depth - 1, 2 if way != "plain" else 0) for _ in range(2)]

        def run(env: Environment) -> None:
            hit, which = apply(env)
            bodies[int(not hit) if way == "hit" else which].run(env)

        if way == "plain":
            return Stmt(f"{name}.apply();", run)
        if way == "hit":
            return Stmt(f"if ({name}.apply().hit) {{ {bodies[0].text} }} else {{ {bodies[1].text} }}", run)
        cases = " ".join(f"{action}: {{ {body.text} }}" for (action, _), body in zip(actions, bodies, strict=True))
        return Stmt(f"switch ({name}.apply().action_run) {{ {cases} }}", run)

    def _keyset(self, name: str, kind: str) -> Keyset:
        ty = H_FIELDS[name]
        number = self.number(ty)
        if kind == "ternary":
            mask = self.number(ty)
            number &= mask
            return Keyset(f"{ty.literal(number)} &&& {ty.literal(mask)}", lambda value: value & mask == number)
        if kind == "range":
            low, high = sorted((number, self.number(ty)))
            return Keyset(f"{ty.literal(low)} .. {ty.literal(high)}", lambda value: low <= value <= high)
        return Keyset(ty.literal(number), lambda value: value == number)

    # -- the whole

    def function(self) -> None:
        """A function at the top level, which sees its parameters alone."""
        types = [Ty(8), Ty(16), Ty(32), Ty(8, True), Ty(16, True)]
        parameters = [(self.name("a"), self.random.choice(types), bool(self.random.randrange(2))) for _ in range(2)]
        self.scope = {name: ty for name, ty, inout in parameters if inout}
        self.fixed = {name: ty for name, ty, inout in parameters if not inout}
        local = self._local(0)
        self.in_action = True
        body = [local, *(self.statement(1) for _ in range(2))]
        self.in_action = False
        result = self.random.choice(types)
        returned = self.expression(result, 2)
        name = self.name("fun")
        shown = ", ".join(f"{'inout' if inout else 'in'} {ty} {parameter}" for parameter, ty, inout in parameters)
        text = " ".join(statement.text for statement in body)
        self.declarations.append(f"{result} {name}({shown}) {{ {text} return {returned.text}; }}")
        self.functions.append(Function(name, result, parameters, body, returned))

    def program(self, size: int) -> RandomProgram:
        """A program with that many statements in its apply block, which may hold others."""
        for _ in range(self.random.randrange(3)):
            self.function()
        self.scope, self.fixed = self._global_scope(), {}
        ingress = _sequence([self.statement(3) for _ in range(size)])
        text = _TEMPLATE
        for word, value in (
            ("DECLARATIONS", "\n".join(self.declarations)),
            ("LOCALS", "\n    ".join(self.locals)),
            ("APPLY", ingress.text),
        ):
            text = text.replace(word, value)
        return RandomProgram(text, parse, ingress)


@dataclass(frozen=True)
class Keyset:
    text: str
    matches: Callable[[int], bool]


def _sequence(statements: list[Stmt]) -> Stmt:
    def run(env: Environment) -> None:
        for statement in statements:
            statement.run(env)

    return Stmt("\n        ".join(statement.text for statement in statements), run)


def parse(data: bytes) -> tuple[Environment, bytes]:
    """What the template's parser does."""
    env: Environment = {"hdr.g": 0} | {f"hdr.s[{index}]": 0 for index in range(STACK)}
    env |= {f"m.{name}": 0 for name in META}
    rest = unpack(H_FIELDS, data, env, "hdr.h.")
    if env["hdr.h.f"] & 1:
        env["hdr.g"] = 1
        rest = unpack(G_FIELDS, rest, env, "hdr.g.")
    more, index = bool(env["hdr.h.f"] & 2), 0
    while more:
        env[f"hdr.s[{index}]"] = 1
        rest = unpack(S_FIELDS, rest, env, f"hdr.s[{index}].")
        more, index = env[f"hdr.s[{index}].more"] == 1, index + 1
    return env, rest


def draw_packet(random: Random) -> bytes:
    """A packet that the parser takes without an error."""
    data = bytearray(
        random.getrandbits(8) if random.randrange(3) else random.choice([0, 255, 1]) for _ in range(size_of(H_FIELDS))
    )
    flags = data[-1]
    if flags & 1:
        data += bytes(random.getrandbits(8) for _ in range(size_of(G_FIELDS)))
    if flags & 2:
        count = random.randrange(1, STACK + 1)
        for index in range(count):
            data += bytes((random.getrandbits(8), 1 if index + 1 < count else random.choice([0, 2, 255])))
    return bytes(data) + b"payload of the packet"


def _fields(fields: dict[str, Ty]) -> str:
    return " ".join(f"{ty} {name};" for name, ty in fields.items())


_TEMPLATE = f"""\
#include <core.p4>
#include <v1model.p4>
header h_t {{ {_fields(H_FIELDS)} }}
header g_t {{ {_fields(G_FIELDS)} }}
header s_t {{ {_fields(S_FIELDS)} }}
struct headers_t {{ h_t h; g_t g; s_t[{STACK}] s; }}
struct meta_t {{ {_fields(META)} }}
DECLARATIONS
parser MyParser(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {{
    state start {{
        p.extract(hdr.h);
        transition select(hdr.h.f) {{ 1 &&& 1: parse_g; default: before_stack; }}
    }}
    state parse_g {{ p.extract(hdr.g); transition before_stack; }}
    state before_stack {{ transition select(hdr.h.f[1:1]) {{ 1: parse_s; default: accept; }} }}
    state parse_s {{ p.extract(hdr.s.next); transition select(hdr.s.last.more) {{ 1: parse_s; default: accept; }} }}
}}
control MyVerify(inout headers_t hdr, inout meta_t m) {{ apply {{ }} }}
control MyIngress(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {{
    register<{REGISTER}>({REGISTER_SIZE}) reg;
    LOCALS
    apply {{
        APPLY
    }}
}}
control MyEgress(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {{ apply {{ }} }}
control MyUpdate(inout headers_t hdr, inout meta_t m) {{ apply {{ }} }}
control MyDeparser(packet_out p, in headers_t hdr) {{ apply {{ p.emit(hdr); }} }}
V1Switch(MyParser(), MyVerify(), MyIngress(), MyEgress(), MyUpdate(), MyDeparser()) main;
"""
