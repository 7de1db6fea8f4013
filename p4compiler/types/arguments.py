"""Arguments of calls: choosing an overload, matching parameters, inferring type arguments (sections 6.8, 8.20)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p4compiler.diagnostics import Kind, Note, did_you_mean
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.aliases import clashing_argument
from p4compiler.types.checked import CallKind, ResolvedCall
from p4compiler.types.overloads import Overloads, TooManyOverloadsError, is_optional
from p4compiler.types.scope import describe
from p4compiler.types.uses import OUTPUTS, Uses

MAX_NOTES = 8
"""How many of the overloads a message shows."""


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


class Arguments(Uses):
    # -- overloads

    def choose(
        self, name: str, candidates: Overloads, arguments: Sequence[ast.Argument], at: ast.Node
    ) -> ast.Declaration | None:
        """The overload that takes these arguments, by their number and names; None (and an error) if none."""
        declarations = candidates.declarations
        if len(declarations) == 1:
            return declarations[0]
        try:
            fitting = candidates.fitting(arguments)
        except TooManyOverloadsError:
            self.error(Kind.OVERLIMIT, f"'{name}' has too many overloads with optional parameters", at)
            return None
        if not fitting:
            self.type_error(f"no '{name}' takes these {len(arguments)} argument(s)", at, _shown(declarations))
            return None
        if len(fitting) > 1:
            # Nothing may call itself, so that in its own body its name means another.
            fitting = [i for i in fitting if declarations[i] not in self.open_declarations] or fitting
        if len(fitting) > 1:
            exact = [i for i in fitting if len(candidates.prototypes[i].parameters) == len(arguments)]
            if len(exact) == 1:
                return declarations[exact[0]]
            notes = _shown([declarations[i] for i in fitting])
            self.error(Kind.DUPLICATE, f"several '{name}' take these arguments", at, notes)
            return None
        return declarations[fitting[0]]

    # -- arguments

    def type_arguments_anyway(self, call: ast.Call) -> None:
        """The callee is not known: look at the arguments all the same, for what is wrong inside of them."""
        for argument in call.arguments:
            if not isinstance(argument.value, ast.DontCare):
                self.expression(argument.value)

    def order_arguments(
        self,
        parameters: Sequence[ast.Parameter],
        arguments: Sequence[ast.Argument],
        name: str,
        at: ast.Node,
        missing_allowed: bool = False,
        missing: Kind = Kind.TYPE_ERROR,
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
                self.error(missing, f"no argument for parameter '{parameter.name.text}' of '{name}'", at, notes)
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
        missing = Kind.UNINITIALIZED if callee.kind is CallKind.ACTION else Kind.TYPE_ERROR
        ordered = self.order_arguments(callee.parameters, arguments, callee.name, at, missing=missing)
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
        self._warn_of_clash(node)
        return return_type

    def _warn_of_clash(self, node: ast.Node) -> None:
        clash = clashing_argument(self.checked, self.checked.call_of[node])
        if clash is not None:
            output, other = clash
            notes = [Note("this one", other.span)]
            self.warning(
                Kind.ORDERING, "this argument is written to and shares storage with another one", output, notes
            )

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
                notes = self.block_difference(formal, actual, bindings, free)
                notes.append(Note("the parameter is declared here", parameter.span))
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
                    [Note("the parameter is declared here", parameter.span)],
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
        self.because = (Note("the parameter is declared here", parameter.span),)
        self.coerce(value, type_, f"argument for '{name}'")
        self.because = ()


def _shown(candidates: Sequence[ast.Declaration]) -> list[Note]:
    """The first few of them."""
    return [Note("candidate", candidate.span) for candidate in candidates[:MAX_NOTES]]
