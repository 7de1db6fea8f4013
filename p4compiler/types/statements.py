"""Checking of statements (specification, section 12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p4compiler.diagnostics import Kind, Note
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.context import Place
from p4compiler.types.expressions import Expressions
from p4compiler.types.scope import Scope


class Statements(Expressions):
    def block(self, block: ast.Block, own_scope: bool = True) -> None:
        if own_scope:
            self.scope = Scope(self.scope)
        for item in block.body:
            self.item(item)
        if own_scope and self.scope.outer is not None:
            self.scope = self.scope.outer

    def item(self, item: ast.Statement | ast.Declaration) -> None:
        if self.diagnostics.full:
            return
        _CHECKERS[item.__class__](self, item)

    def statement(self, statement: ast.Statement) -> None:
        """One statement in a scope of its own, as a branch or a loop's body."""
        self.scope = outer = Scope(self.scope)
        self.item(statement)
        assert outer.outer is not None
        self.scope = outer.outer

    # -- declarations

    def variable(self, variable: ast.Variable) -> None:
        type_ = self.resolve(variable.type)
        if isinstance(
            type_,
            model.ObjectType
            | model.VoidType
            | model.StringType
            | model.MatchKindType
            | model.SetType
            | model.DontCareType,
        ):
            self.type_error(f"a variable cannot have type '{type_}'", variable.type)
            type_ = model.UNKNOWN
        elif isinstance(type_, model.InfIntType):
            self.type_error("a variable needs a width; 'int' is for constants", variable.type)
            type_ = model.UNKNOWN
        elif self.mentions_dont_care(type_):
            self.type_error("'_' cannot be a part of a variable's type", variable.type)
            type_ = model.UNKNOWN
        if variable.initializer is not None:
            self.expression(variable.initializer)
            self.coerce(variable.initializer, type_, "initial value")
        self.resolved_type_of[variable] = type_
        self.declare(variable)

    def constant_declaration(self, constant: ast.Constant) -> None:
        type_ = self.resolve(constant.type)
        if isinstance(type_, model.ObjectType | model.VoidType | model.SetType) or self.mentions_dont_care(type_):
            self.type_error(f"a constant cannot have type '{type_}'", constant.type)
            type_ = model.UNKNOWN
        self.expression(constant.value)
        if self.coerce(constant.value, type_, "value") and not isinstance(
            self.type_of[constant.value], model.UnknownType
        ):
            value = constant.value
            if not self.is_compile_time(value):
                self.type_error("the value of a constant must be known at compile time", value)
        self.resolved_type_of[constant] = type_
        self.declare(constant)

    # -- simple statements

    def assignment(self, statement: ast.Assignment) -> None:
        target, value = statement.target, statement.value
        target_type = self.expression(target)
        if isinstance(target_type, model.UnknownType):
            self.expression(value)
            return
        if not self.is_lvalue(target):
            self.expression(value)
            self._not_assignable(target)
            return
        if statement.operator is not None:
            self._compound(statement, target_type)
            return
        self.expression(value)
        if self.type_of[value] != target_type:
            self.because = self._declared_type(target)
            self.coerce(value, target_type)
            self.because = ()

    def _declared_type(self, target: ast.Expression) -> tuple[Note, ...]:
        """Where a variable or field gets its type."""
        declaration: ast.Declaration | None = None
        if isinstance(target, ast.Member):
            base = self.type_of.get(target.base)
            field = self.field(base, target.member.text) if isinstance(base, model.StructLikeType) else None
            declaration = field.declaration if field is not None else None
        elif isinstance(target, ast.PathExpression):
            declaration = self.checked.declaration_of.get(target)
        if isinstance(declaration, ast.Field | ast.Variable | ast.Parameter):
            return (Note(f"'{declaration.name.text}' is declared here", declaration.span),)
        return ()

    def _not_assignable(self, target: ast.Expression) -> None:
        notes = []
        inner: ast.Expression = target
        while isinstance(inner, ast.Member | ast.Index | ast.Slice):
            inner = inner.base
        declaration = self.checked.declaration_of.get(inner)
        if isinstance(declaration, ast.Parameter):
            direction = declaration.direction.value or "without direction"
            notes.append(Note(f"'{declaration.name.text}' is a parameter ({direction})", declaration.span))
        elif isinstance(declaration, ast.Constant):
            notes.append(Note(f"'{declaration.name.text}' is a constant", declaration.span))
        self.type_error("this cannot be assigned to", target, notes)

    def _compound(self, statement: ast.Assignment, target_type: model.Type) -> None:
        """`a += b` means `a = a + b`: typed as that expression."""
        assert statement.operator is not None
        operation = ast.Binary(statement.span, statement.operator, statement.target, statement.value)
        result = self.binary(operation)
        if isinstance(result, model.UnknownType):
            return
        if result != target_type:
            self.type_error(f"the result has type '{result}', but '{target_type}' is assigned to", statement)

    def call_statement(self, statement: ast.CallStatement) -> None:
        call = statement.call
        self.type_of[call] = self.call(call, as_statement=True)
        if isinstance(call.callee, ast.TypeNameExpression) and isinstance(self.type_of[call], model.ObjectType):
            self.error(Kind.INVALID, "an instance without a name is of no use here", call)

    def direct_application(self, statement: ast.DirectApplication) -> None:
        """`C.apply(…)`: an instance of its own, made and applied at this place."""
        base = self.resolve(statement.type, bare_generic=True)
        if isinstance(base, model.UnknownType):
            for argument in statement.arguments:
                if not isinstance(argument.value, ast.DontCare):
                    self.expression(argument.value)
            return
        if not isinstance(base, model.ObjectType) or not isinstance(base.declaration, ast.Parser | ast.Control):
            self.type_error(f"type '{base}' cannot be applied", statement.type)
            return
        if base.declaration.constructor_parameters:
            required = [p for p in base.declaration.constructor_parameters if p.default is None]
            if required:
                notes = [Note("declared here", required[0].span)]
                self.type_error(
                    f"'{base}' has constructor parameters, so it needs an instance with a name", statement.type, notes
                )
                return
        self.apply_block(statement, base, statement.arguments, (), statement)

    def empty(self, statement: ast.EmptyStatement) -> None:
        pass

    def nested_block(self, statement: ast.Block) -> None:
        self.block(statement)

    def if_statement(self, statement: ast.If) -> None:
        current: ast.Statement | None = statement
        while isinstance(current, ast.If):  # a chain of `else if`s can be long
            if current is not statement and current.annotations:
                break
            type_ = self.expression(current.condition)
            if not isinstance(type_, model.BoolType | model.UnknownType):
                self.type_error(f"the condition must be of type bool, not '{type_}'", current.condition)
            taken = self.constant(current.condition)
            if isinstance(taken, bool):
                self._warn_of_hint(current.then, taken)
                self._warn_of_hint(current.otherwise, not taken)
            self.statement(current.then)
            current = current.otherwise
        if current is not None:
            self.statement(current)

    def _warn_of_hint(self, branch: ast.Statement | None, taken: bool) -> None:
        """`@likely` at a branch that is never taken, `@unlikely` at one that always is (specification, section 20.3)."""
        for annotation in branch.annotations if branch is not None else ():
            if annotation.name == ("unlikely" if taken else "likely"):
                message = f"'@{annotation.name}' at a branch that is {'always' if taken else 'never'} taken"
                self.warning(Kind.BRANCH, message, annotation)

    def return_statement(self, statement: ast.Return) -> None:
        value = statement.value
        if value is not None:
            self.expression(value)
        if self.place is Place.STATE:
            self.error(Kind.INVALID, "'return' cannot be used in a parser", statement)
            return
        if self.return_type is None or isinstance(self.return_type, model.VoidType):
            if value is not None:
                self.type_error("no value can be returned here", statement)
            return
        if value is None:
            self.type_error(f"a value of type '{self.return_type}' must be returned", statement)
            return
        self.coerce(value, self.return_type, "returned value")

    def exit_statement(self, statement: ast.Exit) -> None:
        if self.place in (Place.STATE, Place.FUNCTION):
            self.error(Kind.INVALID, f"'exit' cannot be used {self.place.value}", statement)

    def break_statement(self, statement: ast.Break | ast.Continue) -> None:
        if self.loop_depth == 0:
            word = "break" if isinstance(statement, ast.Break) else "continue"
            self.error(Kind.INVALID, f"'{word}' can only be used in a loop", statement)

    def local_instantiation(self, instantiation: ast.Instantiation) -> None:
        self.error(Kind.INVALID, f"nothing can be instantiated {self.place.value}", instantiation)

    # -- loops

    def for_statement(self, statement: ast.For) -> None:
        self._no_loop_here(statement)
        self.scope = outer = Scope(self.scope)
        for item in statement.init:
            self.item(item)
        type_ = self.expression(statement.condition)
        if not isinstance(type_, model.BoolType | model.UnknownType):
            self.type_error(f"the condition must be of type bool, not '{type_}'", statement.condition)
        for update in statement.update:
            self.item(update)
        self._loop_body(statement.body)
        assert outer.outer is not None
        self.scope = outer.outer

    def for_in_statement(self, statement: ast.ForIn) -> None:
        self._no_loop_here(statement)
        collection = self.expression(statement.collection)
        element: model.Type
        match collection:
            case model.UnknownType():
                element = collection
            case model.StackType(element, _) | model.ListType(element):
                pass
            case model.SetType(element) if isinstance(statement.collection, ast.Binary):
                pass
            case _:
                self.type_error(f"a loop cannot go over a value of type '{collection}'", statement.collection)
                element = model.UNKNOWN
        self.scope = outer = Scope(self.scope)
        type_ = self.resolve(statement.type)
        self._check_loop_variable(statement, type_, element)
        variable = ast.Variable(statement.name.span, (), statement.name, statement.type, None)
        self.resolved_type_of[variable] = type_
        self.checked.loop_variable_of[statement] = variable
        self.declare(variable)
        self._loop_body(statement.body)
        assert outer.outer is not None
        self.scope = outer.outer

    def _check_loop_variable(self, statement: ast.ForIn, type_: model.Type, element: model.Type) -> None:
        if isinstance(type_, model.UnknownType) or isinstance(element, model.UnknownType):
            return
        collection = statement.collection
        if isinstance(element, model.InfIntType) and isinstance(type_, model.BitsType):
            if isinstance(collection, ast.Binary):
                self.coerce(collection.left, type_)
                self.coerce(collection.right, type_)
                self.type_of[collection] = model.SetType(type_)
            return
        if type_ != element:
            self.type_error(
                f"the loop's variable has type '{type_}', but the elements are of type '{element}'", statement.name
            )

    def _loop_body(self, body: ast.Statement) -> None:
        self.loop_depth += 1
        self.statement(body)
        self.loop_depth -= 1

    def _no_loop_here(self, statement: ast.Statement) -> None:
        if self.place is Place.STATE:
            self.error(Kind.INVALID, "a loop cannot be used in a parser; transitions make loops there", statement)

    # -- switch

    def switch(self, statement: ast.Switch) -> None:
        if self.place is Place.STATE:
            self.error(Kind.INVALID, "'switch' cannot be used in a parser; 'select' can", statement)
        outer_selector = self.selector
        self.selector = statement.selector
        type_ = self.expression(statement.selector)
        self.selector = outer_selector
        if isinstance(type_, model.ActionRunType):
            self._switch_on_action(statement, type_.table)
        else:
            self._switch_on_value(statement, type_)
        seen_default: ast.Expression | None = None
        for index, case in enumerate(statement.cases):
            if isinstance(case.label, ast.DefaultLiteral):
                if seen_default is not None:
                    self.error(
                        Kind.INVALID, "a second 'default' label", case.label, [Note("the first", seen_default.span)]
                    )
                elif index != len(statement.cases) - 1:
                    self.error(Kind.INVALID, "'default' must be the last label", case.label)
                seen_default = case.label
            if case.body is not None:
                self.block(case.body)
        if statement.cases and statement.cases[-1].body is None:
            self.warning(Kind.MISSING, "the last label falls through to nothing", statement.cases[-1])

    def _switch_on_action(self, statement: ast.Switch, table: ast.Table) -> None:
        seen: dict[ast.Declaration, ast.Expression] = {}
        actions = {self.checked.declaration_of.get(reference.action): reference for reference in table.actions}
        for case in statement.cases:
            label = case.label
            self.type_of[label] = model.ActionRunType(table)
            if isinstance(label, ast.DefaultLiteral):
                continue
            if not isinstance(label, ast.PathExpression):
                self.type_error("a label must be the name of an action of the table, or 'default'", label)
                continue
            scope = self.top if label.absolute else self.scope
            action = scope.find(label.name)
            if not isinstance(action, ast.Action):
                names = [reference.action.name for reference in table.actions]
                if action is None:
                    self.not_found("action", label.name, label.span, names)
                else:
                    self.type_error(f"'{label.name}' is not an action", label)
                continue
            self.checked.declaration_of[label] = action
            if action not in actions:
                notes = [Note("the table is declared here", table.name.span)]
                self.type_error(f"'{label.name}' is not an action of table '{table.name.text}'", label, notes)
            elif action in seen:
                self.error(
                    Kind.INVALID, f"a second label '{label.name}'", label, [Note("the first", seen[action].span)]
                )
            seen.setdefault(action, label)

    def _switch_on_value(self, statement: ast.Switch, type_: model.Type) -> None:
        if isinstance(type_, model.UnknownType):
            pass
        elif not isinstance(
            self.underlying_of(type_), model.BitsType | model.EnumType | model.ErrorType | model.BoolType
        ):
            self.type_error(f"a switch cannot select by a value of type '{type_}'", statement.selector)
            type_ = model.UNKNOWN
        seen: dict[object, ast.Expression] = {}
        for case in statement.cases:
            label = case.label
            if isinstance(label, ast.DefaultLiteral):
                self.type_of[label] = type_
                continue
            if isinstance(type_, model.UnknownType) and isinstance(label, ast.PathExpression):
                continue  # perhaps an action's name
            label_type = self.expression(label)
            if isinstance(label_type, model.UnknownType) or isinstance(type_, model.UnknownType):
                continue
            if not self.coerce(label, type_, "label"):
                continue
            value = self.operand_value(label)
            if value is None:
                if not self.is_compile_time(label):
                    self.type_error("a label must be a compile-time constant", label)
                continue
            key = value if isinstance(value, int | str) else None
            if key is not None and key in seen:
                self.error(Kind.INVALID, "a second label with this value", label, [Note("the first", seen[key].span)])
            seen.setdefault(key, label)

    def underlying_of(self, type_: model.Type) -> model.Type:
        while isinstance(type_, model.NewType):
            type_ = type_.underlying
        return type_


_CHECKERS: dict[type[ast.Node], Callable[[Any, Any], None]] = {
    ast.Variable: Statements.variable,
    ast.Constant: Statements.constant_declaration,
    ast.Instantiation: Statements.local_instantiation,
    ast.Assignment: Statements.assignment,
    ast.CallStatement: Statements.call_statement,
    ast.DirectApplication: Statements.direct_application,
    ast.EmptyStatement: Statements.empty,
    ast.Block: Statements.nested_block,
    ast.If: Statements.if_statement,
    ast.Return: Statements.return_statement,
    ast.Exit: Statements.exit_statement,
    ast.Break: Statements.break_statement,
    ast.Continue: Statements.break_statement,
    ast.For: Statements.for_statement,
    ast.ForIn: Statements.for_in_statement,
    ast.Switch: Statements.switch,
}
