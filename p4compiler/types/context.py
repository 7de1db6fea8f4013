"""What every part of the checker shares: the result being filled, the scopes, the place in the program, and reporting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

from p4compiler.diagnostics import Diagnostics, Kind, Note, did_you_mean
from p4compiler.source import Span
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.checked import CheckedProgram, Value
from p4compiler.types.overloads import Overloads
from p4compiler.types.scope import FUNCTIONS, Scope, a_or_an, describe, first_of
from p4compiler.types.sizes import MAX_PARTS, TypeSizes


class Place(Enum):
    """Where in the program the checker is: what may stand there differs (specification, appendix F)."""

    TOP = "at the top level"
    PARSER = "among a parser's declarations"
    STATE = "in a parser state"
    CONTROL = "among a control's declarations"
    APPLY = "in a control's apply block"
    ACTION = "in an action"
    FUNCTION = "in a function"
    TABLE = "in a table"


class CheckContext:
    """The base of the checker's parts.

    Attributes:
        scope: the innermost scope; `top` is the outermost one.
        place: what the code at hand is part of.
        parser_depth: positive inside a parser, where `next` and `last` are allowed.
        is_prototype: parameters without a body are declared, whose names nobody else can see.
        is_measured: only the size of the expression's type is asked for, so that it is not evaluated.
        open_type: the name of the struct, header or header union whose fields are being checked.
        open_declarations: the functions, actions, parsers and controls whose bodies are being checked, outermost first.
        error_members, match_kind_members: name → where it was declared.
    """

    def __init__(self, program: ast.Program, diagnostics: Diagnostics) -> None:
        self.checked = CheckedProgram(program)
        self.diagnostics = diagnostics
        self.type_of = self.checked.type_of
        self.constant_of = self.checked.constant_of
        self.resolved_type_of = self.checked.resolved_type_of
        self.top = Scope()
        self.scope = self.top
        self.place = Place.TOP
        self.return_type: model.Type | None = None
        self.loop_depth = 0
        self.is_prototype = False
        self.is_measured = False
        self.open_type: str | None = None
        self.current_table: ast.Table | None = None
        self.error_members: dict[str, ast.Name] = {}
        self.match_kind_members: dict[str, ast.Name] = {}
        self.enum_members: dict[ast.EnumDeclaration, dict[str, ast.EnumMember]] = {}
        self.methods_of: dict[ast.ExternDeclaration, dict[str, Overloads]] = {}
        self.constructors_of: dict[ast.ExternDeclaration, Overloads] = {}
        self._actions_of: dict[ast.Table, dict[ast.Action, ast.ActionReference]] = {}
        self._field_index: dict[model.StructLikeType, dict[str, model.FieldType]] = {}
        self.used: set[ast.Declaration] = set()
        self.open_declarations: list[ast.Declaration] = []
        self._sizes = TypeSizes(self.fields)

    # -- the parts that need one another (each is defined in its own module)

    def expression(self, expression: ast.Expression) -> model.Type:
        """Find out, record and return the type of an expression."""
        raise NotImplementedError

    def coerce(self, expression: ast.Expression, target: model.Type, what: str = "value") -> bool:
        """Convert the (already typed) expression implicitly to `target`, or report that it cannot be."""
        raise NotImplementedError

    def check_annotations(self, annotations: Sequence[ast.Annotation]) -> None:
        """Check what is written in annotations."""
        raise NotImplementedError

    def is_compile_time(self, expression: ast.Expression) -> bool:
        """The value of the (typed) expression is known at compile time, or when constructors are evaluated."""
        raise NotImplementedError

    # -- reporting

    def error(self, kind: Kind, message: str, node: ast.Node | Span, notes: Iterable[Note] = ()) -> None:
        self.diagnostics.error(kind, message, node if isinstance(node, Span) else node.span, notes)

    def type_error(self, message: str, node: ast.Node | Span, notes: Iterable[Note] = ()) -> None:
        self.error(Kind.TYPE_ERROR, message, node, notes)

    def warning(self, kind: Kind, message: str, node: ast.Node, notes: Iterable[Note] = ()) -> None:
        self.diagnostics.warning(kind, message, node.span, notes)

    # -- names

    def declare(self, declaration: ast.Declaration) -> None:
        """Add a name to the innermost scope; a second one of that name there is an error, except for overloads."""
        name = declaration.name.text
        if declaration.annotations:
            self.check_annotations(declaration.annotations)
        if name == "_":
            return
        names = self.scope.names
        earlier = names.get(name)
        if earlier is None:
            names[name] = declaration
            if self.scope.outer is not None and not (self.is_prototype and isinstance(declaration, ast.Parameter)):
                self.warn_of_shadowing(declaration)
            return
        if isinstance(declaration, FUNCTIONS) and isinstance(earlier, (Overloads, *FUNCTIONS)):
            if isinstance(earlier, Overloads):
                overloads = earlier
            else:
                overloads = names[name] = Overloads()
                overloads.add(earlier, earlier.prototype)
            same = overloads.add(declaration, declaration.prototype)
            if same is not None:
                self.duplicate(declaration, same)
            return
        self.duplicate(declaration, first_of(earlier))

    def warn_of_shadowing(self, declaration: ast.Declaration) -> None:
        outer = self.scope.outer.find(declaration.name.text) if self.scope.outer else None
        if isinstance(outer, ast.Parameter) and not (
            isinstance(declaration, ast.Parameter) or self.place in (Place.PARSER, Place.CONTROL)
        ):
            self.error(
                Kind.SHADOW,
                f"'{declaration.name.text}' hides a parameter of that name",
                declaration.name,
                [Note("the parameter", outer.name.span)],
            )
        elif outer is not None:
            outer = first_of(outer)
            if isinstance(outer, _OVERLOADABLE) and isinstance(declaration, _OVERLOADING):
                return
            self.diagnostics.warning(
                Kind.SHADOW,
                f"'{declaration.name.text}' shadows {a_or_an(describe(outer))} of that name",
                declaration.name.span,
                [Note("which is declared here", outer.name.span)],
            )

    def duplicate(self, declaration: ast.Declaration | ast.Name, earlier: ast.Declaration | ast.Name) -> None:
        def name_of(node: ast.Declaration | ast.Name) -> ast.Name:
            return node if isinstance(node, ast.Name) else node.name

        name = name_of(declaration)
        notes = [Note("the first one is here", name_of(earlier).span)]
        self.error(Kind.DUPLICATE, f"'{name.text}' is declared twice", name, notes)

    def field_notes(self, struct: model.StructLikeType, name: str) -> list[Note]:
        """What to say where a type has no field of that name: which one is like it, where the type is declared."""
        notes = list(did_you_mean(name, [field.name for field in self.fields(struct)]))
        declaration = struct.declaration
        return [*notes, Note(f"the {describe(declaration)} is declared here", declaration.name.span)]

    def not_found(self, what: str, name: str, span: Span, known: Iterable[str]) -> None:
        below = next((d for d in self.checked.program.declarations if d.name.text == name), None)
        if below is not None:
            notes: tuple[Note, ...] = (
                Note("it is declared only here, and must be before it is used", below.name.span),
            )
        else:
            notes = did_you_mean(name, known)
        self.diagnostics.error(Kind.NOT_FOUND, f"{what} '{name}' is not declared", span, notes)

    # -- types

    def fields(self, struct: model.StructLikeType) -> tuple[model.FieldType, ...]:
        """The fields of a struct, header or header union, type arguments put in."""
        found = self.checked.fields_of.get(struct)
        if found is None:
            declaration = struct.declaration
            assert isinstance(declaration, ast.StructDeclaration | ast.HeaderDeclaration | ast.HeaderUnionDeclaration)
            bindings = dict(zip(declaration.type_parameters, struct.arguments, strict=False))
            found = tuple(
                model.FieldType(f.name.text, model.substitute(self.resolved_type_of.get(f, model.UNKNOWN), bindings), f)
                for f in declaration.fields
            )
            self.checked.fields_of[struct] = found
        return found

    def bounded(self, type_: model.Type, node: ast.Node) -> model.Type:
        """The type, or UNKNOWN and an error if its values would have too many parts."""
        if self._sizes.parts(type_) <= MAX_PARTS:
            return type_
        self.error(Kind.OVERLIMIT, f"a value of this type would have more than {MAX_PARTS} parts", node)
        return model.UNKNOWN

    def field(self, struct: model.StructLikeType, name: str) -> model.FieldType | None:
        index = self._field_index.get(struct)
        if index is None:
            index = self._field_index[struct] = {field.name: field for field in self.fields(struct)}
        return index.get(name)

    def has_unknown(self, type_: model.Type) -> bool:
        """Something in the type was already reported as wrong."""
        match type_:
            case model.UnknownType():
                return True
            case model.StructLikeType(_, arguments) | model.ObjectType(_, arguments) | model.TupleType(arguments):
                return any(self.has_unknown(a) for a in arguments)
            case model.StackType(element, _) | model.ListType(element) | model.SetType(element):
                return self.has_unknown(element)
            case model.AnonymousStructType(fields):
                return any(self.has_unknown(f.type) for f in fields)
        return False

    def constant(self, expression: ast.Expression) -> Value | None:
        """The compile-time value of a typed expression, or None."""
        return self.constant_of.get(expression)


_OVERLOADABLE = (*FUNCTIONS, ast.ExternDeclaration)
_OVERLOADING = (*FUNCTIONS, ast.Control, ast.Parser, ast.PackageTypeDeclaration)
"""These may share a name with one of the others."""
