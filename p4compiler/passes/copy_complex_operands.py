"""Give BMv2 simple operands: fields, constants and parameters where it computes nothing."""

from __future__ import annotations

from dataclasses import replace

from p4compiler.ir import expressions as ex
from p4compiler.ir import objects as ob
from p4compiler.ir import statements as st
from p4compiler.ir.program import ParserState, Program, Transition
from p4compiler.ir.storage import Variable
from p4compiler.ir.types import Bits
from p4compiler.ir.walk import blocks_of, subexpressions_of
from p4compiler.passes.rewriter import Rewrite, rewrite_program, with_blocks


def copy_complex_operands(program: Program) -> Program:
    """Compute the operands of externs, keys of tables and of selects into variables before they are used.

    Before:
        r.write(a + 1, b);          table t { key { h.x + 1 : exact } }          select (lookahead<bit<8>>(0) & 7)
        t.apply();
    After:
        tmp = a + 1;                table t { key { t.key : exact } }            look = lookahead<bit<8>>(0);
        r.write(tmp, b);                                                         key = look & 7;
        t.key = h.x + 1;                                                         select (key)
        t.apply();
    A signed value that a register, a hash or a random number was written to is assigned to itself through bit<>.
    """
    rewrite = _Copy(program)
    result = rewrite_program(program, rewrite)
    storage = replace(result.storage, variables=result.storage.variables + tuple(rewrite.variables))
    return replace(result, storage=storage)


class _Copy(Rewrite):
    def __init__(self, program: Program) -> None:
        self.variables: list[Variable] = []
        self._used = {variable.name for variable in program.storage.variables}
        self._numbers: dict[str, int] = {}
        """For each name that was taken, the number to try next."""
        self._keys: dict[ob.Table, list[tuple[ex.VariableValue, ex.Expression]]] = {}
        self._in_parser = False
        for table in program.objects.tables:
            self._split_keys(table)

    def fixed_controls(self) -> frozenset[str]:
        # The target computes a checksum from fields where they stand, and a deparser emits headers where they stand.
        return frozenset({"verify_checksum", "compute_checksum", "deparser"})

    # -- variables

    def _variable(self, hint: str, expression: ex.Expression) -> ex.VariableValue:
        name = hint
        while name in self._used:
            number = self._numbers.get(hint, 0)
            self._numbers[hint] = number + 1
            name = f"{hint}_{number}"
        self._used.add(name)
        variable = Variable(expression.span, name, expression.type)
        self.variables.append(variable)
        return ex.VariableValue(expression.span, variable)

    def _copied(self, expression: ex.Expression, before: list[st.Statement]) -> ex.Expression:
        """The expression itself if it is simple; else a variable that gets its value first."""
        return expression if is_simple(expression) else self._force(expression, before)

    def _force(self, expression: ex.Expression, before: list[st.Statement]) -> ex.VariableValue:
        place = self._variable("tmp", expression)
        before.append(st.Assign(expression.span, place, self._value(expression, before)))
        return place

    def _value(self, expression: ex.Expression, before: list[st.Statement]) -> ex.Expression:
        """In a parser: a lookahead inside of a computation is looked at first."""
        if not self._in_parser or isinstance(expression, ex.Lookahead):
            return expression
        looks = {part: None for part in subexpressions_of(expression) if isinstance(part, ex.Lookahead)}
        if not looks:
            return expression
        places: dict[ex.Expression, ex.Expression] = {}
        for look in looks:
            place = self._variable("look", look)
            before.append(st.Assign(look.span, place, look))
            places[look] = place
        return substitute(expression, places)

    # -- tables

    def _split_keys(self, table: ob.Table) -> None:
        copies = []
        for index, key in enumerate(table.keys):
            if not is_key(key.expression, masked=key.match_kind is not ob.MatchKind.SELECTOR):
                copies.append((self._variable(f"{table.name}.key{index}", key.expression), key.expression))
        if copies:
            self._keys[table] = copies

    def keys(self, table: ob.Table) -> tuple[ob.Key, ...]:
        places = {expression: place for place, expression in self._keys.get(table, ())}
        return tuple(
            ob.Key(k.span, places[k.expression], k.match_kind, k.name, k.data_type, k.annotations)
            if k.expression in places
            else k
            for k in table.keys
        )

    # -- statements

    def block(self, block: st.Block) -> st.Block:
        result: list[st.Statement] = []
        for statement in block:
            if isinstance(statement, st.ApplyTable | st.ApplyHit | st.ApplySwitch):
                for place, expression in self._keys.get(statement.table, ()):
                    result.append(st.Assign(expression.span, place, expression))
            if blocks_of(statement) or isinstance(statement, st.If | st.ApplyHit | st.ApplySwitch):
                result.append(with_blocks(statement, self.block))
            else:
                before: list[st.Statement] = []
                changed = self._operands(statement, before)
                result += before
                result.append(changed)
                result += _sign_found_again(changed)
        return tuple(result)

    def _operands(self, statement: st.Statement, before: list[st.Statement]) -> st.Statement:
        def simple(expression: ex.Expression) -> ex.Expression:
            return self._copied(expression, before)

        match statement:
            case st.Assign(span=span, target=target, value=value) if self._in_parser:
                return st.Assign(span, target, self._value(value, before))
            case st.Verify(span=span, condition=condition, error=error):
                return st.Verify(span, self._value(condition, before), simple(error))
            case st.Advance(span=span, amount=amount):
                return st.Advance(span, self._value(amount, before))
            case st.Extract(span=span, header=header, varbit_width=width) if width is not None:
                return st.Extract(span, header, self._value(width, before))
            case st.ReadRegister(span=span, target=target, register=register, index=index):
                return st.ReadRegister(span, target, register, simple(index))
            case st.WriteRegister(span=span, register=register, index=index, value=value):
                return st.WriteRegister(span, register, simple(index), simple(value))
            case st.Count(span=span, counter=counter, index=index):
                return st.Count(span, counter, simple(index))
            case st.ExecuteMeter(span=span, meter=meter, index=index, target=target):
                return st.ExecuteMeter(span, meter, simple(index), target)
            case st.Hash(span=span, target=target, algorithm=algorithm, base=base, inputs=inputs, maximum=maximum):
                # A calculation has no action parameters: they are copied too.
                fields = tuple(
                    v if is_simple(v) and not isinstance(v, ex.ParameterValue) else self._force(v, before)
                    for v in inputs
                )
                return st.Hash(span, target, algorithm, simple(base), fields, simple(maximum))
            case st.Random(span=span, target=target, low=low, high=high):
                return st.Random(span, target, simple(low), simple(high))
            case st.Digest(span=span, name=name, receiver=receiver, inputs=inputs):
                # The target sends only fields, and what they hold at the end of the pipeline; P4 means now.
                copies = tuple(self._force(v, before) for v in inputs)
                return st.Digest(span, name, simple(receiver), copies)
            case st.Clone(span=span, kind=kind, session=session, field_list=field_list):
                return st.Clone(span, kind, simple(session), field_list)
            case st.CallExtern(span=span, object=extern_object, name=name, arguments=arguments):
                copied = tuple(simple(a) if isinstance(a, ex.Expression) else a for a in arguments)
                return st.CallExtern(span, extern_object, name, copied)
            case st.Truncate(span=span, length=length):
                return st.Truncate(span, simple(length))
        return statement

    # -- parser

    def state(self, state: ParserState) -> ParserState:
        self._in_parser = True
        body = list(self.block(state.body))
        keys = []
        for key in state.transition.keys:
            if is_select_key(key):
                keys.append(key)
            else:
                keys.append(self._force(key, body))
        self._in_parser = False
        transition = Transition(state.transition.span, tuple(keys), state.transition.cases)
        return ParserState(state.span, state.name, tuple(body), transition)


def _sign_found_again(statement: st.Statement) -> tuple[st.Statement, ...]:
    """BMv2 gives a signed target the bits of a register, a hash or a random number as a number that is not negative."""
    if not isinstance(statement, st.ReadRegister | st.Hash | st.Random):
        return ()
    target, type_ = statement.target, statement.target.type
    if not (isinstance(type_, Bits) and type_.signed):
        return ()
    bits = ex.Cast(statement.span, Bits(type_.width), target)
    return (st.Assign(statement.span, target, ex.Cast(statement.span, type_, bits)),)


def is_simple(expression: ex.Expression) -> bool:
    """A value that needs no computing."""
    match expression:
        case ex.Constant() | ex.BooleanConstant() | ex.TextConstant() | ex.VariableValue() | ex.ParameterValue():
            return True
        case ex.FieldValue(header=ex.OneHeader()):
            return True
    return False


def is_key(expression: ex.Expression, masked: bool) -> bool:
    """A field or a validity, or, with `masked`, a field under a constant mask."""
    match expression:
        case ex.VariableValue() | ex.FieldValue(header=ex.OneHeader()) | ex.Valid(header=ex.OneHeader()):
            return True
        case ex.Binary(operator=ex.BinaryOperator.AND, left=left, right=ex.Constant()) if masked:
            return isinstance(left, ex.VariableValue | ex.FieldValue) and is_simple(left)
    return False


def is_select_key(expression: ex.Expression) -> bool:
    match expression:
        case ex.VariableValue() | ex.Lookahead():
            return True
        case ex.FieldValue(header=ex.OneHeader() | ex.LastElement()):
            return True
    return False


def substitute(expression: ex.Expression, places: dict[ex.Expression, ex.Expression]) -> ex.Expression:
    """The expression with some of its parts replaced."""
    found = places.get(expression)
    if found is not None:
        return found
    match expression:
        case ex.Unary(span=span, operator=unary, operand=operand):
            return ex.Unary(span, unary, substitute(operand, places))
        case ex.Binary(span=span, operator=binary, left=left, right=right):
            return ex.Binary(span, binary, substitute(left, places), substitute(right, places))
        case ex.Conditional(span=span, condition=condition, then=then, otherwise=otherwise):
            parts = (substitute(part, places) for part in (condition, then, otherwise))
            return ex.Conditional(span, *parts)
        case ex.Slice(span=span, operand=operand, high=high, low=low):
            return ex.Slice(span, substitute(operand, places), high, low)
        case ex.Concat(span=span, left=left, right=right):
            return ex.Concat(span, substitute(left, places), substitute(right, places))
        case ex.Cast(span=span, target=target, operand=operand):
            return ex.Cast(span, target, substitute(operand, places))
    return expression
