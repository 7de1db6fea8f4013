"""The printable form of the IR, for `--dump-after`, for tests and for people.

It reads like P4 with everything instantiated; it is not meant to be parsed.
"""

from __future__ import annotations

from collections.abc import Iterator

from p4compiler.ir import expressions as ex
from p4compiler.ir import statements as st
from p4compiler.ir.objects import Action, ActionCall, Entry, KeySet, Table
from p4compiler.ir.program import Control, Parser, Pattern, Program, SelectCase, Storage, ValueSetCase
from p4compiler.ir.storage import Header, HeaderStack, HeaderUnion

INDENT = "    "


def print_program(program: Program) -> str:
    """The whole program: storage, objects, parser, controls."""
    lines = [*_storage(program.storage), *_objects(program), *_parser(program.parser)]
    for title, control in (
        ("verify checksum", program.verify_checksum),
        ("ingress", program.ingress),
        ("egress", program.egress),
        ("compute checksum", program.compute_checksum),
        ("deparser", program.deparser),
    ):
        lines += _control(title, control)
    return "\n".join(lines) + "\n"


def print_statement(statement: st.Statement) -> str:
    return "\n".join(_statement(statement, 0))


# -- expressions


def print_header(header: ex.HeaderReference) -> str:
    match header:
        case ex.OneHeader(header=instance):
            return instance.name
        case ex.StackElement(stack=stack, index=index):
            return f"{stack.name}[{print_expression(index)}]"
        case ex.NextElement(stack=stack, member=member):
            return f"{stack.name}.next{_member(stack, member)}"
        case ex.LastElement(stack=stack, member=member):
            return f"{stack.name}.last{_member(stack, member)}"
    raise TypeError(header)


def _member(stack: HeaderStack, member: int) -> str:
    if not stack.is_of_unions:
        return ""
    union = stack.elements[0]
    assert isinstance(union, HeaderUnion)
    return f".{union.layout.members[member][0]}"


def print_expression(expression: ex.Expression) -> str:
    """Fully parenthesised but for simple operands."""
    match expression:
        case ex.Constant(value=value, bits=bits):
            return f"{bits.width}{'s' if bits.signed else 'w'}{value}"
        case ex.BooleanConstant(value=value):
            return "true" if value else "false"
        case ex.TextConstant(value=text):
            return f'"{text}"'
        case ex.VariableValue(variable=variable):
            return variable.name
        case ex.FieldValue(header=header):
            return f"{print_header(header)}.{expression.field.name}"
        case ex.ParameterValue(parameter=parameter):
            return parameter.name
        case ex.Valid(header=header):
            return f"{print_header(header)}.isValid()"
        case ex.UnionValid(union=union):
            return f"{union.name}.isValid()"
        case ex.LastIndex(stack=stack):
            return f"{stack.name}.lastIndex"
        case ex.Unary(operator=unary, operand=operand):
            return f"{unary.value}{_operand(operand)}"
        case ex.Binary(operator=binary, left=left, right=right):
            return f"{_operand(left)} {binary.value} {_operand(right)}"
        case ex.Conditional(condition=condition, then=then, otherwise=otherwise):
            return f"{_operand(condition)} ? {_operand(then)} : {_operand(otherwise)}"
        case ex.Slice(operand=operand, high=high, low=low):
            return f"{_operand(operand)}[{high}:{low}]"
        case ex.Concat(left=left, right=right):
            return f"{_operand(left)} ++ {_operand(right)}"
        case ex.Cast(target=target, operand=operand):
            return f"({target}){_operand(operand)}"
        case ex.Lookahead(offset=offset, target=target):
            return f"lookahead<{target}>({offset})"
    raise TypeError(expression)


def _operand(expression: ex.Expression) -> str:
    text = print_expression(expression)
    compound = isinstance(expression, ex.Binary | ex.Conditional | ex.Concat | ex.Cast | ex.Unary)
    return f"({text})" if compound else text


def _list(values: tuple[ex.Expression, ...]) -> str:
    return "{" + ", ".join(map(print_expression, values)) + "}"


# -- statements


def _block(block: st.Block, depth: int) -> Iterator[str]:
    for statement in block:
        yield from _statement(statement, depth)


def _statement(statement: st.Statement, depth: int) -> Iterator[str]:
    pad = INDENT * depth
    match statement:
        case st.If(condition=condition, then=then, otherwise=otherwise):
            yield f"{pad}if ({print_expression(condition)}) {{"
            yield from _block(then, depth + 1)
            if otherwise:
                yield f"{pad}}} else {{"
                yield from _block(otherwise, depth + 1)
            yield f"{pad}}}"
        case st.Region(label=label, body=body):
            yield f"{pad}{label.name}: {{"
            yield from _block(body, depth + 1)
            yield f"{pad}}}"
        case st.Loop(label=label, body=body):
            yield f"{pad}{label.name}: loop {{"
            yield from _block(body, depth + 1)
            yield f"{pad}}}"
        case st.ApplyHit(table=table, hit=hit, miss=miss):
            yield f"{pad}if ({table.name}.apply().hit) {{"
            yield from _block(hit, depth + 1)
            yield f"{pad}}} else {{"
            yield from _block(miss, depth + 1)
            yield f"{pad}}}"
        case st.ApplySwitch(table=table, cases=cases, default=default):
            yield f"{pad}switch ({table.name}.apply().action_run) {{"
            for case in cases:
                yield f"{pad}{INDENT}{', '.join(action.name for action in case.actions)}: {{"
                yield from _block(case.body, depth + 2)
                yield f"{pad}{INDENT}}}"
            yield f"{pad}{INDENT}default: {{"
            yield from _block(default, depth + 2)
            yield f"{pad}{INDENT}}}"
            yield f"{pad}}}"
        case _:
            yield f"{pad}{_simple_statement(statement)};"


def _simple_statement(statement: st.Statement) -> str:
    show = print_expression
    match statement:
        case st.Assign(target=target, value=value):
            return f"{show(target)} = {show(value)}"
        case st.CopyHeader(target=to_header, source=from_header):
            return f"{print_header(to_header)} = {print_header(from_header)}"
        case st.CopyStack(target=to_stack, source=from_stack):
            return f"{to_stack.name} = {from_stack.name}"
        case st.SetValid(header=header, valid=valid):
            return f"{print_header(header)}.{'setValid' if valid else 'setInvalid'}()"
        case st.ShiftStack(stack=stack, count=count, push=push):
            return f"{stack.name}.{'push_front' if push else 'pop_front'}({count})"
        case st.Leave(label=label):
            return f"leave {label.name}"
        case st.Exit():
            return "exit"
        case st.ApplyTable(table=table):
            return f"{table.name}.apply()"
    return _extern_call(statement)


def _extern_call(statement: st.Statement) -> str:
    show = print_expression
    match statement:
        case st.ReadRegister(target=target, register=register, index=index):
            return f"{register.name}.read({show(target)}, {show(index)})"
        case st.WriteRegister(register=register, index=index, value=value):
            return f"{register.name}.write({show(index)}, {show(value)})"
        case st.Count(counter=counter, index=index):
            return f"{counter.name}.count({show(index)})"
        case st.CountDirect(counter=direct_counter):
            return f"{direct_counter.name}.count()"
        case st.ExecuteMeter(meter=meter, index=index, target=target):
            return f"{meter.name}.execute_meter({show(index)}, {show(target)})"
        case st.ReadDirectMeter(meter=direct_meter, target=target):
            return f"{direct_meter.name}.read({show(target)})"
        case st.Hash(target=target, algorithm=algorithm, base=base, inputs=inputs, maximum=maximum):
            return f"hash({show(target)}, {algorithm.value}, {show(base)}, {_list(inputs)}, {show(maximum)})"
        case st.Random(target=target, low=low, high=high):
            return f"random({show(target)}, {show(low)}, {show(high)})"
        case st.Digest(name=name, receiver=receiver, inputs=inputs):
            return f"digest<{name}>({show(receiver)}, {_list(inputs)})"
        case st.Clone(kind=kind, session=session, field_list=field_list):
            return f"clone({kind.value}, {show(session)}{'' if field_list is None else f', {field_list}'})"
        case st.Resubmit(field_list=number):
            return f"resubmit({number})"
        case st.Recirculate(field_list=number):
            return f"recirculate({number})"
        case st.Truncate(length=length):
            return f"truncate({show(length)})"
        case st.MarkToDrop():
            return "mark_to_drop()"
        case st.LogMessage(format=text, values=values):
            return f'log_msg("{text}", {_list(values)})'
        case st.Assert(condition=condition, assumed=assumed):
            return f"{'assume' if assumed else 'assert'}({show(condition)})"
        case st.CallExtern(object=extern_object, name=name, arguments=arguments):
            shown = (show(a) if isinstance(a, ex.Expression) else print_header(a) for a in arguments)
            return f"{f'{extern_object.name}.' if extern_object else ''}{name}({', '.join(shown)})"
        case st.Extract(header=header, varbit_width=width):
            return f"extract({print_header(header)}{'' if width is None else f', {show(width)}'})"
        case st.Advance(amount=amount):
            return f"advance({show(amount)})"
        case st.Verify(condition=condition, error=error):
            return f"verify({show(condition)}, {show(error)})"
        case st.Emit(header=header):
            return f"emit({print_header(header)})"
        case st.Checksum(verify=verify, condition=condition, inputs=inputs, target=target, algorithm=algorithm):
            verb = f"{'verify' if verify else 'update'}_checksum{'_with_payload' if statement.payload else ''}"
            return f"{verb}({show(condition)}, {_list(inputs)}, {show(target)}, {algorithm.value})"
    raise TypeError(statement)


# -- declarations


def _storage(storage: Storage) -> Iterator[str]:
    for variable in storage.variables:
        lists = f" @field_list{list(variable.field_lists)}" if variable.field_lists else ""
        yield f"{variable.type} {variable.name};{lists}"
    for header in storage.headers:
        yield f"{_kind(header)} {header.layout.name} {header.name};"
    for union in storage.unions:
        yield f"union {union.layout.name} {union.name};"
    for stack in storage.stacks:
        yield f"stack {stack.layout.name}[{len(stack.elements)}] {stack.name};"


def _kind(header: Header) -> str:
    return "metadata" if header.is_metadata else "header"


def _objects(program: Program) -> Iterator[str]:
    objects = program.objects
    for profile in objects.action_profiles:
        kind = f"action_selector {profile.algorithm.value}" if profile.algorithm else "action_profile"
        yield f"{kind} {profile.name}[{profile.size}];"
    for counter in objects.counters:
        yield f"counter {counter.unit.value} {counter.name}[{counter.size}];"
    for direct_counter in objects.direct_counters:
        yield f"direct_counter {direct_counter.unit.value} {direct_counter.name};"
    for meter in objects.meters:
        yield f"meter {meter.unit.value} {meter.name}[{meter.size}];"
    for direct_meter in objects.direct_meters:
        yield f"direct_meter {direct_meter.unit.value} {direct_meter.name};"
    for register in objects.registers:
        yield f"register {register.name}[{register.size}];"
    for extern in objects.externs:
        yield f"extern {extern.type_name} {extern.name};"
    for value_set in objects.value_sets:
        yield f"value_set<{value_set.width}> {value_set.name}[{value_set.size}];"
    for action in objects.actions:
        yield from _action(action)
    for table in objects.tables:
        yield from _table(table)


def _action(action: Action) -> Iterator[str]:
    parameters = ", ".join(f"{parameter.value.type} {parameter.name}" for parameter in action.parameters)
    yield f"{'hidden ' if action.hidden else ''}action {action.name}({parameters}) {{"
    yield from _block(action.body, 1)
    yield "}"


def _table(table: Table) -> Iterator[str]:
    yield f"{'hidden ' if table.hidden else ''}table {table.name} {{"
    for key in table.keys:
        yield f"{INDENT}key {print_expression(key.expression)} : {key.match_kind.value} {key.name};"
    yield f"{INDENT}actions {', '.join(reference.action.name for reference in table.actions)};"
    if table.default is not None:
        yield f"{INDENT}{'const ' if table.default_is_const else ''}default {_call(table.default)};"
    if table.profile is not None:
        yield f"{INDENT}implementation {table.profile.name};"
    for entry in table.entries or ():
        yield f"{INDENT}entry {_entry(entry)};"
    yield f"{INDENT}size {table.size};"
    yield "}"


def _call(call: ActionCall) -> str:
    return f"{call.action.name}({', '.join(map(str, call.arguments))})"


def _entry(entry: Entry) -> str:
    return f"{entry.priority}: ({', '.join(map(_keyset, entry.keys))}) -> {_call(entry.call)}"


def _keyset(keyset: KeySet) -> str:
    if keyset.any:
        return "_"
    if keyset.high is not None:
        return f"{keyset.value}..{keyset.high}"
    if keyset.mask is not None:
        return f"0x{keyset.value:x} &&& 0x{keyset.mask:x}"
    return str(keyset.value)


def _parser(parser: Parser) -> Iterator[str]:
    yield f"parser {parser.name} {{"
    for state in parser.states:
        yield f"{INDENT}state {state.name} {{"
        yield from _block(state.body, 2)
        transition = state.transition
        if not transition.keys:
            yield f"{INDENT}{INDENT}goto {transition.cases[0].target or 'accept' if transition.cases else 'accept'};"
        else:
            yield f"{INDENT}{INDENT}select ({', '.join(map(print_expression, transition.keys))}) {{"
            for case in transition.cases:
                yield f"{INDENT * 3}{_case(case)} -> {case.target or 'accept'};"
            yield f"{INDENT}{INDENT}}}"
        yield f"{INDENT}}}"
    yield "}"


def _case(case: SelectCase | ValueSetCase) -> str:
    if isinstance(case, ValueSetCase):
        return case.value_set.name
    return "(" + ", ".join(map(_pattern, case.patterns)) + ")"


def _pattern(pattern: Pattern) -> str:
    if pattern.mask is None:
        return f"0x{pattern.value:x}"
    return f"0x{pattern.value:x} &&& 0x{pattern.mask:x}" if pattern.mask else "_"


def _control(title: str, control: Control) -> Iterator[str]:
    yield f"{title} {control.name} {{"
    yield from _block(control.body, 1)
    yield "}"
