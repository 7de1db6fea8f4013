"""Calls and instantiations: finding the callee, matching arguments, inferring type arguments (sections 6.8, 7.2, 8.19, 8.20)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p4compiler.diagnostics import Kind, Note, did_you_mean
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.checked import CallKind, ResolvedCall
from p4compiler.types.context import Place
from p4compiler.types.inference import Inference, is_optional
from p4compiler.types.scope import FUNCTIONS, TYPE_DECLARATIONS, describe

SIZE_METHODS = ("minSizeInBits", "minSizeInBytes", "maxSizeInBits", "maxSizeInBytes")
OUTPUTS = (ast.Direction.OUT, ast.Direction.INOUT)


@dataclass(slots=True)
class Callee:
    """What is called, as far as its name says.

    Attributes:
        bindings: type arguments that are fixed already: those of the extern object whose method it is.
        free: the type parameters to find.
        runtime_arguments: directionless parameters take any value (actions), not only compile-time ones.
    """

    kind: CallKind
    target: ast.Declaration
    owner: ast.ExternDeclaration | None
    name: str
    parameters: tuple[ast.Parameter, ...]
    type_parameters: tuple[ast.TypeParameter, ...]
    return_type: model.Type
    bindings: model.Bindings
    runtime_arguments: bool = False


class Calls(Inference):
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
        self._type_arguments_anyway(expression)
        return model.UNKNOWN

    def _type_arguments_anyway(self, expression: ast.Call) -> None:
        """The callee is not known: look at the arguments all the same, for what is wrong inside of them."""
        for argument in expression.arguments:
            if not isinstance(argument.value, ast.DontCare):
                self.expression(argument.value)

    def _call_name(self, expression: ast.Call, path: ast.PathExpression) -> model.Type:
        scope = self.top if path.absolute else self.scope
        found = scope.find(path.name)
        if isinstance(found, ast.Action) and found in self.open_declarations and self.top.find(path.name) is not found:
            found = self.top.find(path.name) or found  # inside itself an action's name means the function that it hides
        if found is None:
            known = [n for n in scope.all_names() if not isinstance(scope.find(n), TYPE_DECLARATIONS)]
            self.not_found("function or action", path.name, path.span, known)
            self._type_arguments_anyway(expression)
            return model.UNKNOWN
        candidates = found if isinstance(found, list) else [found]
        first = candidates[0]
        if isinstance(first, ast.Action):
            return self._call_action(expression, path, first)
        if not isinstance(first, FUNCTIONS):
            notes = [Note("declared here", first.name.span)]
            hint = f"; did you mean '{path.name}.apply()'?" if isinstance(first, ast.Table) else ""
            self.type_error(f"'{path.name}' is a {describe(first)} and cannot be called{hint}", path, notes)
            self._type_arguments_anyway(expression)
            return model.UNKNOWN
        prototypes = []
        for candidate in candidates:
            assert isinstance(candidate, FUNCTIONS)
            prototypes.append(candidate.prototype)
        index = self.choose(path.name, prototypes, expression.arguments, path)
        if index is None:
            self._type_arguments_anyway(expression)
            return model.UNKNOWN
        chosen = candidates[index]
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

    # -- overloads

    def choose(
        self,
        name: str,
        candidates: Sequence[ast.FunctionPrototype],
        arguments: Sequence[ast.Argument],
        at: ast.Node,
    ) -> int | None:
        """The index of the overload that takes these arguments, by their number and names; None (and an error) if none."""
        if len(candidates) == 1:
            return 0
        fitting = [i for i, prototype in enumerate(candidates) if self._accepts(prototype.parameters, arguments)]
        if not fitting:
            notes = [Note("candidate", prototype.span) for prototype in candidates]
            self.type_error(f"no '{name}' takes these {len(arguments)} argument(s)", at, notes)
            return None
        if len(fitting) > 1:
            exact = [i for i in fitting if len(candidates[i].parameters) == len(arguments)]
            if len(exact) == 1:
                return exact[0]
            notes = [Note("candidate", candidates[i].span) for i in fitting]
            self.error(Kind.DUPLICATE, f"several '{name}' take these arguments", at, notes)
            return None
        return fitting[0]

    def _accepts(self, parameters: Sequence[ast.Parameter], arguments: Sequence[ast.Argument]) -> bool:
        if len(arguments) > len(parameters):
            return False
        names = {p.name.text for p in parameters}
        given: set[str] = set()
        for index, argument in enumerate(arguments):
            name = argument.name.text if argument.name is not None else parameters[index].name.text
            if name not in names:
                return False
            given.add(name)
        return all(p.name.text in given or is_optional(p) for p in parameters)

    # -- arguments

    def order_arguments(
        self,
        parameters: Sequence[ast.Parameter],
        arguments: Sequence[ast.Argument],
        name: str,
        at: ast.Node,
        missing_allowed: bool = False,
    ) -> list[ast.Expression | None] | None:
        """The arguments in the order of the parameters, None where one is left out; None and an error if they do not fit."""
        ordered: list[ast.Expression | None] = [None] * len(parameters)
        named = sum(argument.name is not None for argument in arguments)
        if named and named != len(arguments):
            self.error(Kind.INVALID, "either all arguments have names or none", at)
            return None
        index_of = {p.name.text: i for i, p in enumerate(parameters)}
        seen: dict[str, ast.Argument] = {}
        for position, argument in enumerate(arguments):
            if argument.name is None:
                if position >= len(parameters):
                    self.type_error(f"'{name}' takes {len(parameters)} argument(s), not {len(arguments)}", argument)
                    return None
                index = position
            else:
                text = argument.name.text
                if text in seen:
                    notes = [Note("the first one is here", seen[text].span)]
                    self.error(Kind.DUPLICATE, f"two arguments are named '{text}'", argument, notes)
                    return None
                seen[text] = argument
                if text not in index_of:
                    self.type_error(f"'{name}' has no parameter '{text}'", argument.name, did_you_mean(text, index_of))
                    return None
                index = index_of[text]
            ordered[index] = argument.value
        for parameter, value in zip(parameters, ordered, strict=True):
            if value is None and not is_optional(parameter) and not missing_allowed:
                notes = [Note("declared here", parameter.span)]
                self.type_error(f"no argument for parameter '{parameter.name.text}' of '{name}'", at, notes)
                return None
        return ordered

    def finish_call(
        self,
        node: ast.Call | ast.DirectApplication | ast.Instantiation,
        callee: Callee,
        arguments: Sequence[ast.Argument],
        type_arguments: Sequence[ast.TypeRef],
        at: ast.Node,
    ) -> model.Type:
        """Match arguments with parameters, infer what is to infer, convert the arguments, and note the call."""
        explicit = [self.resolve(reference) for reference in type_arguments]
        ordered = self.order_arguments(callee.parameters, arguments, callee.name, at)
        if ordered is None:
            for argument in arguments:
                if not isinstance(argument.value, ast.DontCare):
                    self.expression(argument.value)
            return model.UNKNOWN
        if explicit and len(explicit) != len(callee.type_parameters):
            notes = [Note("declared here", callee.target.name.span)]
            self.type_error(
                f"'{callee.name}' takes {len(callee.type_parameters)} type argument(s), not {len(explicit)}", at, notes
            )
            for value in ordered:
                if value is not None and not isinstance(value, ast.DontCare):
                    self.expression(value)
            return model.UNKNOWN
        bindings = dict(callee.bindings)
        for variable, type_ in zip(callee.type_parameters, explicit, strict=False):
            if isinstance(type_, model.VoidType):
                self.type_error(f"'void' cannot be a type argument of '{callee.name}'", at)
            if not isinstance(type_, model.DontCareType):
                bindings[variable] = type_
        fine = self.infer(callee, ordered, bindings, at)
        parameter_types = tuple(
            model.substitute(self.resolved_type_of.get(p, model.UNKNOWN), bindings) for p in callee.parameters
        )
        if fine:
            for parameter, type_, value in zip(callee.parameters, parameter_types, ordered, strict=True):
                if value is not None:
                    self.pass_argument(parameter, type_, value, callee)
        return_type = model.substitute(callee.return_type, bindings)
        if not fine:
            return model.UNKNOWN if model.mentions_variables(return_type, set(callee.type_parameters)) else return_type
        if bindings and isinstance(return_type, model.StructLikeType | model.StackType):
            self.check_specialized(return_type, at)
        if bindings:
            for type_ in parameter_types:
                if isinstance(type_, model.StructLikeType | model.StackType):
                    self.check_specialized(type_, at)
        self.checked.call_of[node] = ResolvedCall(
            callee.kind,
            callee.target,
            callee.owner,
            callee.name,
            tuple(bindings.get(p, model.DONT_CARE) for p in callee.type_parameters),
            callee.parameters,
            parameter_types,
            tuple(None if isinstance(value, ast.DontCare) else value for value in ordered),
            return_type,
        )
        return return_type

    def check_specialized(self, type_: model.Type, at: ast.Node) -> None:
        """A type that only came about by putting type arguments in must be one that could have been written."""
        if isinstance(type_, model.StackType):
            self.check_stack_element(type_.element, at)
        elif isinstance(type_, model.StructLikeType) and type_.arguments:
            self.check_fields_after_substitution(type_, at)

    def infer(
        self, callee: Callee, ordered: list[ast.Expression | None], bindings: model.Bindings, at: ast.Node
    ) -> bool:
        """Type the arguments and bind the callee's type parameters; reports what does not agree."""
        free = set(callee.type_parameters)
        fine = True
        for parameter, value in zip(callee.parameters, ordered, strict=True):
            if value is None:
                continue
            if isinstance(value, ast.DontCare):
                if parameter.direction is not ast.Direction.OUT:
                    self.type_error("'_' can only stand for an 'out' parameter", value)
                    fine = False
                self.type_of[value] = model.DONT_CARE
                continue
            actual = self.expression(value)
            formal = self.resolved_type_of.get(parameter, model.UNKNOWN)
            if not free or not model.mentions_variables(formal, free):
                continue
            formal = model.substitute(formal, callee.bindings)
            if isinstance(actual, model.SetType):
                self.type_error("a set cannot be an argument", value)
                fine = False
            elif not self.unify(formal, actual, bindings, free):
                notes = [Note("the parameter is declared here", parameter.span)]
                shown = model.substitute(formal, bindings)
                self.type_error(
                    f"the argument for '{parameter.name.text}' has type '{actual}', but '{shown}' is needed",
                    value,
                    notes,
                )
                fine = False
        if not fine:
            return False
        return self._all_bound(callee, ordered, bindings, at)

    def _all_bound(
        self, callee: Callee, ordered: list[ast.Expression | None], bindings: model.Bindings, at: ast.Node
    ) -> bool:
        used_in_given = {
            variable
            for parameter, value in zip(callee.parameters, ordered, strict=True)
            for variable in callee.type_parameters
            if value is not None
            and model.mentions_variables(self.resolved_type_of.get(parameter, model.UNKNOWN), {variable})
        }
        for variable in callee.type_parameters:
            if variable in bindings:
                if isinstance(bindings[variable], model.AnonymousStructType):
                    self.type_error(
                        f"the type of this structure, argument of '{callee.name}', is not known; a cast can name it", at
                    )
                    return False
                continue
            if variable not in used_in_given and any(value is None for value in ordered):
                bindings[variable] = model.DONT_CARE
                continue
            if variable in used_in_given and callee.kind is CallKind.CONSTRUCTOR:
                bindings[variable] = model.DONT_CARE
                continue
            notes = [Note("declared here", variable.span)]
            numbers = " (a number without a width does not tell)" if variable in used_in_given else ""
            self.type_error(
                f"type parameter '{variable.name.text}' of '{callee.name}' cannot be inferred{numbers}", at, notes
            )
            return False
        return True

    def pass_argument(self, parameter: ast.Parameter, type_: model.Type, value: ast.Expression, callee: Callee) -> None:
        """Check one argument against its parameter's direction and type, and convert it."""
        name = parameter.name.text
        if isinstance(value, ast.DontCare):
            self.type_of[value] = type_
            return
        actual = self.type_of[value]
        if isinstance(actual, model.UnknownType):
            return
        if parameter.direction in OUTPUTS:
            if not self.is_lvalue(value):
                notes = [Note("the parameter is declared here", parameter.span)]
                self.type_error(
                    f"the argument for {parameter.direction.value} parameter '{name}' must be something that can be "
                    "assigned to",
                    value,
                    notes,
                )
                return
            if actual != type_ and not self.has_unknown(type_) and not isinstance(type_, model.DontCareType):
                self.type_error(
                    f"the argument for {parameter.direction.value} parameter '{name}' has type '{actual}', but must have "
                    f"type '{type_}'",
                    value,
                )
            return
        if parameter.direction is ast.Direction.IN and isinstance(type_, model.StringType | model.VoidType):
            self.type_error(f"a value of type '{type_}' cannot be passed to a parameter with a direction", value)
            return
        if (
            parameter.direction is ast.Direction.NONE
            and not callee.runtime_arguments
            and not self.is_compile_time(value)
        ):
            notes = [Note("the parameter has no direction", parameter.span)]
            self.type_error(f"the argument for '{name}' must be a compile-time constant", value, notes)
            return
        if callee.kind is not CallKind.CONSTRUCTOR and isinstance(actual, model.ObjectType):
            declaration = actual.declaration
            if not isinstance(declaration, ast.ExternDeclaration):
                self.type_error(f"a {describe(declaration)} cannot be an argument here", value)
                return
        self.coerce(value, type_, f"argument for '{name}'")

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
            self.error(Kind.INVALID, f"{describe(target)} '{target.name.text}' uses itself", at, notes)

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
        base = self.expression(member.base)
        match base:
            case model.UnknownType():
                self._type_arguments_anyway(expression)
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
            self.type_error(f"type '{base}' has no method '{name}'", member.member, did_you_mean(name, _methods(base)))
        self._type_arguments_anyway(expression)
        return model.UNKNOWN

    def _call_on_type(self, expression: ast.Call, member: ast.Member, base: ast.TypeNameExpression) -> model.Type:
        """`T.minSizeInBits()`, and `C.apply(…)` where no statement but an expression was read."""
        type_ = self.resolve(base.type)
        self.type_of[base] = type_
        if isinstance(type_, model.UnknownType):
            self._type_arguments_anyway(expression)
            return type_
        if member.member.text in SIZE_METHODS and not isinstance(type_, model.ObjectType):
            return self._size(expression, member.member.text, type_)
        self.type_error(f"'{member.member.text}' cannot be called on type '{type_}'", member)
        return model.UNKNOWN

    def _call_method(
        self, expression: ast.Call, member: ast.Member, base: model.ObjectType, extern: ast.ExternDeclaration
    ) -> model.Type:
        name = member.member.text
        methods = [method for method in extern.methods if method.name.text == name]
        if not methods:
            self.type_error(
                f"extern '{extern.name.text}' has no method '{name}'",
                member.member,
                did_you_mean(name, [method.name.text for method in extern.methods]),
            )
            self._type_arguments_anyway(expression)
            return model.UNKNOWN
        index = self.choose(name, methods, expression.arguments, member)
        if index is None:
            self._type_arguments_anyway(expression)
            return model.UNKNOWN
        chosen = methods[index]
        if self.place in (Place.PARSER, Place.CONTROL, Place.TOP) and not self.in_constant_context():
            self.type_error("a method cannot be called here", expression)
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
        elif len(call.parameters) == 2 and not self.has_varbit(type_):
            self.type_error(f"header '{type_}' has no varbit field to take the size", expression)

    def has_varbit(self, type_: model.Type) -> bool:
        match type_:
            case model.VarbitType():
                return True
            case model.StructLikeType():
                return any(self.has_varbit(field.type) for field in self.fields(type_))
            case model.StackType(element, _) | model.ListType(element):
                return self.has_varbit(element)
            case model.TupleType(elements):
                return any(self.has_varbit(element) for element in elements)
        return False

    def in_constant_context(self) -> bool:
        return True

    def _apply_table(self, expression: ast.Call, member: ast.Member, table: ast.Table) -> model.Type:
        if member.member.text != "apply":
            self.type_error(f"a table has no method '{member.member.text}'", member.member)
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
            self.type_error(f"a {describe(base.declaration)} has no method '{member.member.text}'", member.member)
            self._type_arguments_anyway(expression)
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

    # -- built-in methods

    def _built_in(self, expression: ast.Call, name: str, return_type: model.Type, argument: bool = False) -> None:
        values = tuple(a.value for a in expression.arguments) if argument else ()
        types = tuple(self.type_of.get(value, model.UNKNOWN) for value in values)
        self.checked.call_of[expression] = ResolvedCall(
            CallKind.BUILTIN_METHOD, None, None, name, (), (), types, values, return_type
        )

    def _no_arguments(self, expression: ast.Call, name: str) -> None:
        if expression.arguments or expression.type_arguments:
            self.type_error(f"'{name}' takes no arguments", expression)

    def _size(self, expression: ast.Call, name: str, type_: model.Type) -> model.Type:
        self._no_arguments(expression, name)
        width = self.size_in_bits(type_, maximum=name.startswith("max"))
        if width is None:
            self.type_error(f"the size of type '{type_}' is not known", expression)
            return model.UNKNOWN
        self.constant_of[expression] = (width + 7) // 8 if name.endswith("Bytes") else width
        self._built_in(expression, name, model.INT)
        return model.INT

    def size_in_bits(self, type_: model.Type, maximum: bool) -> int | None:
        """The least or greatest number of bits that a value takes (section 9); None if the type has no size."""
        match type_:
            case model.BitsType(width):
                return width
            case model.BoolType():
                return 1
            case model.VarbitType(width):
                return width if maximum else 0
            case model.EnumType(_, underlying) | model.NewType(_, underlying):
                return None if underlying is None else self.size_in_bits(underlying, maximum)
            case model.StackType(element, size):
                one = self.size_in_bits(element, maximum)
                return None if one is None else one * size
            case model.TupleType(elements):
                parts = [self.size_in_bits(element, maximum) for element in elements]
            case model.StructLikeType():
                parts = [self.size_in_bits(field.type, maximum) for field in self.fields(type_)]
            case _:
                return None
        known = [part for part in parts if part is not None]
        if len(known) != len(parts):
            return None
        if isinstance(type_, model.HeaderUnionType):
            return (max(known) if maximum else min(known)) if known else 0
        return sum(known)

    def _validity(self, expression: ast.Call, member: ast.Member, base: model.Type) -> model.Type:
        name = member.member.text
        self._no_arguments(expression, name)
        if name == "isValid":
            self._built_in(expression, name, model.BOOL)
            return model.BOOL
        if isinstance(base, model.HeaderUnionType):
            self.type_error(f"a header union has no method '{name}'; its headers do", member.member)
        if not self.is_lvalue(member.base):
            self.type_error(f"'{name}' needs something that can be assigned to", member.base)
        self._built_in(expression, name, model.VOID)
        return model.VOID

    def _shift_stack(self, expression: ast.Call, member: ast.Member) -> model.Type:
        name = member.member.text
        if self.place is Place.STATE:
            self.type_error(f"'{name}' cannot be used in a parser", expression)
        if not self.is_lvalue(member.base):
            self.type_error(f"'{name}' needs something that can be assigned to", member.base)
        if len(expression.arguments) != 1:
            self.type_error(f"'{name}' takes one argument, the count", expression)
            self._type_arguments_anyway(expression)
            return model.VOID
        count = expression.arguments[0].value
        type_ = self.expression(count)
        value = self.number_of(count)
        if not isinstance(type_, model.UnknownType):
            if value is None:
                self.type_error("the count must be a compile-time constant", count)
            elif value < 0:
                self.type_error("the count cannot be negative", count)
        self._built_in(expression, name, model.VOID, argument=True)
        return model.VOID

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
            self.type_error(f"'{base}' cannot be instantiated: {what}", at)
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
                index = self.choose(declaration.name.text, declaration.constructors, arguments, at)
                if index is None:
                    return model.UNKNOWN
                target = declaration.constructors[index]
                parameters = declaration.constructors[index].parameters
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

    # -- what an expression may be used for

    def is_lvalue(self, expression: ast.Expression) -> bool:
        """The expression can be assigned to (section 6.7)."""
        match expression:
            case ast.PathExpression():
                declaration = self.checked.declaration_of.get(expression)
                if isinstance(declaration, ast.Parameter):
                    return declaration.direction in OUTPUTS
                return isinstance(declaration, ast.Variable)
            case ast.Member():
                if isinstance(expression.base, ast.TypeNameExpression):
                    return False
                base = self.type_of.get(expression.base)
                if isinstance(base, model.StackType) and expression.member.text in ("lastIndex", "size"):
                    return False
                if isinstance(base, model.ApplyResultType | model.ObjectType):
                    return False
                return self.is_lvalue(expression.base)
            case ast.Index():
                return self.is_lvalue(expression.base)
            case ast.Slice():
                return self.is_lvalue(expression.base)
        return False

    def is_compile_time(self, expression: ast.Expression) -> bool:
        """The value is known at compile time, or will be when constructors are evaluated."""
        if expression in self.constant_of:
            return True
        match expression:
            case ast.PathExpression():
                declaration = self.checked.declaration_of.get(expression)
                if isinstance(declaration, ast.Parameter):
                    return declaration.direction is ast.Direction.NONE
                return isinstance(declaration, ast.Constant | ast.Instantiation)
            case ast.This() | ast.InvalidHeader() | ast.DefaultLiteral() | ast.DontCare():
                return True
            case ast.Member():
                return isinstance(expression.base, ast.TypeNameExpression) or self.is_compile_time(expression.base)
            case ast.Index():
                return self.is_compile_time(expression.base) and self.is_compile_time(expression.index)
            case ast.Slice():
                return self.is_compile_time(expression.base)
            case ast.Unary():
                return self.is_compile_time(expression.operand)
            case ast.Cast():
                return self.is_compile_time(expression.operand)
            case ast.Binary():
                return self.is_compile_time(expression.left) and self.is_compile_time(expression.right)
            case ast.Conditional():
                parts = (expression.condition, expression.then, expression.otherwise)
                return all(self.is_compile_time(part) for part in parts)
            case ast.ListExpression():
                return all(self.is_compile_time(element) for element in expression.elements)
            case ast.StructExpression():
                return all(self.is_compile_time(item.value) for item in expression.fields)
            case ast.Call():
                call = self.checked.call_of.get(expression)
                if call is None:
                    return False
                if call.kind is CallKind.CONSTRUCTOR:
                    return True
                pure = isinstance(call.target, ast.ExternFunction) and (
                    isinstance(call.return_type, model.ObjectType)
                    or any(a.name == "pure" for a in call.target.annotations)
                )
                return pure and all(a is not None and self.is_compile_time(a) for a in call.arguments)
        return False


def _methods(type_: model.Type) -> list[str]:
    match type_:
        case model.HeaderType():
            return ["isValid", "setValid", "setInvalid", *SIZE_METHODS]
        case model.HeaderUnionType():
            return ["isValid", *SIZE_METHODS]
        case model.StackType():
            return ["push_front", "pop_front", *SIZE_METHODS]
    return list(SIZE_METHODS)
