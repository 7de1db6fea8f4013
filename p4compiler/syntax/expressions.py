"""Parsing of types, expressions, arguments and annotations: the part of the grammar where all is mutually recursive."""

from __future__ import annotations

from p4compiler.diagnostics import Kind
from p4compiler.source import Span
from p4compiler.syntax import ast
from p4compiler.syntax.cursor import BASE_TYPES, MAX_CHAIN, NAME_KINDS, VALUE_NAME_KINDS, Cursor, SyntaxAbort
from p4compiler.syntax.tokens import BAD, END, INTEGER, INTEGER_TEXT, KEYWORDS, NAME, STRING

_BINARY: dict[str, tuple[int, ast.BinaryOperator]] = {
    operator.value: (precedence, operator)
    for precedence, operators in enumerate(
        (
            (ast.BinaryOperator.LOGICAL_OR,),
            (ast.BinaryOperator.LOGICAL_AND,),
            (ast.BinaryOperator.EQ, ast.BinaryOperator.NE),
            (ast.BinaryOperator.LT, ast.BinaryOperator.GT, ast.BinaryOperator.LE, ast.BinaryOperator.GE),
            (ast.BinaryOperator.OR,),
            (ast.BinaryOperator.XOR,),
            (ast.BinaryOperator.AND,),
            (ast.BinaryOperator.SHL, ast.BinaryOperator.SHR),
            (
                ast.BinaryOperator.CONCAT,
                ast.BinaryOperator.ADD,
                ast.BinaryOperator.SUB,
                ast.BinaryOperator.ADD_SAT,
                ast.BinaryOperator.SUB_SAT,
            ),
            (ast.BinaryOperator.MUL, ast.BinaryOperator.DIV, ast.BinaryOperator.MOD),
        ),
        start=1,
    )
    for operator in operators
}
"""Each binary operator's precedence (specification, section 8 and appendix G); all associate to the left."""

PRECEDENCE = {operator: precedence for precedence, operator in _BINARY.values()}

_SHIFT_PRECEDENCE = PRECEDENCE[ast.BinaryOperator.SHR]
_NO_OPERATOR = (0, ast.BinaryOperator.ADD)
_UNARY = {operator.value: operator for operator in ast.UnaryOperator}

_BASE_TYPE_KINDS = {kind.value: kind for kind in ast.BaseTypeKind}
_BITS_KINDS = {kind.value: kind for kind in ast.BitsKind}

MAX_TYPE_TOKENS = 2000
"""How far to look for the end of type arguments."""

MAX_DIGITS = 2000
"""Of a number; far above the widest type, and low enough for the number to be printed in a message."""


class ExpressionParser(Cursor):
    # -- looking ahead

    def skip_type(self, at: int) -> int:
        """The index behind the type that starts at token `at`, or -1 if there is none. Nothing is reported."""
        kinds = self.kinds
        kind = kinds[at]
        if kind == ".":
            at += 1
            kind = kinds[at]
        if kind in BASE_TYPES or kind in VALUE_NAME_KINDS or kind in ("void", "_"):
            at += 1
        else:
            return -1
        if kinds[at] == "<":
            at = self.skip_angles(at)
            if at < 0:
                return -1
        while kinds[at] == "[":
            at = self.skip_brackets(at)
            if at < 0:
                return -1
        return at

    def skip_angles(self, at: int) -> int:
        """The index behind the `>` that closes the `<` at `at`; -1 if what is between cannot be type arguments."""
        kinds = self.kinds
        depth = 0
        last = at + MAX_TYPE_TOKENS
        while at < last:
            kind = kinds[at]
            if kind == "<":
                depth += 1
            elif kind == ">":
                depth -= 1
                if depth == 0:
                    return at + 1
            elif kind in ("(", "["):
                at = self.skip_brackets(at)
                if at < 0:
                    return -1
                continue
            elif kind in _NEVER_IN_TYPE:
                return -1
            at += 1
        return -1

    def skip_brackets(self, at: int) -> int:
        """The index behind the bracket that closes the one at `at`; -1 if it is not closed."""
        kinds = self.kinds
        depth = 0
        while True:
            kind = kinds[at]
            if kind in ("(", "[", "{"):
                depth += 1
            elif kind in (")", "]", "}"):
                depth -= 1
                if depth == 0:
                    return at + 1
            elif kind in (END, ";"):
                return -1
            at += 1

    def starts_type(self, at: int) -> bool:
        """Token `at` starts a type for sure: a base type or a name declared as one."""
        kind = self.kinds[at]
        if kind in BASE_TYPES:
            return True
        if kind == ".":
            at += 1
            return self.kinds[at] in VALUE_NAME_KINDS and self.scopes[0].get(self.texts[at], False)
        return kind in VALUE_NAME_KINDS and self.is_type_name(at)

    # -- types

    def type_ref(self) -> ast.TypeRef:
        first = self.at
        self.enter()
        result = self.simple_type()
        depth = self.depth
        while self.kinds[self.at] == "[":
            self.at += 1
            self.enter()
            size = self.expression()
            self.expect("]")
            result = ast.StackTypeRef(self.span_from(first), result, size)
        self.depth = depth - 1
        return result

    def simple_type(self) -> ast.TypeRef:
        """A type without array brackets."""
        first = self.at
        kind = self.kinds[first]
        if kind in VALUE_NAME_KINDS or kind == ".":
            named = self.named_type()
            if self.kinds[self.at] != "<":
                return named
            arguments = self.type_arguments()
            return ast.SpecializedTypeRef(self.span_from(first), named, arguments)
        self.at += 1
        bits = _BITS_KINDS.get(kind)
        if bits is not None:
            if self.kinds[self.at] == "<":
                self.at += 1
                width = self.expression(angle=False)
                self.expect(">")
                return ast.BitsTypeRef(self.span_from(first), bits, width)
            if bits is ast.BitsKind.INT:
                return ast.BaseTypeRef(self.tokens.span(first), ast.BaseTypeKind.INT)
            if bits is ast.BitsKind.BIT:
                return ast.BitsTypeRef(self.tokens.span(first), bits, None)
            self.fail_expected("'<'", "after 'varbit'")
        if kind == "tuple":
            return ast.TupleTypeRef(self.span_from(first), self.type_arguments())
        if kind == "list":
            self.expect("<")
            element = self.type_argument()
            self.expect(">")
            return ast.ListTypeRef(self.span_from(first), element)
        base = _BASE_TYPE_KINDS.get(kind)
        if base is None or kind == "_":
            self.at = first
            self.fail_expected("a type")
        return ast.BaseTypeRef(self.tokens.span(first), base)

    def named_type(self) -> ast.NamedTypeRef:
        first = self.at
        absolute = self.accept(".")
        at = self.at
        if self.kinds[at] not in VALUE_NAME_KINDS:
            self.fail_expected("a type")
        self.at = at + 1
        return ast.NamedTypeRef(self.span_from(first), self.texts[at], absolute)

    def type_arguments(self) -> tuple[ast.TypeRef, ...]:
        """`< a, b >`"""
        self.expect("<")
        arguments: list[ast.TypeRef] = []
        while self.kinds[self.at] != ">":
            arguments.append(self.type_argument())
            if not self.accept(","):
                break
        self.expect(">")
        return tuple(arguments)

    def type_argument(self) -> ast.TypeRef:
        if self.kinds[self.at] == "_":
            self.at += 1
            return ast.BaseTypeRef(self.tokens.span(self.at - 1), ast.BaseTypeKind.DONT_CARE)
        return self.type_ref()

    def array_suffix(self, element: ast.TypeRef, first: int) -> ast.TypeRef:
        """The `[size]` behind a declared name, which belongs to its type (P4_16 1.2.5)."""
        depth = self.depth
        while self.kinds[self.at] == "[":
            self.at += 1
            self.enter()
            size = self.expression()
            self.expect("]")
            element = ast.StackTypeRef(self.span_from(first), element, size)
        self.depth = depth
        return element

    # -- expressions

    def expression(self, angle: bool = True) -> ast.Expression:
        """An expression; with `angle` false a `>` ends it, because it is a width between `<` and `>`."""
        self.enter()
        first = self.at
        result = self.binary(1, angle)
        if self.kinds[self.at] == "?":
            self.at += 1
            then = self.expression()
            self.expect(":")
            otherwise = self.expression(angle)
            result = ast.Conditional(self.span_from(first), result, then, otherwise)
        self.depth -= 1
        return result

    def binary(self, least: int, angle: bool) -> ast.Expression:
        """Operators of precedence `least` and tighter."""
        first = self.at
        left = self.unary(angle)
        kinds = self.kinds
        chain = 0
        while True:
            at = self.at
            kind = kinds[at]
            precedence, operator = _BINARY.get(kind, _NO_OPERATOR)
            if kind == ">":
                if not angle:
                    return left
                if kinds[at + 1] == ">" and self.tokens.starts[at + 1] == self.tokens.ends[at]:
                    precedence, operator = _SHIFT_PRECEDENCE, ast.BinaryOperator.SHR
                    if precedence < least:
                        return left
                    self.at = at + 1
            if precedence < least or precedence == 0:
                return left
            self.at += 1
            right = self.binary(precedence + 1, angle)
            left = ast.Binary(self.span_from(first), operator, left, right)
            chain += 1
            if chain > MAX_CHAIN:
                self.diagnostics.error(
                    Kind.OVERLIMIT, f"an expression of more than {MAX_CHAIN} operands", self.tokens.span(first)
                )
                raise SyntaxAbort

    def unary(self, angle: bool) -> ast.Expression:
        first = self.at
        kind = self.kinds[first]
        operator = _UNARY.get(kind)
        if operator is not None:
            self.at += 1
            self.enter()
            operand = self.unary(angle)
            self.depth -= 1
            return ast.Unary(self.span_from(first), operator, operand)
        if kind == "(" and self.starts_type(first + 1):
            behind = self.skip_type(first + 1)
            if behind > 0 and self.kinds[behind] == ")":
                self.at += 1
                target = self.type_ref()
                self.expect(")")
                self.enter()
                operand = self.unary(angle)
                self.depth -= 1
                return ast.Cast(self.span_from(first), target, operand)
        return self.postfix(angle)

    def postfix(self, angle: bool) -> ast.Expression:
        """A primary expression with members, indexes, slices and calls."""
        first = self.at
        result = self.primary()
        kinds = self.kinds
        chain = 0
        while True:
            kind = kinds[self.at]
            if kind == ".":
                self.at += 1
                member = self.expect_name("a member's name")
                result = ast.Member(self.span_from(first), result, member)
            elif kind == "(":
                arguments = self.argument_list()
                result = ast.Call(self.span_from(first), result, (), arguments)
            elif kind == "[":
                result = self.subscript(result, first)
            elif kind == "<" and self.starts_type_arguments(self.at):
                type_arguments = self.type_arguments()
                arguments = self.argument_list()
                result = ast.Call(self.span_from(first), result, type_arguments, arguments)
            else:
                return result
            chain += 1
            if chain > MAX_CHAIN:
                self.fail("too long a chain of members and calls")

    def starts_type_arguments(self, at: int) -> bool:
        """The `<` at `at` opens type arguments of a call, and is not "less than"."""
        if not (self.starts_type(at + 1) or self.kinds[at + 1] in ("void", "_")):
            return False
        behind = self.skip_angles(at)
        return behind > 0 and self.kinds[behind] == "("

    def subscript(self, base: ast.Expression, first: int) -> ast.Expression:
        self.expect("[")
        index = self.expression()
        if self.accept(":"):
            low = self.expression()
            self.expect("]")
            return ast.Slice(self.span_from(first), base, index, low)
        if self.accept("+:"):
            width = self.expression()
            self.expect("]")
            return ast.Slice(self.span_from(first), base, width, index, True)
        self.expect("]")
        return ast.Index(self.span_from(first), base, index)

    def primary(self) -> ast.Expression:
        first = self.at
        kind = self.kinds[first]
        if kind in VALUE_NAME_KINDS:
            if kind == NAME and self.is_type_name(first):
                return self.type_expression()
            if self.kinds[first + 1] == "<" and kind == NAME and not self.known(first):
                # An undeclared name with type arguments, called: a type or function that the checker will not find.
                behind = self.skip_angles(first + 1)
                if behind > 0 and self.kinds[behind] == "(" and self.starts_type(first + 2):
                    return self.type_expression()
            self.at = first + 1
            return ast.PathExpression(self.tokens.span(first), self.texts[first])
        if kind == INTEGER:
            self.at = first + 1
            return self.integer(first)
        self.at = first + 1
        if kind == "(":
            inner = self.expression()
            self.expect(")")
            return inner
        if kind == "{":
            return self.braces(first)
        if kind == ".":
            if self.starts_type(first):
                self.at = first
                return self.type_expression()
            name = self.expect_name()
            return ast.PathExpression(self.span_from(first), name.text, True)
        if kind in ("true", "false"):
            return ast.BoolLiteral(self.tokens.span(first), kind == "true")
        if kind == STRING:
            return ast.StringLiteral(self.tokens.span(first), unquote(self.texts[first]))
        if kind == "this":
            return ast.This(self.tokens.span(first))
        if kind == "{#}":
            return ast.InvalidHeader(self.tokens.span(first))
        if kind == "...":
            return ast.DefaultLiteral(self.tokens.span(first), True)
        self.at = first
        if kind in BASE_TYPES:
            return self.type_expression()
        return self.fail_expected("an expression")

    def known(self, at: int) -> bool:
        text = self.texts[at]
        return any(text in scope for scope in self.scopes)

    def type_expression(self) -> ast.Expression:
        """A type in an expression: `T.member`, `T(…)`, `error.X`."""
        first = self.at
        type_ref = self.simple_type()
        if self.kinds[self.at] not in (".", "("):
            self.fail(f"'{type_ref.span.text}' is a type, but a value is needed here", first)
        return ast.TypeNameExpression(self.span_from(first), type_ref)

    def integer(self, at: int) -> ast.IntegerLiteral:
        text = self.texts[at]
        matched = INTEGER_TEXT.fullmatch(text)
        if matched is None:
            self.fail(f"'{text[:40]}' is not a number", at)
        width, sign, hexadecimal, octal, binary, decimal = matched.groups()
        written, base = next(
            (digits, base)
            for digits, base in ((hexadecimal, 16), (octal, 8), (binary, 2), (decimal, 10))
            if digits is not None
        )
        digits = written.replace("_", "")
        if not digits:
            self.fail(f"'{text[:40]}' is not a number", at)
        if len(digits) > MAX_DIGITS or (width is not None and len(width) > 9):
            self.diagnostics.error(Kind.OVERLIMIT, "the number is too large", self.tokens.span(at))
            return ast.IntegerLiteral(self.tokens.span(at), 0)
        return ast.IntegerLiteral(
            self.tokens.span(at), int(digits, base), None if width is None else int(width), sign == "s", base
        )

    def braces(self, first: int) -> ast.Expression:
        """`{ a, b }` or `{ x = a, y = b, ... }`, behind the opening brace."""
        kinds = self.kinds
        if kinds[self.at] in NAME_KINDS and kinds[self.at + 1] == "=":
            fields = []
            rest = None
            while True:
                if kinds[self.at] == "...":
                    rest = ast.DefaultLiteral(self.tokens.span(self.at), True)
                    self.at += 1
                    self.accept(",")
                    break
                fields.append(self.key_value())
                if not self.accept(",") or kinds[self.at] == "}":
                    break
            self.expect("}")
            return ast.StructExpression(self.span_from(first), tuple(fields), rest)
        elements = []
        while kinds[self.at] != "}":
            elements.append(self.expression())
            if not self.accept(","):
                break
        self.expect("}")
        return ast.ListExpression(self.span_from(first), tuple(elements))

    def key_value(self) -> ast.KeyValue:
        first = self.at
        name = self.expect_name()
        self.expect("=")
        value = self.expression()
        return ast.KeyValue(self.span_from(first), name, value)

    def argument_list(self) -> tuple[ast.Argument, ...]:
        """`( arguments )`"""
        self.expect("(")
        if self.accept(")"):
            return ()
        arguments = []
        while True:
            first = self.at
            name = None
            if self.kinds[first] in NAME_KINDS and self.kinds[first + 1] == "=":
                name = self.expect_name()
                self.at += 1
            if self.kinds[self.at] == "_":
                value: ast.Expression = ast.DontCare(self.tokens.span(self.at))
                self.at += 1
            else:
                value = self.expression()
            arguments.append(ast.Argument(self.span_from(first), name, value))
            if not self.accept(","):
                break
        self.expect(")")
        return tuple(arguments)

    # -- sets

    def keyset(self) -> ast.Expression:
        """What a select case or an entry matches: one set, or several in parentheses."""
        first = self.at
        if self.kinds[first] == "(":
            behind = self.skip_brackets(first)
            if behind > 0 and self.kinds[behind] == ":":
                self.at += 1
                elements = [self.simple_keyset()]
                while self.accept(","):
                    elements.append(self.simple_keyset())
                self.expect(")")
                only = elements[0]
                if len(elements) == 1 and not is_set_syntax(only):
                    return only
                return ast.TupleSet(self.span_from(first), tuple(elements))
        return self.simple_keyset()

    def simple_keyset(self) -> ast.Expression:
        first = self.at
        kind = self.kinds[first]
        if kind == "default":
            self.at += 1
            return ast.DefaultLiteral(self.tokens.span(first))
        if kind == "_":
            self.at += 1
            return ast.DontCare(self.tokens.span(first))
        left = self.expression()
        kind = self.kinds[self.at]
        if kind in ("&&&", ".."):
            self.at += 1
            right = self.expression()
            operator = ast.BinaryOperator.MASK if kind == "&&&" else ast.BinaryOperator.RANGE
            return ast.Binary(self.span_from(first), operator, left, right)
        return left

    # -- annotations

    def annotations(self) -> tuple[ast.Annotation, ...]:
        if self.kinds[self.at] != "@":
            return ()
        result = []
        while self.kinds[self.at] == "@":
            result.append(self.annotation())
        return tuple(result)

    def annotation(self) -> ast.Annotation:
        first = self.expect("@")
        at = self.at
        name = self.texts[at]
        if self.kinds[at] not in NAME_KINDS and self.kinds[at] not in KEYWORDS:
            self.fail_expected("the annotation's name")
        self.at = at + 1
        if name == "pragma":
            return self.pragma(first)
        kind = self.kinds[self.at]
        if kind == "(":
            body = self.annotation_body()
            return ast.Annotation(self.span_from(first), name, body)
        if kind == "[":
            return self.structured_annotation(first, name)
        return ast.Annotation(self.span_from(first), name, None)

    def annotation_body(self) -> tuple[ast.AnnotationToken, ...]:
        """Any tokens between balanced parentheses."""
        first = self.expect("(")
        depth = 1
        at = self.at
        kinds = self.kinds
        while True:
            kind = kinds[at]
            if kind == "(":
                depth += 1
            elif kind == ")":
                depth -= 1
                if depth == 0:
                    break
            elif kind == END:
                self.fail("this annotation has no closing ')'", first)
            at += 1  # a body may hold any characters, also those that are no tokens
        tokens = self.annotation_tokens(self.at, at)
        self.at = at + 1
        return tokens

    def annotation_tokens(self, first: int, last: int) -> tuple[ast.AnnotationToken, ...]:
        return tuple(
            ast.AnnotationToken(self.tokens.span(at), self.texts[at], self.kinds[at] == STRING)
            for at in range(first, last)
        )

    def structured_annotation(self, first: int, name: str) -> ast.Annotation:
        self.expect("[")
        arguments: list[ast.Expression] = []
        pairs: list[ast.KeyValue] = []
        kinds = self.kinds
        if kinds[self.at] in NAME_KINDS and kinds[self.at + 1] == "=":
            while kinds[self.at] != "]":
                pairs.append(self.key_value())
                if not self.accept(","):
                    break
        else:
            while kinds[self.at] != "]":
                arguments.append(self.expression())
                if not self.accept(","):
                    break
        self.expect("]")
        return ast.Annotation(self.span_from(first), name, None, tuple(arguments), tuple(pairs), True)

    def pragma(self, first: int) -> ast.Annotation:
        """`@pragma name body`, where the body ends with the line (an old form of annotation)."""
        at = self.at
        line = self.tokens.span(first).position.line
        if self.kinds[at] not in NAME_KINDS and self.kinds[at] not in KEYWORDS:
            self.fail_expected("the pragma's name")
        behind = at + 1
        while self.kinds[behind] != END and self.tokens.span(behind).position.line == line:
            behind += 1
        self.at = behind
        span: Span = self.span_from(first)
        tokens = self.annotation_tokens(at + 1, behind)
        return ast.Annotation(span, self.texts[at], tokens or None)


def is_set_syntax(expression: ast.Expression) -> bool:
    """`_`, `default`, a mask or a range: what can only stand where a set is meant."""
    if isinstance(expression, ast.Binary):
        return expression.operator in (ast.BinaryOperator.MASK, ast.BinaryOperator.RANGE)
    return isinstance(expression, ast.DontCare) or (
        isinstance(expression, ast.DefaultLiteral) and not expression.ellipsis
    )


def unquote(text: str) -> str:
    """A string literal's value: `\\"` and `\\\\` are resolved, any other backslash stays as it is."""
    return text[1:-1].replace("\\\\", "\0").replace('\\"', '"').replace("\0", "\\")


_NEVER_IN_TYPE = frozenset(
    (END, BAD, ";", "{", "}", ")", "]", "=", "==", "!=", "&&", "||", "?", ":", "<=", ">=", STRING)
)
