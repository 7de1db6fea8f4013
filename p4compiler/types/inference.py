"""Unification: what type parameters must stand for, so that a parameter's type is its argument's type."""

from __future__ import annotations

from p4compiler.diagnostics import Note
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.annotations import Annotations
from p4compiler.types.overloads import is_optional
from p4compiler.types.scope import describe

_PARSERS = (ast.Parser, ast.ParserTypeDeclaration)
_BODIES = (*_PARSERS, ast.Control, ast.ControlTypeDeclaration)
BLOCKS = (ast.Parser, ast.Control, ast.ParserTypeDeclaration, ast.ControlTypeDeclaration, ast.PackageTypeDeclaration)


class Inference(Annotations):
    def unify(
        self, formal: model.Type, actual: model.Type, bindings: model.Bindings, free: set[ast.TypeParameter]
    ) -> bool:
        """Bind the variables in `free` that occur in `formal`, so that it equals `actual`; False if it cannot.

        A number without a width binds nothing (another argument may give the width), and whatever is unknown fits.
        """
        if isinstance(actual, model.UnknownType | model.DontCareType):
            return True
        if isinstance(formal, model.UnknownType | model.DontCareType):
            return True
        if isinstance(formal, model.TypeVariable) and formal.declaration in free:
            bound = bindings.get(formal.declaration)
            if bound is None:
                if not isinstance(actual, model.InfIntType):
                    bindings[formal.declaration] = actual
                return True
            return self._agrees(bound, actual, bindings, free)
        if formal == actual:
            return True
        match formal, actual:
            case model.StructLikeType(declaration, arguments), model.StructLikeType(other, other_arguments):
                return declaration is other and self._unify_all(arguments, other_arguments, bindings, free)
            case model.TupleType(elements), model.TupleType(others):
                return self._unify_all(elements, others, bindings, free)
            case model.StructType() | model.HeaderType(), model.TupleType(others):
                return self._unify_all(tuple(f.type for f in self.fields(formal)), others, bindings, free)
            case model.StructType() | model.HeaderType(), model.AnonymousStructType(fields):
                by_name = {f.name: f.type for f in fields}
                return all(
                    f.name not in by_name or self.unify(f.type, by_name[f.name], bindings, free)
                    for f in self.fields(formal)
                )
            case model.ListType(element), model.ListType(other):
                return self.unify(element, other, bindings, free)
            case model.ListType(element), model.TupleType(others):
                return all(self.unify(element, other, bindings, free) for other in others)
            case model.SetType(element), model.SetType(other):
                return self.unify(element, other, bindings, free)
            case model.StackType(element, size), model.StackType(other, other_size):
                return size == other_size and self.unify(element, other, bindings, free)
            case model.StackType(element, size), model.TupleType(others):
                return size == len(others) and all(self.unify(element, other, bindings, free) for other in others)
            case model.ObjectType(), model.ObjectType():
                return self._unify_objects(formal, actual, bindings, free)
            case model.BitsType(), model.InfIntType():
                return True
            case (model.BitsType(), model.EnumType(_, underlying)) if underlying is not None:
                return formal == underlying
        return False

    def _agrees(
        self, bound: model.Type, actual: model.Type, bindings: model.Bindings, free: set[ast.TypeParameter]
    ) -> bool:
        """A second argument for a variable that is already bound."""
        if bound == actual or isinstance(bound, model.UnknownType):
            return True
        if isinstance(actual, model.InfIntType):
            return isinstance(bound, model.BitsType | model.InfIntType)
        return self.unify(bound, actual, bindings, free)

    def _unify_all(
        self,
        formals: tuple[model.Type, ...],
        actuals: tuple[model.Type, ...],
        bindings: model.Bindings,
        free: set[ast.TypeParameter],
    ) -> bool:
        return len(formals) == len(actuals) and all(
            self.unify(formal, actual, bindings, free) for formal, actual in zip(formals, actuals, strict=True)
        )

    def _unify_objects(
        self, formal: model.ObjectType, actual: model.ObjectType, bindings: model.Bindings, free: set[ast.TypeParameter]
    ) -> bool:
        if formal.declaration is actual.declaration:
            if not actual.arguments:
                return True  # its own type arguments are not known yet
            return self._unify_all(formal.arguments, actual.arguments, bindings, free)
        if not isinstance(formal.declaration, BLOCKS) or not isinstance(actual.declaration, BLOCKS):
            return False
        if isinstance(formal.declaration, _PARSERS) != isinstance(actual.declaration, _PARSERS):
            return False
        if isinstance(formal.declaration, ast.PackageTypeDeclaration) or isinstance(
            actual.declaration, ast.PackageTypeDeclaration
        ):
            return False
        return self._unify_parameters(formal, actual, bindings, free)

    def _unify_parameters(
        self, formal: model.ObjectType, actual: model.ObjectType, bindings: model.Bindings, free: set[ast.TypeParameter]
    ) -> bool:
        """Parsers and controls are of one type if their parameters agree one by one, names apart."""
        left, right = formal.declaration, actual.declaration
        assert isinstance(left, BLOCKS) and isinstance(right, BLOCKS)
        left_bindings = dict(zip(left.type_parameters, formal.arguments, strict=False))
        right_bindings: model.Bindings = dict(zip(right.type_parameters, actual.arguments, strict=False))
        if not actual.arguments:
            right_bindings = dict.fromkeys(right.type_parameters, model.DONT_CARE)
        for index in range(max(len(left.parameters), len(right.parameters))):
            if index >= len(left.parameters) or index >= len(right.parameters):
                longer = left if index < len(left.parameters) else right
                if not is_optional(longer.parameters[index]):
                    return False
                continue
            one, other = left.parameters[index], right.parameters[index]
            if one.direction is not other.direction:
                return False
            one_type = model.substitute(self.resolved_type_of.get(one, model.UNKNOWN), left_bindings)
            other_type = model.substitute(self.resolved_type_of.get(other, model.UNKNOWN), right_bindings)
            if not self.unify(one_type, other_type, bindings, free):
                return False
        return True

    def block_difference(
        self, formal: model.Type, actual: model.Type, bindings: model.Bindings, free: set[ast.TypeParameter]
    ) -> list[Note]:
        """What keeps a parser or control from having the type that is asked for: the first parameter that differs."""
        if not isinstance(formal, model.ObjectType) or not isinstance(actual, model.ObjectType):
            return []
        wanted, given = formal.declaration, actual.declaration
        if not isinstance(wanted, _BODIES) or not isinstance(given, _BODIES):
            return []
        if isinstance(wanted, _PARSERS) != isinstance(given, _PARSERS):
            return [Note(f"'{given.name.text}' is a {describe(given)}", given.name.span)]
        wanted_types = dict(zip(wanted.type_parameters, formal.arguments, strict=False))
        given_types = dict(zip(given.type_parameters, actual.arguments, strict=False))
        if not actual.arguments:
            given_types = dict.fromkeys(given.type_parameters, model.DONT_CARE)
        for one, other in zip(wanted.parameters, given.parameters, strict=False):
            declared = Note("needed here", one.span)
            name = other.name.text
            if one.direction is not other.direction:
                words = [f"'{d.value}'" if d.value else "without a direction" for d in (other.direction, one.direction)]
                return [Note(f"parameter '{name}' is {words[0]}, but must be {words[1]}", other.span), declared]
            needed = model.substitute(self.resolved_type_of.get(one, model.UNKNOWN), wanted_types)
            type_ = model.substitute(self.resolved_type_of.get(other, model.UNKNOWN), given_types)
            if not self.unify(needed, type_, bindings, free):
                needed = model.substitute(needed, bindings)
                message = f"parameter '{name}' has type '{type_}', but must have '{needed}'"
                return [Note(message, other.span), declared]
        numbers = f"{len(given.parameters)} parameter(s), but {len(wanted.parameters)} are needed"
        return [Note(f"'{given.name.text}' has {numbers}", given.name.span)]

    def same_block_type(self, source: model.Type, target: model.Type) -> bool:
        return (
            isinstance(source, model.ObjectType)
            and isinstance(target, model.ObjectType)
            and self._unify_objects(target, source, {}, set())
        )
