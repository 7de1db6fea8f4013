"""Makes the typed model from the document: `load` resolves every reference and checks every operand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol, TypeVar

from p4switch.bmv2 import document as doc
from p4switch.bmv2 import model
from p4switch.bmv2.errors import NO_MODULES, JsonError
from p4switch.bmv2.operands import Operands, field_of, hex_value, source_of
from p4switch.bmv2.tables import load_pipeline, load_profiles

CORE_ERRORS = (
    "NoError",
    "PacketTooShort",
    "NoMatch",
    "StackOutOfBounds",
    "HeaderTooShort",
    "ParserTimeout",
    "ParserInvalidArgument",
)
MAX_FIELD_BITS = 16384


class _Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=_Named)


def load(data: bytes) -> model.Program:
    """The program in a BMv2 JSON.

    Raises:
        JsonError: malformed, or a reference to nothing; the message names the object.
    """
    document = doc.decode(data)
    if document.meta.version and document.meta.version[0] != 2:
        written = ".".join(str(part) for part in document.meta.version)
        raise JsonError("BMv2 JSON", f"format version {written} is not supported, version 2 is")
    if document.extern_instances:
        instance = document.extern_instances[0]
        where = f"extern {instance.name!r}"
        if instance.source_info is not None:
            where += f" ({instance.source_info.filename}:{instance.source_info.line}:{instance.source_info.column})"
        raise JsonError(where, f"extern type {instance.type!r} is not supported: {NO_MODULES}")

    types = _header_types(document)
    headers, stacks, unions = _headers(document, types)
    union_stacks, members = _union_stacks(document, unions)
    operands = Operands(headers, stacks, unions)
    operands.union_members = members
    operands.union_stacks = set(union_stacks)
    operands.registers = {register.name for register in document.register_arrays}

    for header_type in document.header_types:
        if header_type.length_exp is not None:
            operands.lengths[header_type.name] = _length(operands, types[header_type.name], header_type.length_exp)
    errors = dict(document.errors)
    for name in CORE_ERRORS:
        if name not in errors:
            errors[name] = max(errors.values(), default=-1) + 1

    calculations = {
        calc.name: model.Calculation(calc.name, calc.algo, _inputs(operands, f"calculation {calc.name!r}", calc.input))
        for calc in _unique("calculation", document.calculations)
    }
    meters = _meters(document, operands)
    operands.objects = {
        "register_array": operands.registers,
        "counter_array": {counter.name for counter in document.counter_arrays},
        "meter_array": set(meters),
        "calculation": set(calculations),
    }
    actions = _actions(document, operands)
    value_sets = {
        item.name: model.ValueSet(item.name, item.compressed_bitwidth)
        for item in _unique("parser value set", document.parse_vsets)
    }
    pipelines = {pipeline.name: pipeline for pipeline in _unique("pipeline", document.pipelines)}
    for name in pipelines:
        if name not in ("ingress", "egress"):
            raise JsonError(f"pipeline {name!r}", "simple_switch has the pipelines 'ingress' and 'egress' only")
    profiles = load_profiles(document.pipelines, lambda where, inputs: _inputs(operands, where, inputs))
    for pipeline in document.pipelines:
        for table in pipeline.tables:
            if table.direct_meters is not None and table.direct_meters not in meters:
                raise JsonError(f"table {table.name!r}", f"unknown direct meter {table.direct_meters!r}")

    deparser = _deparser(document, headers)
    return model.Program(
        name=document.program,
        headers=headers,
        stacks=stacks,
        unions=unions,
        union_stacks=union_stacks,
        parser=_parser(document, operands, value_sets, errors),
        value_sets=value_sets,
        deparser=tuple(deparser.order),
        deparser_calls=tuple(
            operands.primitive(f"deparser {deparser.name!r}", call, ()) for call in deparser.primitives
        ),
        actions=actions,
        ingress=load_pipeline(pipelines.get("ingress"), "ingress", operands, actions, profiles),
        egress=load_pipeline(pipelines.get("egress"), "egress", operands, actions, profiles),
        profiles=profiles,
        calculations=calculations,
        checksums=_checksums(document, operands, calculations),
        registers={
            item.name: model.Register(item.name, item.size, _width(f"register {item.name!r}", item.bitwidth))
            for item in _unique("register", document.register_arrays)
        },
        counters={
            item.name: model.CounterArray(item.name, item.size or 0)
            for item in _unique("counter", document.counter_arrays)
            if not item.is_direct
        },
        meters=meters,
        field_lists={
            item.id: model.FieldList(item.id, _field_list(operands, f"field list {item.id}", item.elements))
            for item in document.field_lists
        },
        digests={
            item.id: model.Digest(item.name, item.id, _field_list(operands, f"digest {item.name!r}", item.elements))
            for item in document.learn_lists
        },
        errors=errors,
        aliases={
            alias: field_of(headers, f"field alias {alias!r}", target[0], target[1])
            for alias, target in document.field_aliases
        },
    )


def _unique(kind: str, items: Iterable[T]) -> list[T]:
    """`items`, refused if two have one name."""
    seen: set[str] = set()
    result = list(items)
    for item in result:
        if item.name in seen:
            raise JsonError(f"{kind} {item.name!r}", "is defined twice")
        seen.add(item.name)
    return result


def _width(where: str, width: int) -> int:
    if not 0 < width <= MAX_FIELD_BITS:
        raise JsonError(where, f"width {width} is not between 1 and {MAX_FIELD_BITS} bits")
    return width


def _header_types(document: doc.Document) -> dict[str, model.HeaderType]:
    types: dict[str, model.HeaderType] = {}
    for item in _unique("header type", document.header_types):
        where = f"header type {item.name!r}"
        fields: list[model.FieldDecl] = []
        fixed = sum(entry[1] for entry in item.fields if len(entry) > 1 and isinstance(entry[1], int))
        for entry in item.fields:
            if len(entry) < 2 or not isinstance(entry[0], str):
                raise JsonError(where, "a field needs a name and a width")
            name, width = entry[0], entry[1]
            field_where = f"field {name!r} of {where}"
            flags = (*entry[2:4], False, False)
            if width == "*":
                if item.max_length is None:
                    raise JsonError(field_where, "a variable-length field needs 'max_length'")
                if any(field.varlen for field in fields):
                    raise JsonError(field_where, "a header can have one variable-length field only")
                bits = _width(field_where, item.max_length * 8 - fixed)
                fields.append(model.FieldDecl(name, bits, varlen=True))
            elif isinstance(width, int) and not isinstance(width, bool):
                fields.append(model.FieldDecl(name, _width(field_where, width), bool(flags[0]), bool(flags[1])))
            else:
                raise JsonError(field_where, f"width {width!r} is not a number of bits")
        if len({field.name for field in fields}) != len(fields):
            raise JsonError(where, "two fields have one name")
        types[item.name] = model.HeaderType(item.name, tuple(fields))
    return types


def _length(operands: Operands, header_type: model.HeaderType, expression: doc.TypeValue) -> model.Expr:
    """The bits of P4_14's variable-length field, from fields of the same header, which lie in the packet in front of it."""
    where = f"length of header type {header_type.name!r}"
    names = tuple(model.ActionParam(field.name, field.width) for field in header_type.fields)
    expr = operands.expr(where, expression, names)
    return _ahead(where, header_type, expr)


def _ahead(where: str, header_type: model.HeaderType, expr: model.Expr) -> model.Expr:
    """`expr` with the fields read from the packet, as the header is not extracted yet."""
    match expr:
        case model.Param(index, width):
            before = header_type.fields[:index]
            field = header_type.fields[index]
            if field.varlen or any(other.varlen for other in before) or field.signed:
                raise JsonError(where, f"field {field.name!r} cannot tell the length: it is not in front of it")
            return model.Lookahead(sum(other.width for other in before), width)
        case model.Unary(op, operand):
            return model.Unary(op, _ahead(where, header_type, operand))
        case model.Binary(op, left, right):
            return model.Binary(op, _ahead(where, header_type, left), _ahead(where, header_type, right))
        case model.Ternary(cond, left, right):
            parts = [_ahead(where, header_type, part) for part in (cond, left, right)]
            return model.Ternary(*parts)
        case model.Const() | model.BoolConst():
            return expr
    raise JsonError(where, "it uses more than constants and fields of the header")


def _headers(
    document: doc.Document, types: dict[str, model.HeaderType]
) -> tuple[dict[str, model.Header], dict[str, model.HeaderStack], dict[str, model.HeaderUnion]]:
    by_id: dict[int, str] = {}
    headers: dict[str, model.Header] = {}
    for item in _unique("header", document.headers):
        where = f"header {item.name!r}"
        if item.header_type not in types:
            raise JsonError(where, f"unknown header type {item.header_type!r}")
        header_type = types[item.header_type]
        if not item.metadata and header_type.fixed_bits % 8:
            raise JsonError(where, f"its {header_type.fixed_bits} bits are not a whole number of bytes")
        if item.id in by_id:
            raise JsonError(where, f"has the id {item.id} of header {by_id[item.id]!r}")
        by_id[item.id] = item.name
        headers[item.name] = model.Header(item.name, header_type, item.metadata)

    def members(where: str, ids: list[int]) -> tuple[str, ...]:
        for header_id in ids:
            if header_id not in by_id:
                raise JsonError(where, f"no header has the id {header_id}")
        return tuple(by_id[header_id] for header_id in ids)

    stacks: dict[str, model.HeaderStack] = {}
    for stack in _unique("header stack", document.header_stacks):
        where = f"header stack {stack.name!r}"
        if stack.header_type not in types:
            raise JsonError(where, f"unknown header type {stack.header_type!r}")
        names = members(where, stack.header_ids)
        if not names:
            raise JsonError(where, "is empty")
        stacks[stack.name] = model.HeaderStack(stack.name, types[stack.header_type], names)
        for index, name in enumerate(names):
            if headers[name].type.name != stack.header_type:
                raise JsonError(where, f"header {name!r} is of type {headers[name].type.name!r}")
            headers[name] = model.Header(name, headers[name].type, False, stack=stack.name, index=index)

    unions: dict[str, model.HeaderUnion] = {}
    for union in _unique("header union", document.header_unions):
        names = members(f"header union {union.name!r}", union.header_ids)
        unions[union.name] = model.HeaderUnion(union.name, names)
        for name in names:
            # A stack may show the members of several unions by an index.
            headers[name] = replace(headers[name], union=union.name)
    return headers, stacks, unions


def _union_stacks(
    document: doc.Document, unions: dict[str, model.HeaderUnion]
) -> tuple[dict[str, model.UnionStack], dict[str, dict[str, tuple[str, ...]]]]:
    """The stacks of unions, and for each its members by name, as the headers in its elements."""
    types = {item.name: item for item in document.header_union_types}
    by_id = {item.id: item.name for item in document.header_unions}
    stacks: dict[str, model.UnionStack] = {}
    members: dict[str, dict[str, tuple[str, ...]]] = {}
    for item in _unique("header union stack", document.header_union_stacks):
        where = f"header union stack {item.name!r}"
        if item.union_type not in types:
            raise JsonError(where, f"unknown header union type {item.union_type!r}")
        for union_id in item.header_union_ids:
            if union_id not in by_id:
                raise JsonError(where, f"no header union has the id {union_id}")
        names = tuple(by_id[union_id] for union_id in item.header_union_ids)
        names_of_members = [name for name, _ in types[item.union_type].headers]
        if not names or any(len(unions[name].headers) != len(names_of_members) for name in names):
            raise JsonError(where, f"its unions are not of type {item.union_type!r}")
        stacks[item.name] = model.UnionStack(item.name, names)
        members[item.name] = {
            member: tuple(unions[name].headers[place] for name in names)
            for place, member in enumerate(names_of_members)
        }
    return stacks, members


def _inputs(
    operands: Operands, where: str, inputs: list[doc.TypeValue]
) -> tuple[model.FieldRef | model.Const | model.HeaderRef | model.Payload, ...]:
    result: list[model.FieldRef | model.Const | model.HeaderRef | model.Payload] = []
    for item in inputs:
        if item.type == "payload":
            result.append(model.Payload())
        elif item.type == "hexstr":
            if item.bitwidth is None:
                raise JsonError(where, "a constant input needs a 'bitwidth'")
            value = hex_value(where, item.value) & ((1 << item.bitwidth) - 1)
            result.append(model.Const(value, item.bitwidth))
        elif item.type in ("field", "header"):
            operand = operands.expr(where, item, ())
            assert isinstance(operand, model.FieldRef | model.HeaderRef)
            result.append(operand)
        else:
            raise JsonError(where, f"input type {item.type!r} is not supported")
    return tuple(result)


def _field_list(operands: Operands, where: str, elements: list[doc.TypeValue]) -> tuple[model.FieldRef, ...]:
    fields: list[model.FieldRef] = []
    for element in elements:
        if element.type != "field":
            raise JsonError(where, f"element type {element.type!r} is not supported, 'field' is")
        operand = operands.expr(where, element, ())
        assert isinstance(operand, model.FieldRef)
        fields.append(operand)
    return tuple(fields)


def _meters(document: doc.Document, operands: Operands) -> dict[str, model.Meter]:
    meters: dict[str, model.Meter] = {}
    for item in _unique("meter", document.meter_arrays):
        where = f"meter {item.name!r}"
        if item.type not in ("bytes", "packets"):
            raise JsonError(where, f"type {item.type!r} is neither 'bytes' nor 'packets'")
        target = None
        if item.is_direct and item.result_target is not None:
            target = field_of(operands.headers, where, item.result_target[0], item.result_target[1])
        meters[item.name] = model.Meter(
            item.name, item.size or 0, item.rate_count, item.type == "bytes", item.binding, target
        )
    return meters


def _actions(document: doc.Document, operands: Operands) -> dict[int, model.Action]:
    actions: dict[int, model.Action] = {}
    for item in document.actions:
        where = f"action {item.name!r}"
        if item.id in actions:
            raise JsonError(where, f"has the id {item.id} of action {actions[item.id].name!r}")
        params = tuple(
            model.ActionParam(param.name, _width(f"parameter {param.name!r} of {where}", param.bitwidth))
            for param in item.runtime_data
        )
        body = tuple(operands.primitive(where, primitive, params) for primitive in item.primitives)
        actions[item.id] = model.Action(item.name, item.id, params, body, source_of(item.source_info))
    return actions


def _deparser(document: doc.Document, headers: dict[str, model.Header]) -> doc.DeparserDoc:
    if len(document.deparsers) != 1:
        raise JsonError("BMv2 JSON", f"has {len(document.deparsers)} deparsers, one is needed")
    deparser = document.deparsers[0]
    for name in deparser.order:
        if name not in headers:
            raise JsonError(f"deparser {deparser.name!r}", f"unknown header {name!r}")
    return deparser


def _checksums(
    document: doc.Document, operands: Operands, calculations: dict[str, model.Calculation]
) -> tuple[model.Checksum, ...]:
    checksums: list[model.Checksum] = []
    for item in document.checksums:
        where = f"checksum {item.name!r}"
        if item.type == "ipv4":
            checksums.append(_ipv4_checksum(where, item, operands, calculations))
            continue
        if item.type != "generic":
            raise JsonError(where, f"type {item.type!r} is not supported, 'generic' and 'ipv4' are")
        if item.calculation not in calculations:
            raise JsonError(where, f"unknown calculation {item.calculation!r}")
        cond = operands.boolean(where, item.if_cond, ()) if item.if_cond is not None else None
        target = field_of(operands.headers, where, item.target[0], item.target[1])
        checksums.append(
            model.Checksum(
                item.name, target, item.calculation, item.update, item.verify, cond, source_of(item.source_info)
            )
        )
    return tuple(checksums)


def _ipv4_checksum(
    where: str, item: doc.ChecksumDoc, operands: Operands, calculations: dict[str, model.Calculation]
) -> model.Checksum:
    """A checksum of the older kind: over all of its header but for itself."""
    target = field_of(operands.headers, where, item.target[0], item.target[1])
    if target.decl.width != 16:
        raise JsonError(where, f"its target has {target.decl.width} bits, not 16")
    name = f"checksum {item.name}"
    inputs = tuple(
        model.Const(0, 16) if field.name == target.decl.name else model.FieldRef(target.header, field)
        for field in operands.headers[target.header].type.fields
    )
    calculations[name] = model.Calculation(name, "csum16", inputs)
    cond = model.Unary("valid", model.HeaderRef(target.header))
    return model.Checksum(item.name, target, name, item.update, item.verify, cond, source_of(item.source_info))


def _parser(
    document: doc.Document, operands: Operands, value_sets: dict[str, model.ValueSet], errors: dict[str, int]
) -> model.Parser:
    if len(document.parsers) != 1:
        raise JsonError("BMv2 JSON", f"has {len(document.parsers)} parsers, one is needed")
    parser = document.parsers[0]
    names = {state.name for state in _unique("parser state", parser.parse_states)}
    if parser.init_state is not None and parser.init_state not in names:
        raise JsonError(f"parser {parser.name!r}", f"unknown initial state {parser.init_state!r}")
    states: dict[str, model.ParseState] = {}
    for state in parser.parse_states:
        where = f"parser state {state.name!r}"
        key = tuple(operands.expr(where, item, ()) for item in state.transition_key)
        key_bytes = sum((operands.width(where, item) + 7) // 8 for item in key)
        default: str | None = None
        cases: list[model.Case] = []
        for transition in state.transitions:
            if transition.next_state is not None and transition.next_state not in names:
                raise JsonError(where, f"unknown next state {transition.next_state!r}")
            if transition.type == "default" or transition.value == "default":
                default = transition.next_state
            elif transition.type == "hexstr":
                value = _bytes(where, transition.value, key_bytes)
                mask = _bytes(where, transition.mask, key_bytes) if transition.mask is not None else None
                cases.append(model.Case(transition.next_state, value, mask))
            elif transition.type == "parse_vset":
                if transition.value not in value_sets:
                    raise JsonError(where, f"unknown parser value set {transition.value!r}")
                mask = _bytes(where, transition.mask, key_bytes) if transition.mask is not None else None
                cases.append(model.Case(transition.next_state, b"", mask, transition.value))
            else:
                raise JsonError(where, f"transition type {transition.type!r} is not supported")
        ops = tuple(operands.parser_op(where, op) for op in state.parser_ops)
        states[state.name] = model.ParseState(state.name, ops, key, tuple(cases), default, source_of(state.source_info))
    return model.Parser(parser.name, parser.init_state, states)


def _bytes(where: str, text: str | None, size: int) -> bytes:
    """The bytes of a hexadecimal string, which must be exactly `size`."""
    digits = (text or "").removeprefix("0x")
    digits = "0" + digits if len(digits) % 2 else digits
    try:
        value = bytes.fromhex(digits)
    except ValueError:
        raise JsonError(where, f"{text!r} is not a hexadecimal value") from None
    if len(value) != size:
        raise JsonError(where, f"the value {text!r} has {len(value)} bytes, the transition key {size}")
    return value
