"""Calls and instantiations: finding what is called (specification, sections 8.19, 8.20 and 11.3)."""

from __future__ import annotations

from collections.abc import Sequence

from p4compiler.diagnostics import Kind, Note, did_you_mean
from p4compiler.source import Span
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.arguments import Callee
from p4compiler.types.builtin_methods import SIZE_METHODS, BuiltInMethods, methods_of
from p4compiler.types.checked import CallKind, ResolvedCall
from p4compiler.types.context import Place
from p4compiler.types.overloads import Overloads
from p4compiler.types.scope import FUNCTIONS, TYPE_DECLARATIONS, describe, first_of


class Calls(BuiltInMethods):
    in_action_list = False
    """The expression at hand is an argument in a table's list of actions."""

    # -- entry

    def call(self, expression: ast.Call, as_statement: bool = False) -> model.Type:
        """Check a call and return the type of its value."""
        result = self._call(expression)
        if isinstance(result, model.VoidType) and not as_statement:
            self.type_error("this call has no value", expression)
            return model.UNKNOWN
        return result

    def _call(self, expression: ast.Call) -> model.Type:
        callee = expression.callee
        if isinstance(callee, ast.TypeNameExpression):
            return self.constructor_call(expression, callee.type)
        if isinstance(callee, ast.PathExpression):
            return self._call_name(expression, callee)
        if isinstance(callee, ast.Member):
            return self._call_member(expression, callee)
        type_ = self.expression(callee)
        if not isinstance(type_, model.UnknownType):
            self.type_error("this cannot be called", callee)
        self.type_arguments_anyway(expression)
        return model.UNKNOWN

    def _call_name(self, expression: ast.Call, path: ast.PathExpression) -> model.Type:
        scope = self.top if path.absolute else self.scope
        found = scope.find(path.name)
        if isinstance(found, ast.Action) and found in self.open_declarations and self.top.find(path.name) is not found:
            found = self.top.find(path.name) or found  # inside itself an action's name means the function that it hides
        if found is None:
            known = [n for n in scope.all_names() if not isinstance(scope.find(n), TYPE_DECLARATIONS)]
            self.not_found("function or action", path.name, path.span, known)
            self.type_arguments_anyway(expression)
            return model.UNKNOWN
        first = first_of(found)
        if isinstance(first, ast.Action):
            return self._call_action(expression, path, first)
        if not isinstance(first, FUNCTIONS):
            notes = [Note("declared here", first.name.span)]
            hint = f"; did you mean '{path.name}.apply()'?" if isinstance(first, ast.Table) else ""
            self.type_error(f"'{path.name}' is a {describe(first)} and cannot be called{hint}", path, notes)
            self.type_arguments_anyway(expression)
            return model.UNKNOWN
        chosen: ast.Declaration | None = first
        if isinstance(found, Overloads):
            chosen = self.choose(path.name, found, expression.arguments, path)
        if chosen is None:
            self.type_arguments_anyway(expression)
            return model.UNKNOWN
        assert isinstance(chosen, FUNCTIONS)
        self.refuse_recursion(chosen, path)
        self.checked.declaration_of[path] = chosen
        self.used.add(chosen)
        self.warn_if_deprecated(chosen, path)
        kind = CallKind.FUNCTION if isinstance(chosen, ast.Function) else CallKind.EXTERN_FUNCTION
        callee = self.prototype_callee(kind, chosen, chosen.prototype, None, {})
        result = self.finish_call(expression, callee, expression.arguments, expression.type_arguments, path)
        if chosen.name.text == "verify" and isinstance(chosen, ast.ExternFunction) and self.place is not Place.STATE:
            self.type_error("'verify' can only be called in a parser", expression)
        if chosen.name.text == "static_assert" and isinstance(chosen, ast.ExternFunction):
            self._static_assert(expression)
        return result

    def warn_if_deprecated(self, declaration: ast.Declaration, use: ast.Node) -> None:
        for annotation in declaration.annotations:
            if annotation.name == "deprecated":
                text = " ".join(t.text[1:-1] if t.is_string else t.text for t in annotation.tokens or ())
                self.warning(Kind.DEPRECATED, f"'{declaration.name.text}' is deprecated: {text}", use)

    def prototype_callee(
        self,
        kind: CallKind,
        target: ast.Declaration,
        prototype: ast.FunctionPrototype,
        owner: ast.ExternDeclaration | None,
        bindings: model.Bindings,
    ) -> Callee:
        return_type = self.resolved_type_of.get(prototype.return_type, model.UNKNOWN)
        return Callee(
            kind,
            target,
            owner,
            prototype.name.text,
            prototype.parameters,
            prototype.type_parameters,
            return_type,
            bindings,
        )

    def _static_assert(self, expression: ast.Call) -> None:
        values = [self.constant(argument.value) for argument in expression.arguments]
        if not values or not isinstance(values[0], bool):
            self.type_error("static_assert needs a compile-time condition", expression)
            return
        if not values[0]:
            message = values[1] if len(values) > 1 and isinstance(values[1], str) else "static_assert failed"
            self.error(Kind.EXPECTED, f"{message}", expression)
        self.constant_of[expression] = True

    # -- actions

    def _call_action(self, expression: ast.Call, path: ast.PathExpression, action: ast.Action) -> model.Type:
        self.checked.declaration_of[path] = action
        self.used.add(action)
        self.refuse_recursion(action, path)
        if self.place is Place.FUNCTION:
            self.type_error("a function cannot call an action", expression)
        elif self.place in (Place.STATE, Place.PARSER):
            self.type_error("a parser cannot call an action", expression)
        if expression.type_arguments:
            self.type_error("an action takes no type arguments", expression)
        callee = self.action_callee(action)
        return self.finish_call(expression, callee, expression.arguments, (), path)

    def refuse_recursion(self, target: ast.Declaration, at: ast.Node) -> None:
        """Nothing in P4 may use itself, not even through others (declaration before use leaves only the direct way)."""
        if target in self.open_declarations:
            notes = [Note("declared here", target.name.span)]
            kind = Kind.UNSUPPORTED if isinstance(target, ast.Control | ast.Parser) else Kind.NOT_FOUND
            self.error(kind, f"{describe(target)} '{target.name.text}' uses itself", at, notes)

    def action_callee(self, action: ast.Action) -> Callee:
        return Callee(
            CallKind.ACTION,
            action,
            None,
            action.name.text,
            action.parameters,
            (),
            model.VOID,
            {},
            runtime_arguments=True,
        )

    # -- members

    def _call_member(self, expression: ast.Call, member: ast.Member) -> model.Type:
        name = member.member.text
        if isinstance(member.base, ast.TypeNameExpression):
            return self._call_on_type(expression, member, member.base)
        outer, self.is_measured = self.is_measured, self.is_measured or name in SIZE_METHODS
        base = self.expression(member.base)
        self.is_measured = outer
        match base:
            case model.UnknownType():
                self.type_arguments_anyway(expression)
                return model.UNKNOWN
            case model.ObjectType(declaration):
                if isinstance(declaration, ast.ExternDeclaration):
                    return self._call_method(expression, member, base, declaration)
                if isinstance(declaration, ast.Table):
                    return self._apply_table(expression, member, declaration)
                if isinstance(
                    declaration,
                    ast.Parser | ast.Control | ast.ParserTypeDeclaration | ast.ControlTypeDeclaration,
                ):
                    return self._apply_block(expression, member, base)
            case _ if name in SIZE_METHODS:
                return self._size(expression, name, base)
            case model.HeaderType() | model.HeaderUnionType() if name in ("isValid", "setValid", "setInvalid"):
                return self._validity(expression, member, base)
            case model.StackType() if name in ("push_front", "pop_front"):
                return self._shift_stack(expression, member)
        if isinstance(base, model.StructLikeType) and self.field(base, name) is not None:
            self.type_error(f"'{name}' is a field and cannot be called", member)
        else:
            self.type_error(
                f"type '{base}' has no method '{name}'", member.member, did_you_mean(name, methods_of(base))
            )
        self.type_arguments_anyway(expression)
        return model.UNKNOWN

    def _call_on_type(self, expression: ast.Call, member: ast.Member, base: ast.TypeNameExpression) -> model.Type:
        """`T.minSizeInBits()`, and `C.apply(…)` where no statement but an expression was read."""
        type_ = self.resolve(base.type)
        self.type_of[base] = type_
        if isinstance(type_, model.UnknownType):
            self.type_arguments_anyway(expression)
            return type_
        if member.member.text in SIZE_METHODS and not isinstance(type_, model.ObjectType):
            return self._size(expression, member.member.text, type_)
        self.type_error(f"'{member.member.text}' cannot be called on type '{type_}'", member)
        return model.UNKNOWN

    def _call_method(
        self, expression: ast.Call, member: ast.Member, base: model.ObjectType, extern: ast.ExternDeclaration
    ) -> model.Type:
        name = member.member.text
        methods = self.methods_of[extern].get(name)
        if methods is None:
            self.type_error(
                f"extern '{extern.name.text}' has no method '{name}'",
                member.member,
                did_you_mean(name, [method.name.text for method in extern.methods]),
            )
            self.type_arguments_anyway(expression)
            return model.UNKNOWN
        chosen = self.choose(name, methods, expression.arguments, member)
        if chosen is None:
            self.type_arguments_anyway(expression)
            return model.UNKNOWN
        assert isinstance(chosen, ast.FunctionPrototype)
        self.warn_if_deprecated(chosen, member)
        bindings = dict(zip(extern.type_parameters, base.arguments, strict=False))
        callee = self.prototype_callee(CallKind.EXTERN_METHOD, chosen, chosen, extern, bindings)
        result = self.finish_call(expression, callee, expression.arguments, expression.type_arguments, member)
        if extern.name.text == "packet_in":
            self._check_packet_in(expression, name)
        return result

    def _check_packet_in(self, expression: ast.Call, method: str) -> None:
        """What the core library's signatures of `extract` and `lookahead` cannot say (section 13.8)."""
        call = self.checked.call_of.get(expression)
        if call is None or not call.type_arguments or isinstance(call.type_arguments[0], model.UnknownType):
            return
        type_ = call.type_arguments[0]
        if method == "lookahead" and not isinstance(type_, model.TypeVariable):
            if self.has_varbit(type_) or self.size_in_bits(type_, maximum=True) is None:
                self.type_error(f"lookahead needs a type of fixed size, not '{type_}'", expression)
        elif method == "extract":
            self._check_extract(expression, call, type_)

    def _check_extract(self, expression: ast.Call, call: ResolvedCall, type_: model.Type) -> None:
        if isinstance(type_, model.TypeVariable | model.DontCareType):
            return
        if not isinstance(type_, model.HeaderType):
            self.type_error(f"only a header can be extracted, not a value of type '{type_}'", expression)
        elif len(call.parameters) == 1 and self.has_varbit(type_):
            self.type_error(f"header '{type_}' has a varbit field: its size must be given", expression)
        elif len(call.parameters) == 2 and len(varbits := self._varbits(type_)) > 1:
            notes = [Note("one of them", span) for span in varbits]
            self.type_error(f"header '{type_}' has several varbit fields: it cannot be extracted", expression, notes)
        elif len(call.parameters) == 2 and not self.has_varbit(type_):
            self.type_error(f"header '{type_}' has no varbit field to take the size", expression)

    def _varbits(self, type_: model.StructLikeType) -> list[Span]:
        """The places of all varbit fields, those of structures in it too."""
        result = []
        for field in self.fields(type_):
            if isinstance(field.type, model.VarbitType) and field.declaration is not None:
                result.append(field.declaration.span)
            elif isinstance(field.type, model.StructType):
                result += self._varbits(field.type)
        return result

    def _apply_table(self, expression: ast.Call, member: ast.Member, table: ast.Table) -> model.Type:
        if member.member.text != "apply":
            hint = did_you_mean(member.member.text, ["apply"])
            self.type_error(f"a table has no method '{member.member.text}'", member.member, hint)
            return model.UNKNOWN
        if expression.arguments:
            self.type_error("applying a table takes no arguments", expression)
        if self.in_action_list:
            self.error(Kind.UNSUPPORTED, "a table cannot be applied in the list of actions", expression)
        if self.place not in (Place.APPLY, Place.TABLE):
            self.type_error(f"a table cannot be applied {self.place.value}", expression)
        result = model.ApplyResultType(table)
        self.checked.call_of[expression] = ResolvedCall(
            CallKind.TABLE_APPLY, table, None, "apply", (), (), (), (), result
        )
        return result

    def _apply_block(self, expression: ast.Call, member: ast.Member, base: model.ObjectType) -> model.Type:
        if member.member.text != "apply":
            hint = did_you_mean(member.member.text, ["apply"])
            message = f"a {describe(base.declaration)} has no method '{member.member.text}'"
            self.type_error(message, member.member, hint)
            self.type_arguments_anyway(expression)
            return model.UNKNOWN
        return self.apply_block(expression, base, expression.arguments, expression.type_arguments, member)

    def apply_block(
        self,
        node: ast.Call | ast.DirectApplication,
        base: model.ObjectType,
        arguments: Sequence[ast.Argument],
        type_arguments: Sequence[ast.TypeRef],
        at: ast.Node,
    ) -> model.Type:
        declaration = base.declaration
        assert isinstance(
            declaration, ast.Parser | ast.Control | ast.ParserTypeDeclaration | ast.ControlTypeDeclaration
        )
        is_parser = isinstance(declaration, ast.Parser | ast.ParserTypeDeclaration)
        if is_parser and self.place is not Place.STATE:
            self.type_error(f"a parser cannot be applied {self.place.value}", at)
        elif not is_parser and self.place is not Place.APPLY:
            self.type_error(f"a control cannot be applied {self.place.value}", at)
        self.refuse_recursion(declaration, at)
        kind = CallKind.PARSER_APPLY if is_parser else CallKind.CONTROL_APPLY
        bindings = dict(zip(declaration.type_parameters, base.arguments, strict=False))
        type_parameters = () if base.arguments else declaration.type_parameters
        callee = Callee(
            kind,
            declaration,
            None,
            declaration.name.text,
            declaration.parameters,
            type_parameters,
            model.VOID,
            bindings,
        )
        return self.finish_call(node, callee, arguments, type_arguments, at)

    # -- constructors

    def constructor_call(self, expression: ast.Call, reference: ast.TypeRef) -> model.Type:
        """`T(…)` in an expression: an instance without a name."""
        self.type_of[expression.callee] = model.UNKNOWN
        result = self.construct(expression, reference, expression.arguments, reference)
        self.type_of[expression.callee] = result
        return result

    def construct(
        self,
        node: ast.Call | ast.Instantiation,
        reference: ast.TypeRef,
        arguments: Sequence[ast.Argument],
        at: ast.Node,
    ) -> model.Type:
        """Check a constructor's call; the result is the type of the new object, with all type arguments."""
        base = self.resolve(reference, bare_generic=True)
        if isinstance(base, model.UnknownType):
            for argument in arguments:
                if not isinstance(argument.value, ast.DontCare):
                    self.expression(argument.value)
            return base
        if not isinstance(base, model.ObjectType) or isinstance(
            base.declaration, ast.ParserTypeDeclaration | ast.ControlTypeDeclaration
        ):
            what = (
                "it is only a type: it has no body" if isinstance(base, model.ObjectType) else "it has no constructor"
            )
            declared = isinstance(base, model.ObjectType | model.StructLikeType)
            kind = Kind.TYPE_ERROR if declared else Kind.INVALID
            self.error(kind, f"'{base}' cannot be instantiated: {what}", at)
            return model.UNKNOWN
        declaration = base.declaration
        self.refuse_recursion(declaration, at)
        parameters: tuple[ast.Parameter, ...] | None = None
        type_parameters: tuple[ast.TypeParameter, ...] = ()
        target: ast.Declaration = declaration
        owner = None
        match declaration:
            case ast.ExternDeclaration():
                owner = declaration
                self.warn_if_deprecated(declaration, at)
                if isinstance(node, ast.Call) and any(method.is_abstract for method in declaration.methods):
                    self.type_error(
                        f"extern '{base}' has abstract methods: it needs an instance with a name and a body", at
                    )
                if not declaration.constructors:
                    self.type_error(f"extern '{base}' has no constructor", at)
                    return base
                chosen = self.choose(declaration.name.text, self.constructors_of[declaration], arguments, at)
                if chosen is None:
                    return model.UNKNOWN
                assert isinstance(chosen, ast.FunctionPrototype)
                target = chosen
                parameters = chosen.parameters
                type_parameters = declaration.type_parameters
            case ast.Parser() | ast.Control():
                parameters = declaration.constructor_parameters
                type_parameters = declaration.type_parameters
            case ast.PackageTypeDeclaration():
                parameters = declaration.parameters
                type_parameters = declaration.type_parameters
        if parameters is None:
            self.type_error(f"'{base}' cannot be instantiated", at)
            return model.UNKNOWN
        bindings: model.Bindings = {}
        for variable, given in zip(type_parameters, base.arguments, strict=False):
            if not self.mentions_dont_care(given):
                bindings[variable] = given
        callee = Callee(
            CallKind.CONSTRUCTOR,
            target,
            owner,
            declaration.name.text,
            parameters,
            tuple(v for v in type_parameters if v not in bindings),
            model.ObjectType(declaration, tuple(model.TypeVariable(v) for v in type_parameters)),
            bindings,
        )
        if isinstance(declaration, ast.Parser | ast.Control):
            # The type parameters of a parser or control may be left open where its package or its use decides.
            used = [
                v
                for v in callee.type_parameters
                if any(model.mentions_variables(self.resolved_type_of.get(p, model.UNKNOWN), {v}) for p in parameters)
            ]
            bindings.update({v: model.DONT_CARE for v in callee.type_parameters if v not in used})
            callee.type_parameters = tuple(used)
        result = self.finish_call(node, callee, arguments, (), at)
        call = self.checked.call_of.get(node)
        if call is not None and isinstance(result, model.ObjectType):
            call.type_arguments = result.arguments
        return result
