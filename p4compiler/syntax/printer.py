"""The tree as P4 text again: one canonical form, every nested operator in parentheses. Parsing it gives an equal tree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from p4compiler.syntax import ast


def print_program(program: ast.Program) -> str:
    """The whole program."""
    printer = _Printer()
    for declaration in program.declarations:
        printer.item(declaration)
    return "\n".join(printer.lines) + "\n"


def print_expression(expression: ast.Expression) -> str:
    """One expression, on one line."""
    return _EXPRESSIONS[expression.__class__](expression)


def print_type(reference: ast.TypeRef) -> str:
    """A type as it is referred to."""
    match reference:
        case ast.BaseTypeRef():
            return reference.kind.value
        case ast.BitsTypeRef():
            return reference.kind.value + ("" if reference.width is None else f"<{_enclosed(reference.width)}>")
        case ast.NamedTypeRef():
            return ("." if reference.absolute else "") + reference.name
        case ast.SpecializedTypeRef():
            return print_type(reference.base) + _angles(reference.arguments)
        case ast.StackTypeRef():
            return f"{print_type(reference.element)}[{print_expression(reference.size)}]"
        case ast.TupleTypeRef():
            return "tuple" + _angles(reference.elements)
        case ast.ListTypeRef():
            return "list" + _angles((reference.element,))
    raise AssertionError(f"unexpected type reference {reference!r}")


# -- expressions


def _angles(references: Sequence[ast.TypeRef]) -> str:
    return f"<{', '.join(print_type(reference) for reference in references)}>"


def _enclosed(expression: ast.Expression) -> str:
    """In parentheses unless nothing could go wrong without."""
    text = print_expression(expression)
    simple = isinstance(
        expression,
        ast.IntegerLiteral
        | ast.BoolLiteral
        | ast.StringLiteral
        | ast.PathExpression
        | ast.Member
        | ast.Index
        | ast.Slice
        | ast.Call
        | ast.ListExpression
        | ast.StructExpression
        | ast.This
        | ast.TypeNameExpression
        | ast.InvalidHeader
        | ast.DefaultLiteral
        | ast.DontCare,
    )
    return text if simple else f"({text})"


def _list(expressions: Iterable[ast.Expression]) -> str:
    return ", ".join(print_expression(expression) for expression in expressions)


def _integer(literal: ast.IntegerLiteral) -> str:
    prefix = "" if literal.width is None else f"{literal.width}{'s' if literal.signed else 'w'}"
    digits = {16: f"0x{literal.value:x}", 8: f"0o{literal.value:o}", 2: f"0b{literal.value:b}"}
    return prefix + digits.get(literal.base, str(literal.value))


def _string(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _member(expression: ast.Member) -> str:
    return f"{_enclosed(expression.base)}.{expression.member.text}"


def _slice(expression: ast.Slice) -> str:
    base = _enclosed(expression.base)
    if expression.plus:
        return f"{base}[{print_expression(expression.low)} +: {print_expression(expression.high)}]"
    return f"{base}[{print_expression(expression.high)}:{print_expression(expression.low)}]"


def _binary(expression: ast.Binary) -> str:
    return f"{_enclosed(expression.left)} {expression.operator.value} {_enclosed(expression.right)}"


def _conditional(expression: ast.Conditional) -> str:
    parts = (_enclosed(expression.condition), _enclosed(expression.then), _enclosed(expression.otherwise))
    return "{} ? {} : {}".format(*parts)


def _struct(expression: ast.StructExpression) -> str:
    parts = [f"{item.name.text} = {print_expression(item.value)}" for item in expression.fields]
    if expression.rest is not None:
        parts.append("...")
    return "{ " + ", ".join(parts) + " }"


def _arguments(arguments: Iterable[ast.Argument]) -> str:
    parts = []
    for argument in arguments:
        name = "" if argument.name is None else f"{argument.name.text} = "
        parts.append(name + print_expression(argument.value))
    return f"({', '.join(parts)})"


def _call(expression: ast.Call) -> str:
    types = _angles(expression.type_arguments) if expression.type_arguments else ""
    return _enclosed(expression.callee) + types + _arguments(expression.arguments)


_EXPRESSIONS: dict[type[ast.Expression], Callable[[Any], str]] = {
    ast.IntegerLiteral: _integer,
    ast.BoolLiteral: lambda e: "true" if e.value else "false",
    ast.StringLiteral: lambda e: _string(e.value),
    ast.PathExpression: lambda e: ("." if e.absolute else "") + e.name,
    ast.This: lambda e: "this",
    ast.DefaultLiteral: lambda e: "..." if e.ellipsis else "default",
    ast.DontCare: lambda e: "_",
    ast.InvalidHeader: lambda e: "{#}",
    ast.Member: _member,
    ast.TypeNameExpression: lambda e: print_type(e.type),
    ast.Index: lambda e: f"{_enclosed(e.base)}[{print_expression(e.index)}]",
    ast.Slice: _slice,
    ast.Unary: lambda e: e.operator.value + _enclosed(e.operand),
    ast.Binary: _binary,
    ast.Conditional: _conditional,
    ast.Cast: lambda e: f"({print_type(e.target)}){_enclosed(e.operand)}",
    ast.ListExpression: lambda e: "{ " + _list(e.elements) + " }",
    ast.StructExpression: _struct,
    ast.TupleSet: lambda e: f"({_list(e.elements)})",
    ast.Call: _call,
}


# -- declarations and statements


def _annotations(annotations: Iterable[ast.Annotation]) -> str:
    parts = []
    for annotation in annotations:
        if annotation.structured:
            pairs = [f"{pair.name.text} = {print_expression(pair.value)}" for pair in annotation.pairs]
            parts.append(f"@{annotation.name}[{', '.join(pairs) or _list(annotation.arguments)}] ")
        elif annotation.tokens is None:
            parts.append(f"@{annotation.name} ")
        else:
            parts.append(f"@{annotation.name}({' '.join(token.text for token in annotation.tokens)}) ")
    return "".join(parts)


def _type_parameters(parameters: Sequence[ast.TypeParameter]) -> str:
    return f"<{', '.join(p.name.text for p in parameters)}>" if parameters else ""


def _parameters(parameters: Iterable[ast.Parameter]) -> str:
    parts = []
    for p in parameters:
        direction = f"{p.direction.value} " if p.direction.value else ""
        default = "" if p.default is None else f" = {print_expression(p.default)}"
        parts.append(f"{_annotations(p.annotations)}{direction}{print_type(p.type)} {p.name.text}{default}")
    return f"({', '.join(parts)})"


def _prototype(prototype: ast.FunctionPrototype) -> str:
    return (
        ("abstract " if prototype.is_abstract else "")
        + f"{print_type(prototype.return_type)} {prototype.name.text}"
        + _type_parameters(prototype.type_parameters)
        + _parameters(prototype.parameters)
    )


class _Printer:
    """Collects lines; one method for each kind of construct with a body."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.indent = 0

    def line(self, text: str) -> None:
        self.lines.append("    " * self.indent + text)

    def open(self, text: str) -> None:
        self.line(text + " {")
        self.indent += 1

    def close(self, suffix: str = "") -> None:
        self.indent -= 1
        self.line("}" + suffix)

    def items(self, items: Iterable[ast.Statement | ast.Declaration]) -> None:
        for item in items:
            self.item(item)

    def item(self, item: ast.Statement | ast.Declaration) -> None:
        prefix = _annotations(item.annotations)
        match item:
            case ast.Block():
                self.open(prefix.rstrip() if prefix else "")
                self.items(item.body)
                self.close()
            case ast.If() | ast.Switch() | ast.For() | ast.ForIn():
                self.compound(item, prefix)
            case ast.Statement():
                self.line(prefix + simple_statement(item) + ";")
            case ast.Parser() | ast.Control():
                self.block(item, prefix)
            case ast.StructDeclaration() | ast.HeaderDeclaration() | ast.HeaderUnionDeclaration():
                word = {ast.StructDeclaration: "struct", ast.HeaderDeclaration: "header"}.get(
                    type(item), "header_union"
                )
                self.open(f"{prefix}{word} {item.name.text}{_type_parameters(item.type_parameters)}")
                for field in item.fields:
                    self.line(f"{_annotations(field.annotations)}{print_type(field.type)} {field.name.text};")
                self.close()
            case ast.EnumDeclaration():
                self.enum(item, prefix)
            case ast.ErrorDeclaration() | ast.MatchKindDeclaration():
                self.open(prefix + item.name.text)
                self.line(", ".join(name.text for name in item.members))
                self.close()
            case ast.ExternDeclaration():
                self.extern(item, prefix)
            case ast.Function():
                self.function(item, prefix)
            case ast.Action():
                self.open(f"{prefix}action {item.name.text}{_parameters(item.parameters)}")
                self.items(item.body.body)
                self.close()
            case ast.Table():
                self.table(item, prefix)
            case ast.Instantiation() if item.body is not None:
                self.open(f"{prefix}{print_type(item.type)}{_arguments(item.arguments)} {item.name.text} =")
                self.items(item.body)
                self.close(";")
            case ast.Declaration():
                self.line(prefix + simple_declaration(item) + ";")

    def compound(self, item: ast.If | ast.Switch | ast.For | ast.ForIn, prefix: str) -> None:
        match item:
            case ast.If():
                self.open(f"{prefix}if ({print_expression(item.condition)})")
                self.body(item.then)
                while isinstance(item.otherwise, ast.If):
                    item = item.otherwise
                    self.indent -= 1
                    self.open(f"}} else if ({print_expression(item.condition)})")
                    self.body(item.then)
                if item.otherwise is not None:
                    self.indent -= 1
                    self.open("} else")
                    self.body(item.otherwise)
                self.close()
            case ast.Switch():
                self.open(f"{prefix}switch ({print_expression(item.selector)})")
                for case in item.cases:
                    if case.body is None:
                        self.line(f"{print_expression(case.label)}:")
                    else:
                        self.open(f"{print_expression(case.label)}:")
                        self.items(case.body.body)
                        self.close()
                self.close()
            case ast.For():
                init = ", ".join(_short(part) for part in item.init)
                update = ", ".join(_short(part) for part in item.update)
                self.open(f"{prefix}for ({init}; {print_expression(item.condition)}; {update})")
                self.body(item.body)
                self.close()
            case ast.ForIn():
                variable = f"{print_type(item.type)} {item.name.text}"
                self.open(f"{prefix}for ({variable} in {print_expression(item.collection)})")
                self.body(item.body)
                self.close()

    def body(self, statement: ast.Statement) -> None:
        """What stands between braces; a single statement is printed as a block."""
        if isinstance(statement, ast.Block) and not statement.annotations:
            self.items(statement.body)
        else:
            self.item(statement)

    def enum(self, item: ast.EnumDeclaration, prefix: str) -> None:
        underlying = "" if item.underlying is None else f"{print_type(item.underlying)} "
        self.open(f"{prefix}enum {underlying}{item.name.text}")
        for member in item.members:
            value = "" if member.value is None else f" = {print_expression(member.value)}"
            self.line(f"{_annotations(member.annotations)}{member.name.text}{value},")
        self.close()

    def extern(self, item: ast.ExternDeclaration, prefix: str) -> None:
        self.open(f"{prefix}extern {item.name.text}{_type_parameters(item.type_parameters)}")
        for constructor in item.constructors:
            annotations = _annotations(constructor.annotations)
            self.line(f"{annotations}{constructor.name.text}{_parameters(constructor.parameters)};")
        for method in item.methods:
            self.line(f"{_annotations(method.annotations)}{_prototype(method)};")
        self.close()

    def function(self, item: ast.Function, prefix: str) -> None:
        self.open(prefix + _prototype(item.prototype))
        self.items(item.body.body)
        self.close()

    def block(self, item: ast.Parser | ast.Control, prefix: str) -> None:
        word = "parser" if isinstance(item, ast.Parser) else "control"
        constructor = _parameters(item.constructor_parameters) if item.constructor_parameters else ""
        signature = f"{_type_parameters(item.type_parameters)}{_parameters(item.parameters)}{constructor}"
        self.open(f"{prefix}{word} {item.name.text}{signature}")
        self.items(item.locals)
        if isinstance(item, ast.Parser):
            for state in item.states:
                self.state(state)
        else:
            self.open(f"apply {_annotations(item.body.annotations)}".rstrip())
            self.items(item.body.body)
            self.close()
        self.close()

    def state(self, state: ast.ParserState) -> None:
        self.open(f"{_annotations(state.annotations)}state {state.name.text}")
        self.items(state.body)
        match state.transition:
            case ast.Name(_, text):
                self.line(f"transition {text};")
            case ast.Select(_, keys, cases):
                self.open(f"transition select({_list(keys)})")
                for case in cases:
                    self.line(f"{print_expression(case.keyset)}: {case.target.text};")
                self.close()
        self.close()

    def table(self, table: ast.Table, prefix: str) -> None:
        self.open(f"{prefix}table {table.name.text}")
        if table.keys is not None:
            self.open("key =")
            for key in table.keys:
                annotations = f" {_annotations(key.annotations)}".rstrip()
                self.line(f"{print_expression(key.expression)}: {key.match_kind.text}{annotations};")
            self.close()
        self.open("actions =")
        for reference in table.actions:
            self.line(f"{_annotations(reference.annotations)}{_reference(reference)};")
        self.close()
        if table.entries is not None:
            self.open(f"{'const ' if table.entries_const else ''}entries =")
            for entry in table.entries:
                self.line(_entry(entry))
            self.close()
        for item in table.properties:
            const = "const " if item.is_const else ""
            annotations = _annotations(item.annotations)
            self.line(f"{annotations}{const}{item.name.text} = {print_expression(item.value)};")
        self.close()


def _reference(reference: ast.ActionReference) -> str:
    arguments = "" if reference.arguments is None else _arguments(reference.arguments)
    return print_expression(reference.action) + arguments


def _entry(entry: ast.TableEntry) -> str:
    const = "const " if entry.is_const else ""
    priority = "" if entry.priority is None else f"priority = ({print_expression(entry.priority)}): "
    annotations = f" {_annotations(entry.annotations)}".rstrip()
    return f"{const}{priority}{print_expression(entry.keys)}: {_reference(entry.action)}{annotations};"


def _short(item: ast.Statement | ast.Declaration) -> str:
    prefix = _annotations(item.annotations)
    return prefix + (simple_statement(item) if isinstance(item, ast.Statement) else simple_declaration(item))


def simple_statement(statement: ast.Statement) -> str:
    """A statement without a body, and without its semicolon."""
    match statement:
        case ast.Assignment():
            operator = "" if statement.operator is None else statement.operator.value
            return f"{print_expression(statement.target)} {operator}= {print_expression(statement.value)}"
        case ast.CallStatement():
            return print_expression(statement.call)
        case ast.DirectApplication():
            return f"{print_type(statement.type)}.apply{_arguments(statement.arguments)}"
        case ast.Return():
            return "return" + ("" if statement.value is None else f" {print_expression(statement.value)}")
        case ast.Exit():
            return "exit"
        case ast.Break():
            return "break"
        case ast.Continue():
            return "continue"
        case ast.EmptyStatement():
            return ""
    raise AssertionError(f"unexpected statement {statement!r}")


def simple_declaration(item: ast.Declaration) -> str:
    """A declaration without a body, and without its semicolon."""
    name = item.name.text
    match item:
        case ast.Constant():
            return f"const {print_type(item.type)} {name} = {print_expression(item.value)}"
        case ast.Variable():
            value = "" if item.initializer is None else f" = {print_expression(item.initializer)}"
            return f"{print_type(item.type)} {name}{value}"
        case ast.Instantiation():
            return f"{print_type(item.type)}{_arguments(item.arguments)} {name}"
        case ast.Typedef():
            return f"{'type' if item.distinct else 'typedef'} {print_type(item.type)} {name}"
        case ast.ExternFunction():
            return f"extern {_prototype(item.prototype)}"
        case ast.ValueSet():
            return f"value_set<{print_type(item.type)}>({print_expression(item.size)}) {name}"
        case ast.ParserTypeDeclaration() | ast.ControlTypeDeclaration() | ast.PackageTypeDeclaration():
            words = {ast.ParserTypeDeclaration: "parser", ast.ControlTypeDeclaration: "control"}
            word = words.get(type(item), "package")
            return f"{word} {name}{_type_parameters(item.type_parameters)}{_parameters(item.parameters)}"
    raise AssertionError(f"unexpected declaration {item!r}")
