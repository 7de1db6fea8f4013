"""The primitives of actions, parser states and deparsers. Each is one function here, registered under its JSON name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from p4switch.bmv2 import model
from p4switch.bmv2.errors import NO_MODULES
from p4switch.codegen.calculations import Calculations
from p4switch.codegen.errors import UnsupportedError
from p4switch.codegen.expr import Expressions, is_boolean
from p4switch.codegen.headers import copy_field, header_bytes, invalidate_siblings, narrow, set_valid, store
from p4switch.codegen.layout import Layout, ctype, limbs
from p4switch.codegen.writer import Writer, c_string


@dataclass(frozen=True, slots=True)
class Place:
    """Where a primitive is executed: which extern objects have which number, and how to name the action in errors."""

    layout: Layout
    calculations: Calculations
    where: str
    arg_limbs: tuple[int, ...] = ()

    @property
    def program(self) -> model.Program:
        return self.layout.program

    def expressions(self, out: Writer, primitive: model.Primitive) -> Expressions:
        return Expressions(self.layout, out, f"{self.where}, primitive {primitive.op!r}", self.arg_limbs)


Generator = Callable[[Place, Expressions, model.Primitive], None]
_GENERATORS: dict[str, tuple[int, Generator]] = {}


def _primitive(*names: str, args: int) -> Callable[[Generator], Generator]:
    def register(function: Generator) -> Generator:
        for name in names:
            _GENERATORS[name] = (args, function)
        return function

    return register


def write_body(place: Place, out: Writer, body: Sequence[model.Primitive]) -> None:
    """C for a list of primitives; the jumps in it become gotos."""
    targets = {_jump_target(primitive) for primitive in body if primitive.op in ("_jump", "_jump_if_zero")}
    for index, primitive in enumerate(body):
        if index in targets:
            out.label(f"at_{index}")
        out.comment(primitive.source)
        with out.block():
            if primitive.op == "_jump":
                out.line(f"goto at_{_jump_target(primitive)};")
            elif primitive.op == "_jump_if_zero":
                code = place.expressions(out, primitive)
                cond = code.compare("==", _data(place, primitive, 0), model.Const(0))
                out.line(f"if ({cond})")
                out.line(f"    goto at_{_jump_target(primitive)};")
            else:
                write_primitive(place, out, primitive)
    for target in sorted(targets):
        if target >= len(body):
            out.label(f"at_{target}")


def _jump_target(primitive: model.Primitive) -> int:
    target = primitive.args[-1] if primitive.args else None
    if not isinstance(target, model.Const):
        raise UnsupportedError(
            f"primitive {primitive.op!r}", "a jump to a place that is not a constant is not supported"
        )
    return target.value


def write_primitive(place: Place, out: Writer, primitive: model.Primitive) -> None:
    if primitive.op not in _GENERATORS:
        where, source = place.where, primitive.source
        if source is not None:
            where += f" ({source.filename}:{source.line})"
        raise UnsupportedError(where, f"primitive {primitive.op!r} is not supported: {NO_MODULES}")
    count, generator = _GENERATORS[primitive.op]
    if len(primitive.args) != count:
        raise UnsupportedError(
            f"{place.where}, primitive {primitive.op!r}", f"takes {count} arguments, not {len(primitive.args)}"
        )
    generator(place, place.expressions(out, primitive), primitive)


# -- arguments


def _bad(place: Place, primitive: model.Primitive, index: int, wanted: str) -> UnsupportedError:
    return UnsupportedError(f"{place.where}, primitive {primitive.op!r}", f"argument {index + 1} is not {wanted}")


def _data(place: Place, primitive: model.Primitive, index: int) -> model.Expr:
    """An argument that is a value; a Boolean counts as 0 or 1."""
    arg = primitive.args[index]
    if isinstance(arg, model.ObjectRef | model.Text | model.Vector):
        raise _bad(place, primitive, index, "a value")
    if isinstance(arg, model.BoolConst):
        return model.Const(int(arg.value))
    if is_boolean(arg):
        return model.Unary("b2d", arg)
    if isinstance(arg, model.HeaderRef | model.StackRef | model.UnionRef | model.UnionStackRef | model.StackElement):
        raise _bad(place, primitive, index, "a value")
    return arg


def _object(place: Place, primitive: model.Primitive, index: int, kind: str) -> str:
    arg = primitive.args[index]
    if not isinstance(arg, model.ObjectRef) or arg.kind != kind:
        raise _bad(place, primitive, index, f"a {kind}")
    return arg.name


def _header(place: Place, primitive: model.Primitive, index: int) -> model.Header:
    arg = primitive.args[index]
    if not isinstance(arg, model.HeaderRef):
        raise _bad(place, primitive, index, "a header")
    return place.program.headers[arg.header]


def _assign(place: Place, code: Expressions, primitive: model.Primitive, index: int, value: model.Expr) -> None:
    """Stores `value` in the field that argument `index` names."""
    arg = primitive.args[index]
    match arg:
        case model.FieldRef(header, decl):
            path = f"{code.layout.header(header)}.{code.layout.field(place.program.headers[header].type, decl)}"
            store(code, path, decl, value)
        case model.ElementField(element, decl):
            stack = place.program.stacks[element.stack]
            at = code.out.hoist(("index", id(element.index)), "uint64_t", code.word(element.index))
            with code.out.block(f"if ({at} < {len(stack.headers)})"):
                path = f"{code.layout.stack(stack.name)}[{at}].{code.layout.field(stack.type, decl)}"
                store(code, path, decl, value)
        case model.StackFieldRef(stack_name, decl):
            stack = place.program.stacks[stack_name]
            following = code.layout.next_index(stack_name)
            with code.out.block(f"if ({following})"):
                path = f"{code.layout.stack(stack_name)}[{following} - 1].{code.layout.field(stack.type, decl)}"
                store(code, path, decl, value)
        case _:
            raise _bad(place, primitive, index, "a field")


def _assign_c(place: Place, code: Expressions, primitive: model.Primitive, index: int, text: str) -> None:
    """Stores a C uint64_t in the field that argument `index` names."""
    arg = primitive.args[index]
    if not isinstance(arg, model.FieldRef) or arg.decl.varlen:
        raise _bad(place, primitive, index, "a field")
    path = f"{code.layout.header(arg.header)}.{code.layout.field(place.program.headers[arg.header].type, arg.decl)}"
    width = arg.decl.width
    if arg.decl.saturating and width < 64:
        most = (1 << (width - 1 if arg.decl.signed else width)) - 1
        value = code.out.temp("uint64_t", text)
        text = f"({value} < {most:#x}ull ? {value} : {most:#x}ull)"
    if width > 128:
        code.out.line(f"memset({path}, 0, sizeof {path});")
        code.out.line(f"{path}[0] = {text};")
    else:
        mask = f" & {(1 << width) - 1:#x}ull" if width < 64 else ""
        code.out.line(f"{path} = ({ctype(width)})({text}{mask});")


# -- assignments


@_primitive("assign", "modify_field", args=2)
def _gen_assign(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    _assign(place, code, primitive, 0, _data(place, primitive, 1))


_BINARY = {
    "add": "+",
    "subtract": "-",
    "bit_xor": "^",
    "bit_or": "|",
    "bit_and": "&",
    "shift_left": "<<",
    "shift_right": ">>",
}


@_primitive(*_BINARY, args=3)
def _gen_binary(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    value = model.Binary(_BINARY[primitive.op], _data(place, primitive, 1), _data(place, primitive, 2))
    _assign(place, code, primitive, 0, value)


@_primitive("add_to_field", "subtract_from_field", args=2)
def _gen_update(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    op = "+" if primitive.op == "add_to_field" else "-"
    _assign(place, code, primitive, 0, model.Binary(op, _data(place, primitive, 0), _data(place, primitive, 1)))


@_primitive("assign_VL", args=2)
def _gen_assign_varlen(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    target, source = primitive.args
    if not isinstance(target, model.FieldRef) or not isinstance(source, model.FieldRef):
        raise _bad(place, primitive, 0, "a variable-length field")
    to_type, from_type = place.program.headers[target.header].type, place.program.headers[source.header].type
    if not target.decl.varlen or not source.decl.varlen or target.decl.width != source.decl.width:
        raise _bad(place, primitive, 1, "a variable-length field of the same width")
    to = f"{code.layout.header(target.header)}.{code.layout.field(to_type, target.decl)}"
    origin = f"{code.layout.header(source.header)}.{code.layout.field(from_type, source.decl)}"
    code.out.line(f"{to}_bits = {origin}_bits;")
    code.out.line(f"memcpy({to}, {origin}, sizeof {to});")


# -- headers


def _copy_header(code: Expressions, header_type: model.HeaderType, target: str, source: str) -> None:
    """Copies a header (C paths) with its validity; an invalid source leaves the target's fields as they are."""
    with code.out.block(f"if ({source}.valid)"):
        for decl in header_type.fields:
            copy_field(code, header_type, decl, target, source)
    code.out.line(f"{target}.valid = {source}.valid;")


@_primitive("assign_header", "copy_header", args=2)
def _gen_assign_header(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    target, source = primitive.args
    if not isinstance(source, model.HeaderRef | model.StackElement):
        raise _bad(place, primitive, 1, "a header")
    from_pointer = code.header(source)
    if isinstance(target, model.StackElement):
        stack = place.program.stacks[target.stack]
        at = code.out.hoist(("index", id(target.index)), "uint64_t", code.word(target.index))
        with code.out.block(f"if ({at} < {len(stack.headers)})"):
            invalidate_siblings(code, stack, at, f"{from_pointer}->valid")
            _copy_header(code, stack.type, f"{code.layout.stack(stack.name)}[{at}]", f"(*{from_pointer})")
        return
    header = _header(place, primitive, 0)
    if header.union is not None:
        with code.out.block(f"if ({from_pointer}->valid)"):
            set_valid(code, header, True)
    _copy_header(code, header.type, code.layout.header(header.name), f"(*{from_pointer})")


@_primitive("assign_header_stack", args=2)
def _gen_assign_stack(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    target, source = primitive.args
    if not isinstance(target, model.StackRef) or not isinstance(source, model.StackRef):
        raise _bad(place, primitive, 0, "a header stack")
    to, origin = place.program.stacks[target.stack], place.program.stacks[source.stack]
    if len(to.headers) != len(origin.headers) or to.type.name != origin.type.name:
        raise _bad(place, primitive, 1, "a header stack of the same type")
    code.out.line(f"{code.layout.next_index(to.name)} = {code.layout.next_index(origin.name)};")
    for index in range(len(to.headers)):
        _copy_header(
            code, to.type, f"{code.layout.stack(to.name)}[{index}]", f"{code.layout.stack(origin.name)}[{index}]"
        )


@_primitive("assign_union", args=2)
def _gen_assign_union(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    target, source = primitive.args
    if not isinstance(target, model.UnionRef) or not isinstance(source, model.UnionRef):
        raise _bad(place, primitive, 0, "a header union")
    names = zip(place.program.unions[target.union].headers, place.program.unions[source.union].headers, strict=True)
    for to, origin in names:
        header_type = place.program.headers[to].type
        _copy_header(code, header_type, code.layout.header(to), code.layout.header(origin))


@_primitive("add_header", args=1)
def _gen_add_header(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    """An invalid header becomes valid with all fields zero; a valid one stays as it is."""
    arg = primitive.args[0]
    if isinstance(arg, model.StackElement):
        stack = place.program.stacks[arg.stack]
        at = code.out.hoist(("index", id(arg.index)), "uint64_t", code.word(arg.index))
        path = f"{code.layout.stack(stack.name)}[{at}]"
        with code.out.block(f"if ({at} < {len(stack.headers)} && !{path}.valid)"):
            code.out.line(f"memset(&{path}, 0, sizeof {path});")
            invalidate_siblings(code, stack, at)
            code.out.line(f"{path}.valid = 1;")
            code.out.line(f"packet->packet_length += {stack.type.fixed_bits // 8};")
        return
    header = _header(place, primitive, 0)
    path = code.layout.header(header.name)
    with code.out.block(f"if (!{path}.valid)"):
        code.out.line(f"memset(&{path}, 0, sizeof {path});")
        set_valid(code, header, True)
        code.out.line(f"packet->packet_length += {header.type.fixed_bits // 8};")


@_primitive("add_header_fast", args=1)
def _gen_add_header_fast(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    set_valid(code, _header(place, primitive, 0), True)


@_primitive("remove_header", args=1)
def _gen_remove_header(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    arg = primitive.args[0]
    if isinstance(arg, model.StackElement):
        stack = place.program.stacks[arg.stack]
        at = code.out.hoist(("index", id(arg.index)), "uint64_t", code.word(arg.index))
        path, limit, header_type = (
            f"{code.layout.stack(stack.name)}[{at}]",
            f"{at} < {len(stack.headers)} && ",
            stack.type,
        )
    else:
        header = _header(place, primitive, 0)
        path, limit, header_type = code.layout.header(header.name), "", header.type
    with code.out.block(f"if ({limit}{path}.valid)"):
        code.out.line(f"packet->packet_length -= {header_bytes(code, header_type, path)};")
        code.out.line(f"{path}.valid = 0;")


@_primitive("push", "pop", args=2)
def _gen_shift_stack(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    arg = primitive.args[0]
    if isinstance(arg, model.UnionStackRef):
        _shift_union_stack(place, code, primitive, arg.stack)
        return
    if not isinstance(arg, model.StackRef):
        raise _bad(place, primitive, 0, "a header stack")
    stack = place.program.stacks[arg.stack]
    size, path, following = len(stack.headers), code.layout.stack(stack.name), code.layout.next_index(stack.name)
    wanted = code.out.temp("uint64_t", code.word(_data(place, primitive, 1)))
    count = code.out.temp("uint64_t", f"{wanted} < {size} ? {wanted} : {size}")
    if primitive.op == "push":
        code.out.line(f"{following} = {following} + {count} < {size} ? (uint32_t)({following} + {count}) : {size};")
        code.out.line(f"memmove(&{path}[{count}], &{path}[0], ({size} - {count}) * sizeof {path}[0]);")
        first, last = "0", count
    else:
        code.out.line(f"{following} -= {following} < {count} ? {following} : (uint32_t){count};")
        code.out.line(f"memmove(&{path}[0], &{path}[{count}], ({size} - {count}) * sizeof {path}[0]);")
        first, last = f"{size} - {count}", str(size)
    code.out.line(f"for (uint64_t i = {first}; i < {last}; i++)")
    code.out.line(f"    {path}[i].valid = 0;")


def _shift_union_stack(place: Place, code: Expressions, primitive: model.Primitive, name: str) -> None:
    """By one element at a time: the unions of a stack are headers of their own, which no memmove reaches."""
    unions = [place.program.unions[union].headers for union in place.program.union_stacks[name].unions]
    size, following = len(unions), code.layout.next_index(name)
    count = code.out.temp("uint64_t", code.word(_data(place, primitive, 1)))
    with code.out.block(f"for (uint64_t i = 0; i < {count} && i < {size}; i++)"):
        order = range(size - 1, 0, -1) if primitive.op == "push" else range(size - 1)
        step = -1 if primitive.op == "push" else 1
        if primitive.op == "push":
            code.out.line(f"{following} += {following} < {size};")
        else:
            code.out.line(f"{following} -= {following} > 0;")
        for index in order:
            for target, source in zip(unions[index], unions[index + step], strict=True):
                code.out.line(f"{code.layout.header(target)} = {code.layout.header(source)};")
        for header in unions[0 if primitive.op == "push" else size - 1]:
            code.out.line(f"{code.layout.header(header)}.valid = 0;")


@_primitive("assign_union_stack", "assign_header_union_stack", args=2)
def _gen_assign_union_stack(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    target, source = primitive.args
    if not isinstance(target, model.UnionStackRef) or not isinstance(source, model.UnionStackRef):
        raise _bad(place, primitive, 0, "a header union stack")
    to, origin = place.program.union_stacks[target.stack], place.program.union_stacks[source.stack]
    if len(to.unions) != len(origin.unions):
        raise _bad(place, primitive, 1, "a header union stack of the same size")
    code.out.line(f"{code.layout.next_index(to.name)} = {code.layout.next_index(origin.name)};")
    for to_union, from_union in zip(to.unions, origin.unions, strict=True):
        headers = zip(place.program.unions[to_union].headers, place.program.unions[from_union].headers, strict=True)
        for to_header, from_header in headers:
            header_type = place.program.headers[to_header].type
            _copy_header(code, header_type, code.layout.header(to_header), code.layout.header(from_header))


# -- what becomes of the packet


@_primitive("mark_to_drop", args=1)
def _gen_mark_to_drop(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    """Also of a copy, as p4c makes for an action with an `inout standard_metadata_t`: its fields of the same names are set."""
    header = primitive.args[0] if primitive.args else None
    if isinstance(header, model.HeaderRef) and header.header != "standard_metadata":
        header_type = place.program.headers[header.header].type
        for field in header_type.fields:
            value = {"egress_spec": "ctx->drop_port", "mcast_grp": "0"}.get(field.name)
            if value is not None and field.width <= 32:
                target = f"{code.layout.header(header.header)}.{code.layout.field(header_type, field)}"
                code.out.line(f"{target} = {value} & {(1 << field.width) - 1}u;")
        return
    code.out.line("kv_set_egress_spec(h, ctx->drop_port);")
    code.out.line("kv_set_mcast_grp(h, 0);")


@_primitive("drop", args=0)
def _gen_drop(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    _gen_mark_to_drop(place, code, primitive)


@_primitive("exit", args=0)
def _gen_exit(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    code.out.line("packet->exited = true;")


@_primitive("no_op", args=0)
def _gen_no_op(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    pass


def _list_id(place: Place, primitive: model.Primitive, index: int, known: dict[int, object], kind: str) -> int:
    arg = primitive.args[index]
    if not isinstance(arg, model.Const):
        raise _bad(place, primitive, index, f"the number of a {kind}")
    if arg.value not in known and arg.value != 0:
        raise UnsupportedError(f"{place.where}, primitive {primitive.op!r}", f"there is no {kind} {arg.value}")
    return arg.value


@_primitive("clone_ingress_pkt_to_egress", "clone_egress_pkt_to_egress", args=2)
def _gen_clone(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    fields = _list_id(place, primitive, 1, dict(place.program.field_lists), "field list")
    session = code.bits(_data(place, primitive, 0), 0, 16)
    code.out.line(f"packet->clone_session = KV_CLONE_REQUESTED | (uint32_t)({session} & 0x7fff);")
    code.out.line(f"packet->clone_fields = {fields};")


@_primitive("resubmit", "recirculate", args=1)
def _gen_again(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    fields = _list_id(place, primitive, 0, dict(place.program.field_lists), "field list")
    code.out.line(f"packet->{primitive.op} = {fields};")


@_primitive("generate_digest", args=2)
def _gen_digest(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    number = _list_id(place, primitive, 1, dict(place.program.digests), "digest")
    code.out.line(f"packet->digest = {number};")


@_primitive("truncate", args=1)
def _gen_truncate(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    length = code.out.temp("uint64_t", code.word(_data(place, primitive, 0)))
    code.out.line(f"if ({length} < packet->truncate)")
    code.out.line(f"    packet->truncate = (uint32_t){length};")


# -- extern objects


@_primitive("register_read", args=3)
def _gen_register_read(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    """BMv2: an index out of range leaves the destination as it was."""
    name = _object(place, primitive, 1, "register_array")
    register, number = place.program.registers[name], list(place.program.registers).index(name)
    index = code.out.temp("uint64_t", code.word(_data(place, primitive, 2)))
    target = primitive.args[0]
    if not isinstance(target, model.FieldRef):
        raise _bad(place, primitive, 0, "a field")
    with code.out.block(f"if (KV_LIKELY({index} < {register.size}))"):
        if register.width <= 128:
            cells = f"((const {ctype(register.width)} *)ctx->pipeline->registers[{number}])"
            width = target.decl.width
            path = _path(place, code, target)
            if width > 128:
                code.out.line(f"memset({path}, 0, sizeof {path});")
                code.out.line(f"memcpy({path}, &{cells}[{index}], {register.width + 63 >> 6} * 8);")
                if register.width < 64:
                    code.out.line(f"{path}[0] = {cells}[{index}];")
            elif width >= register.width:
                code.out.line(f"{path} = {cells}[{index}];")
            else:
                mask = f"(((kv_u128)1 << {width}) - 1)" if width > 64 else f"{(1 << width) - 1:#x}ull"
                code.out.line(f"{path} = ({ctype(width)})({cells}[{index}] & {mask});")
            return
        words = limbs(register.width)
        cell = f"((const uint64_t *)ctx->pipeline->registers[{number}] + {index} * {words})"
        if target.decl.width != register.width:
            raise code.unsupported(f"reading register {name!r} into a field of another width")
        code.out.line(f"memcpy({_path(place, code, target)}, {cell}, {words * 8});")


def _path(place: Place, code: Expressions, ref: model.FieldRef) -> str:
    return f"{code.layout.header(ref.header)}.{code.layout.field(place.program.headers[ref.header].type, ref.decl)}"


@_primitive("register_write", args=3)
def _gen_register_write(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    """BMv2: an index out of range writes nothing."""
    name = _object(place, primitive, 0, "register_array")
    register, number = place.program.registers[name], list(place.program.registers).index(name)
    index = code.out.temp("uint64_t", code.word(_data(place, primitive, 1)))
    value = _data(place, primitive, 2)
    cell = model.FieldDecl(name, register.width)
    with code.out.block(f"if (KV_LIKELY({index} < {register.size}))"):
        if register.width <= 64:  # other threads may write it, too
            cells = f"(({ctype(register.width)} *)ctx->pipeline->registers[{number}])"
            code.out.line(f"KV_PUT({cells}[{index}], {narrow(code, value, register.width)});")
        elif register.width <= 128:
            store(code, f"(({ctype(register.width)} *)ctx->pipeline->registers[{number}])[{index}]", cell, value)
        else:
            pointer = code.out.fresh()
            words = limbs(register.width)
            code.out.line(
                f"uint64_t *const {pointer} = (uint64_t *)ctx->pipeline->registers[{number}] + {index} * {words};"
            )
            store(code, pointer, cell, value)


@_primitive("count", args=2)
def _gen_count(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    name = _object(place, primitive, 0, "counter_array")
    if name not in place.program.counters:
        raise _bad(place, primitive, 0, "an indirect counter")
    counter, number = place.program.counters[name], list(place.program.counters).index(name)
    index = code.out.temp("uint64_t", code.word(_data(place, primitive, 1)))
    code.out.line(f"if (KV_LIKELY({index} < {counter.size}))")
    code.out.line(f"    kv_count(&ctx->pipeline->counters[{number}][{index}], packet->ingress_length);")


@_primitive("execute_meter", args=3)
def _gen_meter(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    name = _object(place, primitive, 0, "meter_array")
    meter, number = place.program.meters[name], list(place.program.meters).index(name)
    index = code.out.temp("uint64_t", code.word(_data(place, primitive, 1)))
    with code.out.block(f"if (KV_LIKELY({index} < {meter.size}))"):
        arguments = f"{meter.rates}, {str(meter.per_byte).lower()}, packet->ingress_length, ctx->now_us"
        colour = f"kv_meter_execute(&ctx->pipeline->meters[{number}][{index}], {arguments})"
        _assign_c(place, code, primitive, 2, f"(uint64_t){colour}")


@_primitive("modify_field_with_hash_based_offset", args=4)
def _gen_hash(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    """base + hash mod size; a size of 0 counts as 1."""
    base = code.bits(_data(place, primitive, 1), 0, 64)
    size_arg = _data(place, primitive, 3)
    value = place.calculations.call(_object(place, primitive, 2, "calculation"))
    if isinstance(size_arg, model.Const):
        size = str(max(size_arg.value & 0xFFFFFFFFFFFFFFFF, 1)) + "ull"
    else:
        limit = code.out.temp("uint64_t", code.bits(size_arg, 0, 64))
        size = f"({limit} ? {limit} : 1)"
    _assign_c(place, code, primitive, 0, f"({value} % {size} + {base})")


@_primitive("modify_field_rng_uniform", args=3)
def _gen_random(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    """A number from the first bound to the second; nothing happens if they are the wrong way round."""
    low = code.out.temp("uint64_t", code.bits(_data(place, primitive, 1), 0, 64))
    high = code.out.temp("uint64_t", code.bits(_data(place, primitive, 2), 0, 64))
    with code.out.block(f"if ({low} <= {high})"):
        _assign_c(place, code, primitive, 0, f"kv_random(ctx, {low}, {high})")


# -- for people


@_primitive("assert", "assume", args=1)
def _gen_assert(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    """BMv2 aborts the switch; here the packet is dropped and the failure is logged."""
    cond = code.compare("==", _data(place, primitive, 0), model.Const(0))
    source = primitive.source
    at = f"{source.filename}:{source.line}: {source.fragment}" if source else place.where
    with code.out.block(f"if (KV_UNLIKELY({cond}))"):
        code.out.line(f"ctx->log(ctx, {c_string(f'{primitive.op} failed: {at}')});")
        code.out.line("kv_set_egress_spec(h, ctx->drop_port);")
        code.out.line("kv_set_mcast_grp(h, 0);")
        code.out.line("packet->exited = true;")


@_primitive("log_msg", args=2)
def _gen_log(place: Place, code: Expressions, primitive: model.Primitive) -> None:
    text, values = primitive.args
    if not isinstance(text, model.Text) or not isinstance(values, model.Vector):
        raise _bad(place, primitive, 0, "a message with its values")
    parts = text.value.split("{}")
    if len(parts) != len(values.values) + 1:
        raise code.unsupported(f"a message of {len(parts) - 1} places with {len(values.values)} values")
    name = code.out.fresh()
    code.out.line(f"char {name}[{len(text.value.encode()) + 24 * len(values.values) + 1}];")
    pattern = "%llu".join(part.replace("%", "%%") for part in parts)
    arguments = "".join(f", (unsigned long long){code.bits(value, 0, 64)}" for value in values.values)
    code.out.line(f"snprintf({name}, sizeof {name}, {c_string(pattern)}{arguments});")
    code.out.line(f"ctx->log(ctx, {name});")
