"""What checking finds out: the program with its types, resolved names, calls and constants.

This is the whole interface between the front end and `p4compiler.lowering`. All maps are keyed by AST node (identity).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from p4compiler.syntax import ast
from p4compiler.types import model

Value = int | bool | str | tuple["Value", ...] | dict[str, "Value"]
"""A compile-time value: number, bool, string or the name of an error/enum member, tuple/list, struct."""


class CallKind(Enum):
    FUNCTION = "function"
    ACTION = "action"
    EXTERN_FUNCTION = "extern function"
    EXTERN_METHOD = "extern method"
    PARSER_APPLY = "parser apply"
    CONTROL_APPLY = "control apply"
    TABLE_APPLY = "table apply"
    BUILTIN_METHOD = "built-in method"
    """isValid, setValid, setInvalid, push_front, pop_front, minSizeInBits, minSizeInBytes, maxSizeInBits, maxSizeInBytes"""
    CONSTRUCTOR = "constructor"
    CALLEE_UNKNOWN = "unknown"


@dataclass(slots=True)
class ResolvedCall:
    """A call with its target.

    Attributes:
        target: the declaration that is called: Function, Action, ExternFunction, FunctionPrototype of an extern's
            method (`owner` is the extern), Parser, Control, Table, or the type constructed. None for a built-in method.
        type_arguments: given or inferred, one for each type parameter of the target (not of its owner).
        arguments: one for each parameter of the target, in its order; None where an optional or defaulted one is
            left out (the default's expression is then `parameters[i].default`), and for `_`.
        parameter_types: resolved types of the parameters, type arguments substituted, in the same order.
    """

    kind: CallKind
    target: ast.Declaration | None
    owner: ast.ExternDeclaration | None
    method: str
    type_arguments: tuple[model.Type, ...]
    parameters: tuple[ast.Parameter, ...]
    parameter_types: tuple[model.Type, ...]
    arguments: tuple[ast.Expression | None, ...]
    return_type: model.Type


@dataclass(slots=True)
class CheckedProgram:
    """The result of `p4compiler.types.check`.

    Attributes:
        type_of: of every expression, after inference (an `int` literal that took a width from its context has that
            width's type; a list or structure expression has the type that its context asks for).
        cast_of: expressions to be converted implicitly to another type where they stand (serializable enum to its
            underlying type, list to struct where it matters).
        constant_of: expressions with a compile-time value (literals are in it too).
        declaration_of: what a PathExpression or NamedTypeRef refers to.
        resolved_type_of: the type of every TypeRef, Parameter, Variable, Constant, Field, Instantiation and ValueSet (an
            instantiation's with its type arguments, inferred ones too; a value set's is a SetType).
        call_of: of every Call and DirectApplication, and for an Instantiation its constructor call.
        enum_value_of: the number of each serializable enum's member (its underlying type's width applied).
        loop_variable_of: the variable that a for-in loop declares, made for it (paths in its body refer to it).
        errors, match_kinds: all members in order of declaration.
        fields_of: `model.StructLikeType` → its fields with type arguments substituted.
        main: the package instantiated as `main`, if there is one.
    """

    program: ast.Program
    type_of: dict[ast.Expression, model.Type] = field(default_factory=dict)
    cast_of: dict[ast.Expression, model.Type] = field(default_factory=dict)
    constant_of: dict[ast.Expression, Value] = field(default_factory=dict)
    declaration_of: dict[ast.Node, ast.Declaration] = field(default_factory=dict)
    resolved_type_of: dict[ast.Node, model.Type] = field(default_factory=dict)
    call_of: dict[ast.Node, ResolvedCall] = field(default_factory=dict)
    fields_of: dict[model.StructLikeType, tuple[model.FieldType, ...]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    match_kinds: list[str] = field(default_factory=list)
    loop_variable_of: dict[ast.ForIn, ast.Variable] = field(default_factory=dict)
    enum_value_of: dict[ast.EnumMember, int] = field(default_factory=dict)
    main: ast.Instantiation | None = None
