"""Parsing of statements and of the declarations that may stand among them."""

from __future__ import annotations

from p4compiler.diagnostics import Note
from p4compiler.syntax import ast
from p4compiler.syntax.cursor import BASE_TYPES, MAX_CHAIN, NAME_KINDS, TOP_KEYWORDS, VALUE_NAME_KINDS, SyntaxAbort
from p4compiler.syntax.expressions import ExpressionParser
from p4compiler.syntax.tokens import END

Item = ast.Statement | ast.Declaration

_ASSIGNMENTS: dict[str, ast.BinaryOperator | None] = {
    "=": None,
    **{
        f"{operator.value}=": operator
        for operator in (
            ast.BinaryOperator.MUL,
            ast.BinaryOperator.DIV,
            ast.BinaryOperator.MOD,
            ast.BinaryOperator.ADD,
            ast.BinaryOperator.SUB,
            ast.BinaryOperator.ADD_SAT,
            ast.BinaryOperator.SUB_SAT,
            ast.BinaryOperator.SHL,
            ast.BinaryOperator.SHR,
            ast.BinaryOperator.AND,
            ast.BinaryOperator.OR,
            ast.BinaryOperator.XOR,
        )
    },
}


class StatementParser(ExpressionParser):
    def block(self, annotations: tuple[ast.Annotation, ...] = ()) -> ast.Block:
        first = self.expect("{")
        self.scopes.append({})
        body = self.items()
        self.scopes.pop()
        if self.kinds[self.at] != "}":
            self.fail_expected("'}'", notes=(Note("to close this", self.tokens.span(first)),))
        end = self.expect("}")
        return ast.Block(self.span_from(first), annotations, tuple(body), self.tokens.span(end))

    def items(self) -> list[Item]:
        """Statements and declarations up to a `}` (which is not taken) or a parser state's `transition`."""
        body: list[Item] = []
        kinds = self.kinds
        while (kind := kinds[self.at]) not in ("}", END, "transition"):
            if self.diagnostics.full:
                raise SyntaxAbort
            if kind in TOP_KEYWORDS:
                break  # a `}` is missing
            first = self.at
            depth, scopes = self.depth, len(self.scopes)
            try:
                body.append(self.declaration_or_statement(kind))
            except SyntaxAbort:
                self.depth = depth
                del self.scopes[scopes:]
                self.recover(first, inside=True)
        return body

    def declaration_or_statement(self, kind: str) -> Item:
        annotations = self.annotations() if kind == "@" else ()
        if annotations:
            kind = self.kinds[self.at]
        if kind == "const":
            return self.constant(annotations)
        if kind in BASE_TYPES or kind in VALUE_NAME_KINDS or kind == ".":
            declared = self.declaration_here(annotations)
            if declared is not None:
                return declared
        return self.statement(annotations)

    def declaration_here(self, annotations: tuple[ast.Annotation, ...]) -> ast.Declaration | None:
        """The variable or instantiation that starts here; None if it is a statement that does."""
        first = self.at
        kinds = self.kinds
        following = kinds[first + 1]
        if following in ("=", ".", "[", ";") and not self.starts_type(first):
            return None  # the common case: an assignment or a method call
        behind = self.skip_type(first)
        if behind < 0:
            return None
        if kinds[behind] in NAME_KINDS:
            return self.variable(annotations, first)
        # A name that nobody knows can only be that of a type here; the checker says that there is none.
        is_type = self.starts_type(first) or not self.is_known(first)
        if kinds[behind] == "(" and is_type and kinds[first] not in BASE_TYPES:
            closed = self.skip_brackets(behind)
            if closed > 0 and kinds[closed] in NAME_KINDS:
                return self.instantiation(annotations, first)
        return None

    # -- declarations

    def constant(self, annotations: tuple[ast.Annotation, ...]) -> ast.Constant:
        first = self.expect("const")
        type_first = self.at
        type_ref = self.type_ref()
        name = self.expect_name("the constant's name")
        type_ref = self.array_suffix(type_ref, type_first)
        if self.kinds[self.at] != "=":
            self.fail_expected("'='", f"(a value for constant '{name.text}')")
        self.at += 1
        value = self.expression()
        self.declare_value(name.text)
        self.expect(";")
        return ast.Constant(self.span_from(first), annotations, name, type_ref, value)

    def variable(self, annotations: tuple[ast.Annotation, ...], first: int, semicolon: bool = True) -> ast.Variable:
        type_ref = self.type_ref()
        name = self.expect_name("the variable's name")
        type_ref = self.array_suffix(type_ref, first)
        value = self.expression() if self.accept("=") else None
        self.declare_value(name.text)
        if semicolon:
            self.expect(";")
        return ast.Variable(self.span_from(first), annotations, name, type_ref, value)

    def instantiation(self, annotations: tuple[ast.Annotation, ...], first: int) -> ast.Instantiation:
        type_ref = self.type_ref()
        arguments = self.argument_list()
        name_at = self.at
        name = self.expect_name("the instance's name")
        type_ref = self.array_suffix(type_ref, name_at)
        body: list[ast.Declaration] | None = None
        if self.accept("="):
            self.expect("{")
            self.scopes.append({})
            body = []
            while self.kinds[self.at] not in ("}", END):
                body.append(self.object_member())
            self.scopes.pop()
            self.expect("}")
        self.declare_value(name.text)
        self.expect(";")
        return ast.Instantiation(
            self.span_from(first), annotations, name, type_ref, arguments, None if body is None else tuple(body)
        )

    def object_member(self) -> ast.Declaration:
        """An abstract method's implementation, or an inner instance, in an instantiation's body."""
        first = self.at
        annotations = self.annotations()
        behind = self.skip_type(self.at)
        if behind > 0 and self.kinds[behind] == "(":
            return self.instantiation(annotations, self.at)
        return self.function(annotations, first)

    # -- functions

    def function_prototype(
        self, annotations: tuple[ast.Annotation, ...], first: int, is_abstract: bool = False
    ) -> ast.FunctionPrototype:
        """The signature. Leaves a scope open, which holds the parameters: the caller closes it."""
        if self.kinds[self.at] == "void":
            return_type: ast.TypeRef = ast.BaseTypeRef(self.tokens.span(self.at), ast.BaseTypeKind.VOID)
            self.at += 1
        else:
            return_type = self.type_ref()
        name = self.expect_name("the function's name")
        self.declare_value(name.text)
        self.scopes.append({})
        type_parameters = self.type_parameters()
        parameters = self.parameters()
        return ast.FunctionPrototype(
            self.span_from(first), annotations, name, return_type, type_parameters, parameters, is_abstract
        )

    def function(self, annotations: tuple[ast.Annotation, ...], first: int) -> ast.Function:
        prototype = self.function_prototype((), self.at)
        body = self.block()
        self.scopes.pop()
        return ast.Function(self.span_from(first), annotations, prototype.name, prototype, body)

    def type_parameters(self) -> tuple[ast.TypeParameter, ...]:
        """Optional `<A, B>`, declared in the open scope."""
        if not self.accept("<"):
            return ()
        parameters = []
        while True:
            name = self.expect_name("a type parameter's name")
            self.declare_type(name.text)
            parameters.append(ast.TypeParameter(name.span, (), name))
            if not self.accept(","):
                break
        self.expect(">")
        return tuple(parameters)

    def parameters(self) -> tuple[ast.Parameter, ...]:
        """`( parameters )`, declared in the open scope."""
        self.expect("(")
        if self.accept(")"):
            return ()
        parameters = []
        while True:
            parameters.append(self.parameter())
            if not self.accept(","):
                break
        self.expect(")")
        return tuple(parameters)

    def parameter(self) -> ast.Parameter:
        first = self.at
        annotations = self.annotations()
        direction = _DIRECTIONS.get(self.kinds[self.at], ast.Direction.NONE)
        if direction is not ast.Direction.NONE:
            self.at += 1
        type_first = self.at
        type_ref = self.type_ref()
        name = self.expect_name("the parameter's name")
        type_ref = self.array_suffix(type_ref, type_first)
        default = self.expression() if self.accept("=") else None
        self.declare_value(name.text)
        return ast.Parameter(self.span_from(first), annotations, name, direction, type_ref, default)

    # -- statements

    def statement(self, annotations: tuple[ast.Annotation, ...] = ()) -> ast.Statement:
        first = self.at
        kind = self.kinds[first]
        if kind == "{":
            self.enter()
            result: ast.Statement = self.block(annotations)
            self.depth -= 1
            return result
        if kind == "if":
            return self.if_statement(annotations)
        if kind == "return":
            self.at += 1
            value = None if self.kinds[self.at] == ";" else self.expression()
            self.expect(";")
            return ast.Return(self.span_from(first), annotations, value)
        if kind == ";":
            self.at += 1
            return ast.EmptyStatement(self.tokens.span(first), annotations)
        if kind == "switch":
            return self.switch(annotations)
        if kind == "for":
            return self.for_statement(annotations)
        if kind in _SIMPLE_STATEMENTS:
            self.at += 1
            self.expect(";")
            return _SIMPLE_STATEMENTS[kind](self.span_from(first), annotations)
        result = self.assignment_or_call(annotations)
        self.expect(";")
        return result

    def assignment_or_call(self, annotations: tuple[ast.Annotation, ...] = ()) -> ast.Statement:
        """Without the semicolon."""
        first = self.at
        if self.kinds[first] in ("[", "]", ")", ":", ",", "=", END, "else", "}"):
            self.fail_expected("a statement")
        target = self.lvalue_or_call()
        kind = self.kinds[self.at]
        if kind in _ASSIGNMENTS:
            self.at += 1
            value = self.expression()
            return ast.Assignment(self.span_from(first), annotations, target, value, _ASSIGNMENTS[kind])
        if kind == ">" and self.kinds[self.at + 1] == ">=":
            self.at += 2
            value = self.expression()
            return ast.Assignment(self.span_from(first), annotations, target, value, ast.BinaryOperator.SHR)
        if not isinstance(target, ast.Call):
            self.fail_expected("an assignment or a call")
        callee = target.callee
        if (
            isinstance(callee, ast.Member)
            and callee.member.text == "apply"
            and isinstance(callee.base, ast.TypeNameExpression)
        ):
            return ast.DirectApplication(target.span, annotations, callee.base.type, target.arguments)
        return ast.CallStatement(target.span, annotations, target)

    def lvalue_or_call(self) -> ast.Expression:
        """What an assignment or call statement starts with: here a `<` always opens type arguments."""
        first = self.at
        if self.kinds[first] == "(":
            self.at += 1
            inner = self.lvalue_or_call()
            self.expect(")")
        else:
            inner = self.primary()
        kinds = self.kinds
        for _ in range(MAX_CHAIN):
            kind = kinds[self.at]
            if kind == ".":
                self.at += 1
                member = self.expect_name("a member's name")
                inner = ast.Member(self.span_from(first), inner, member)
            elif kind == "[":
                inner = self.subscript(inner, first)
            elif kind == "(":
                arguments = self.argument_list()
                inner = ast.Call(self.span_from(first), inner, (), arguments)
            elif kind == "<":
                type_arguments = self.type_arguments()
                arguments = self.argument_list()
                inner = ast.Call(self.span_from(first), inner, type_arguments, arguments)
            else:
                return inner
        return self.fail("too long a chain of members and calls")

    def if_statement(self, annotations: tuple[ast.Annotation, ...]) -> ast.Statement:
        """An `if` with its `else if`s, read in a loop and put together from the last one."""
        branches: list[tuple[int, ast.Expression, ast.Statement]] = []
        otherwise: ast.Statement | None = None
        self.enter()
        while True:
            first = self.expect("if")
            self.expect("(")
            condition = self.expression()
            self.expect(")")
            then = self.statement(self.annotations())
            branches.append((first, condition, then))
            if not self.accept("else"):
                break
            if self.kinds[self.at] != "if":
                otherwise = self.statement(self.annotations())
                break
        self.depth -= 1
        for index in range(len(branches) - 1, -1, -1):
            first, condition, then = branches[index]
            otherwise = ast.If(self.span_from(first), annotations if index == 0 else (), condition, then, otherwise)
        assert otherwise is not None
        return otherwise

    def switch(self, annotations: tuple[ast.Annotation, ...]) -> ast.Switch:
        first = self.expect("switch")
        self.enter()
        self.expect("(")
        selector = self.expression()
        self.expect(")")
        self.expect("{")
        cases = []
        while self.kinds[self.at] not in ("}", END):
            case_first = self.at
            if self.kinds[case_first] == "default":
                self.at += 1
                label: ast.Expression = ast.DefaultLiteral(self.tokens.span(case_first))
            elif self.kinds[case_first] == "{":
                self.fail_expected("a label")
            else:
                label = self.expression()
            self.expect(":")
            body = None
            if self.kinds[self.at] in ("{", "@"):
                body = self.block(self.annotations())
            cases.append(ast.SwitchCase(self.span_from(case_first), label, body))
        self.expect("}")
        self.depth -= 1
        return ast.Switch(self.span_from(first), annotations, selector, tuple(cases))

    def for_statement(self, annotations: tuple[ast.Annotation, ...]) -> ast.Statement:
        first = self.expect("for")
        self.enter()
        self.expect("(")
        self.scopes.append({})
        result = self.for_in(annotations, first) or self.for_loop(annotations, first)
        self.scopes.pop()
        self.depth -= 1
        return result

    def for_in(self, annotations: tuple[ast.Annotation, ...], first: int) -> ast.ForIn | None:
        """`for (T x in c)`; None, and nothing read, if it is the other kind of loop."""
        start = self.at
        while self.kinds[self.at] == "@":
            self.annotations()
        type_at = self.at
        behind = self.skip_type(type_at)
        if self.kinds[type_at] in NAME_KINDS and self.kinds[type_at + 1] == "in":
            self.fail("the variable of a for-in loop is declared in it: its type is missing", type_at)
        if behind > 0 and self.kinds[behind] in NAME_KINDS and self.kinds[behind + 1] == "in":
            type_ref = self.type_ref()
        else:
            self.at = start
            return None
        name = self.expect_name()
        self.declare_value(name.text)
        self.expect("in")
        collection_first = self.at
        collection = self.expression()
        if self.accept(".."):
            high = self.expression()
            collection = ast.Binary(self.span_from(collection_first), ast.BinaryOperator.RANGE, collection, high)
        self.expect(")")
        body = self.statement(self.annotations())
        return ast.ForIn(self.span_from(first), annotations, type_ref, name, collection, body)

    def for_loop(self, annotations: tuple[ast.Annotation, ...], first: int) -> ast.For:
        init: list[Item] = []
        if self.kinds[self.at] != ";":
            while True:
                item_annotations = self.annotations()
                item_first = self.at
                behind = self.skip_type(item_first)
                if behind > 0 and self.kinds[behind] in NAME_KINDS:
                    init.append(self.variable(item_annotations, item_first, semicolon=False))
                else:
                    init.append(self.assignment_or_call(item_annotations))
                if not self.accept(","):
                    break
        self.expect(";")
        condition = self.expression()
        self.expect(";")
        update: list[ast.Statement] = []
        if self.kinds[self.at] != ")":
            update.append(self.assignment_or_call())
            while self.accept(","):
                update.append(self.assignment_or_call())
        self.expect(")")
        body = self.statement(self.annotations())
        return ast.For(self.span_from(first), annotations, tuple(init), condition, tuple(update), body)


_DIRECTIONS = {direction.value: direction for direction in ast.Direction if direction.value}
_SIMPLE_STATEMENTS: dict[str, type[ast.Exit | ast.Break | ast.Continue]] = {
    "exit": ast.Exit,
    "break": ast.Break,
    "continue": ast.Continue,
}
