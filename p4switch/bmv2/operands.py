"""Operands of the BMv2 JSON (`{"type": …, "value": …}`) as typed expressions, with their references resolved."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from p4switch.bmv2 import document as doc
from p4switch.bmv2 import model
from p4switch.bmv2.errors import JsonError

VALID_FIELD = model.FieldDecl("$valid$", 1)
MAX_DEPTH = 2000

DATA_BINARY = {"+", "-", "*", "/", "%", "<<", ">>", "&", "|", "^", "two_comp_mod", "usat_cast", "sat_cast"}
COMPARE = {"==", "!=", "<", "<=", ">", ">="}
LOGIC = {"and", "or"}


def source_of(info: doc.SourceInfoDoc | None) -> model.SourceInfo | None:
    return None if info is None else model.SourceInfo(info.filename, info.line, info.source_fragment)


def hex_value(where: str, text: object) -> int:
    """The number in a JSON hexstr, such as "0x0a", "0a" or "-0x01"."""
    if isinstance(text, str):
        try:
            digits = text.removeprefix("-").removeprefix("0x")
            value = int(digits, 16)
        except ValueError:
            pass
        else:
            return -value if text.startswith("-") else value
    raise JsonError(where, f"{text!r} is not a hexadecimal value")


def field_of(headers: dict[str, model.Header], where: str, header: str, field: str) -> model.FieldRef:
    """The field `header.field`, `$valid$` included."""
    if header not in headers:
        raise JsonError(where, f"unknown header {header!r}")
    if field == "$valid$":
        return model.FieldRef(header, VALID_FIELD)
    decl = headers[header].type.field(field)
    if decl is None:
        raise JsonError(where, f"header {header!r} has no field {field!r}")
    return model.FieldRef(header, decl)


class Operands:
    """Resolves operands against the headers and extern objects of one document."""

    def __init__(
        self,
        headers: dict[str, model.Header],
        stacks: dict[str, model.HeaderStack],
        unions: dict[str, model.HeaderUnion],
    ) -> None:
        self.headers = headers
        self.stacks = stacks
        self.unions = unions
        self.union_members: dict[str, dict[str, tuple[str, ...]]] = {}
        self.union_stacks: set[str] = set()
        self.lengths: dict[str, model.Expr] = {}  # of the variable-length field of P4_14's header types
        self.registers: set[str] = set()
        self.objects: dict[str, set[str]] = {}

    # -- kinds

    def kind(self, expr: model.Expr) -> str:
        """What an expression yields: "data", "bool", "header", "stack", "union" or "union stack"."""
        match expr:
            case model.BoolConst():
                return "bool"
            case model.HeaderRef() | model.StackElement():
                return "header"
            case model.StackRef():
                return "stack"
            case model.UnionRef():
                return "union"
            case model.UnionStackRef():
                return "union stack"
            case model.Unary(op, _):
                return "bool" if op in ("not", "valid", "valid_union", "d2b") else "data"
            case model.Binary(op, _, _):
                return "bool" if op in COMPARE or op in LOGIC else "data"
            case model.Ternary(_, left, _):
                return self.kind(left)
            case _:
                return "data"

    def width(self, where: str, expr: model.Expr) -> int:
        """The width of an operand that has one by declaration."""
        match expr:
            case model.FieldRef(_, decl) | model.StackFieldRef(_, decl) | model.ElementField(_, decl):
                return decl.width
            case model.UnionStackFieldRef(_, _, decl):
                return decl.width
            case model.Lookahead(_, width) | model.Param(_, width):
                return width
            case _:
                raise JsonError(where, "an operand without a width cannot be used here")

    # -- operands

    def stack(self, where: str, name: object) -> model.HeaderStack:
        if not isinstance(name, str) or name not in self.stacks:
            raise JsonError(where, f"unknown header stack {name!r}")
        return self.stacks[name]

    def _pair(self, where: str, operand: doc.TypeValue) -> tuple[str, str]:
        value = operand.value
        if isinstance(value, list) and len(value) == 2 and all(isinstance(item, str) for item in value):
            return value[0], value[1]
        raise JsonError(where, f"a {operand.type!r} operand needs two names, not {value!r}")

    def _stack_field(self, where: str, stack: str, field: str) -> model.FieldDecl:
        decl = self.stack(where, stack).type.field(field)
        if decl is None:
            raise JsonError(where, f"header stack {stack!r} has no field {field!r}")
        return decl

    def _union_members(self, where: str, stack: object, member: object) -> tuple[str, ...]:
        """The headers that a member of a stack of unions is in each element."""
        if not isinstance(stack, str) or stack not in self.union_members:
            raise JsonError(where, f"unknown header union stack {stack!r}")
        if not isinstance(member, str) or member not in self.union_members[stack]:
            raise JsonError(where, f"header union stack {stack!r} has no member {member!r}")
        return self.union_members[stack][member]

    def _union_stack_field(self, where: str, value: object) -> model.UnionStackFieldRef:
        if not isinstance(value, list) or len(value) != 3:
            raise JsonError(where, f"a field of a header union stack needs three names, not {value!r}")
        headers = self._union_members(where, value[0], value[1])
        ref = field_of(self.headers, where, headers[0], value[2])
        return model.UnionStackFieldRef(value[0], headers, ref.decl)

    def expr(
        self, where: str, operand: doc.TypeValue | None, params: tuple[model.ActionParam, ...], depth: int = 0
    ) -> model.Expr:
        """The expression in `operand`; `params` are those of the enclosing action."""
        if operand is None:
            raise JsonError(where, "an operand is missing")
        if depth > MAX_DEPTH:
            raise JsonError(where, "an expression is nested too deeply")
        value = operand.value
        match operand.type:
            case "field":
                header, field = self._pair(where, operand)
                return field_of(self.headers, where, header, field)
            case "hexstr":
                return model.Const(hex_value(where, value), operand.bitwidth)
            case "bool":
                if not isinstance(value, bool):
                    raise JsonError(where, f"{value!r} is not a Boolean")
                return model.BoolConst(value)
            case "local" | "runtime_data":
                if not isinstance(value, int) or not 0 <= value < len(params):
                    raise JsonError(where, f"there is no parameter {value!r}")
                return model.Param(value, params[value].width)
            case "header":
                if not isinstance(value, str) or value not in self.headers:
                    raise JsonError(where, f"unknown header {value!r}")
                return model.HeaderRef(value)
            case "header_stack":
                return model.StackRef(self.stack(where, value).name)
            case "header_union":
                if not isinstance(value, str) or value not in self.unions:
                    raise JsonError(where, f"unknown header union {value!r}")
                return model.UnionRef(value)
            case "header_union_stack":
                if not isinstance(value, str) or value not in self.union_stacks:
                    raise JsonError(where, f"unknown header union stack {value!r}")
                return model.UnionStackRef(value)
            case "stack_field":
                stack, field = self._pair(where, operand)
                if field == "last" and self.stack(where, stack).type.field(field) is None:  # the header itself
                    last = model.Unary("last_stack_index", model.StackRef(stack))
                    return model.StackElement(stack, last)
                return model.StackFieldRef(stack, self._stack_field(where, stack, field))
            case "union_stack_field":
                return self._union_stack_field(where, value)
            case "lookahead":
                if not isinstance(value, list) or len(value) != 2 or not all(isinstance(item, int) for item in value):
                    raise JsonError(where, f"a lookahead needs an offset and a width, not {value!r}")
                return model.Lookahead(value[0], value[1])
            case "register":
                if not isinstance(value, list) or len(value) != 2 or value[0] not in self.registers:
                    raise JsonError(where, f"unknown register reference {value!r}")
                index = self.expr(where, self.operand(where, value[1]), params, depth + 1)
                return model.RegisterRef(cast(str, value[0]), index)
            case "expression":
                if isinstance(value, dict) and "op" in value:
                    return self._operation(where, value, params, depth)
                return self.expr(where, self.operand(where, value), params, depth + 1)
            case other:
                raise JsonError(where, f"operand type {other!r} is not supported")

    def operand(self, where: str, value: object) -> doc.TypeValue:
        try:
            return msgspec.convert(value, doc.TypeValue)
        except msgspec.ValidationError as error:
            raise JsonError(where, f"malformed operand: {error}") from None

    def _operation(
        self, where: str, value: dict[str, Any], params: tuple[model.ActionParam, ...], depth: int
    ) -> model.Expr:
        op = value.get("op")
        if not isinstance(op, str):
            raise JsonError(where, f"{op!r} is not an operation")

        def child(name: str) -> model.Expr:
            return self.expr(where, self.operand(where, value.get(name)), params, depth + 1)

        if op == "?":
            left, right = child("left"), child("right")
            cond = child("cond")
            self._need(where, op, cond, "bool")
            if self.kind(left) != self.kind(right):
                raise JsonError(where, "the two results of '?' are of different kinds")
            return model.Ternary(cond, left, right)
        if op in ("+", "-") and value.get("left") is None:
            right = self._need(where, op, child("right"), "data")
            return model.Binary(op, model.Const(0), right)
        if op in DATA_BINARY:
            left, right = child("left"), child("right")
            self._need(where, op, left, "data")
            self._need(where, op, right, "data")
            return model.Binary(op, left, right)
        if op in COMPARE:
            left, right = child("left"), child("right")
            kind = self.kind(left)
            self._need(where, op, right, kind)
            if kind == "stack" or (kind in ("bool", "header", "union") and op not in ("==", "!=")):
                raise JsonError(where, f"{op!r} cannot compare operands of kind {kind!r}")
            return model.Binary(op, left, right)
        if op in LOGIC:
            left, right = child("left"), child("right")
            self._need(where, op, left, "bool")
            self._need(where, op, right, "bool")
            return model.Binary(op, left, right)
        if op in ("not", "b2d"):
            return model.Unary(op, self._need(where, op, child("right"), "bool"))
        if op in ("~", "d2b"):
            return model.Unary(op, self._need(where, op, child("right"), "data"))
        if op == "valid":
            return model.Unary(op, self._need(where, op, child("right"), "header"))
        if op == "valid_union":
            return model.Unary(op, self._need(where, op, child("right"), "union"))
        if op in ("last_stack_index", "size_stack"):
            right = child("right")
            if isinstance(right, model.UnionStackRef):  # what next it has is the same
                return model.Unary(op, model.StackRef(right.stack))
            return model.Unary(op, self._need(where, op, right, "stack"))
        if op in ("dereference_header_stack", "dereference_stack"):
            stack = self._need(where, op, child("left"), "stack")
            assert isinstance(stack, model.StackRef)
            return model.StackElement(stack.stack, self._need(where, op, child("right"), "data"))
        if op == "access_field":
            return self._access_field(where, child("left"), value.get("right"))
        raise JsonError(where, f"operation {op!r} is not supported")

    def _access_field(self, where: str, element: model.Expr, index: object) -> model.Expr:
        match element:
            case model.HeaderRef(header):
                fields = self.headers[header].type.fields
            case model.StackElement(stack, _):
                fields = self.stacks[stack].type.fields
            case _:
                raise JsonError(where, "'access_field' needs a header")
        if not isinstance(index, int) or not 0 <= index < len(fields):
            raise JsonError(where, f"'access_field' has no field {index!r}")
        if isinstance(element, model.HeaderRef):
            return model.FieldRef(element.header, fields[index])
        return model.ElementField(element, fields[index])

    def _need(self, where: str, op: str, expr: model.Expr, kind: str) -> model.Expr:
        found = self.kind(expr)
        if found != kind:
            raise JsonError(where, f"{op!r} needs an operand of kind {kind!r}, not {found!r}")
        return expr

    def boolean(self, where: str, operand: doc.TypeValue | None, params: tuple[model.ActionParam, ...]) -> model.Expr:
        """A condition. BMv2 takes a data value too, as "not zero"."""
        return self._need(where, "condition", self.expr(where, operand, params), "bool")

    # -- statements

    def primitive(self, where: str, call: doc.PrimitiveDoc, params: tuple[model.ActionParam, ...]) -> model.Primitive:
        args = tuple(self._argument(f"{where}, primitive {call.op!r}", arg, params) for arg in call.parameters)
        return model.Primitive(call.op, args, source_of(call.source_info))

    def _argument(self, where: str, arg: doc.TypeValue, params: tuple[model.ActionParam, ...]) -> model.Argument:
        if arg.type in self.objects:
            if not isinstance(arg.value, str) or arg.value not in self.objects[arg.type]:
                raise JsonError(where, f"unknown {arg.type.removesuffix('_array')} {arg.value!r}")
            return model.ObjectRef(arg.type, arg.value)
        if arg.type == "string":
            return model.Text(str(arg.value))
        if arg.type in ("parameters_vector", "field_list"):
            values = arg.value or []  # p4c writes an empty vector as an empty object
            if not isinstance(values, list):
                raise JsonError(where, f"{arg.type!r} needs a list")
            return model.Vector(tuple(self.expr(where, self.operand(where, item), params) for item in values))
        return self.expr(where, arg, params)

    def parser_op(self, where: str, op: doc.ParserOpDoc) -> model.ParserOp:
        """One operation of a parser state."""
        where = f"{where}, {op.op!r}"
        count = 2 if op.op in ("set", "verify", "extract_VL") else 1
        if len(op.parameters) != count:
            raise JsonError(where, f"needs {count} parameters, not {len(op.parameters)}")
        if op.op == "shift":
            if not isinstance(op.parameters[0], int):
                raise JsonError(where, "needs a number of bytes")
            return model.Advance(model.Const(op.parameters[0] * 8))
        if op.op == "primitive":
            try:
                call = msgspec.convert(op.parameters[0], doc.PrimitiveDoc)
            except msgspec.ValidationError as error:
                raise JsonError(where, str(error)) from None
            return model.Call(self.primitive(where, call, ()))
        if op.op == "verify":
            cond = self.boolean(where, self.operand(where, op.parameters[0]), ())
            code = op.parameters[1]
            error_code = model.Const(code) if isinstance(code, int) else self.expr(where, self.operand(where, code), ())
            return model.Verify(cond, error_code)
        first = self.operand(where, op.parameters[0])
        if op.op in ("extract", "extract_VL"):
            return self._extract(where, op, first)
        if op.op == "set":
            target = self.expr(where, first, ())
            if not isinstance(target, model.FieldRef):
                raise JsonError(where, f"the destination is of type {first.type!r}, not a field")
            return model.SetField(target, self.expr(where, self.operand(where, op.parameters[1]), ()))
        if op.op == "advance":
            return model.Advance(self.expr(where, first, ()))
        raise JsonError(where, "this parser operation is not supported")

    def _extract(self, where: str, op: doc.ParserOpDoc, first: doc.TypeValue) -> model.ParserOp:
        headers: tuple[str, ...] = ()
        if first.type == "regular":
            if not isinstance(first.value, str) or first.value not in self.headers:
                raise JsonError(where, f"unknown header {first.value!r}")
            header_type = self.headers[first.value].type
        elif first.type == "stack":
            header_type = self.stack(where, first.value).type
        elif first.type == "union_stack" and isinstance(first.value, list) and len(first.value) == 2:
            headers = self._union_members(where, first.value[0], first.value[1])
            header_type = self.headers[headers[0]].type
        else:
            raise JsonError(where, f"extract type {first.type!r} is not supported")
        if op.op == "extract_VL":
            if header_type.varlen is None:
                raise JsonError(where, f"header type {header_type.name!r} has no variable-length field")
            bits = self.expr(where, self.operand(where, op.parameters[1]), ())
            if first.type == "union_stack":
                return model.ExtractUnionStack(first.value[0], headers, bits)
            return model.ExtractVarlen(first.value, first.type == "stack", bits)
        if header_type.varlen is not None:
            if header_type.name not in self.lengths:
                raise JsonError(
                    where, f"header type {header_type.name!r} has a variable-length field: needs 'extract_VL'"
                )
            length = self.lengths[header_type.name]
            if first.type == "union_stack":
                return model.ExtractUnionStack(first.value[0], headers, length)
            return model.ExtractVarlen(first.value, first.type == "stack", length)
        if first.type == "union_stack":
            return model.ExtractUnionStack(first.value[0], headers)
        return model.ExtractStack(first.value) if first.type == "stack" else model.Extract(first.value)
