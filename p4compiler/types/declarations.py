"""Checking of declarations: types, functions, externs, parsers, controls, instances (specification, sections 7, 10, 11)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from p4compiler.diagnostics import Kind, Note
from p4compiler.syntax import ast
from p4compiler.types import constants, model
from p4compiler.types.context import Place
from p4compiler.types.control_plane_names import check_control_plane_names
from p4compiler.types.overloads import Overloads, is_optional
from p4compiler.types.parsers import Parsers
from p4compiler.types.resolve import STRUCT_LIKE, field_problem
from p4compiler.types.scope import TYPE_DECLARATIONS, Scope, a_or_an, describe, first_of


class Declarations(Parsers):
    def declaration(self, declaration: ast.Declaration) -> None:
        _CHECKERS[declaration.__class__](self, declaration)

    def finish(self) -> None:
        """What can only be said at the end of the program."""
        main = self.top.names.get("main")
        if isinstance(main, (*TYPE_DECLARATIONS, ast.Constant)):
            self.error(Kind.INVALID, "'main' must be an instance of a package", main.name)
        no_action = self.top.names.get("NoAction")
        if no_action is not None and not (isinstance(no_action, ast.Action) and not no_action.parameters):
            first = first_of(no_action)
            self.error(
                Kind.UNSUPPORTED_ON_TARGET, "'NoAction' must be an action without parameters, as in core.p4", first.name
            )
        for table in self.tables_without_default:
            if no_action is None:
                self.error(
                    Kind.UNSUPPORTED_ON_TARGET,
                    f"table '{table.name.text}' needs action 'NoAction' as its default; is core.p4 included?",
                    table.name,
                )
        check_control_plane_names(self.checked, self.diagnostics)

    # -- types

    def type_parameters(self, parameters: Sequence[ast.TypeParameter]) -> None:
        for parameter in parameters:
            self.declare(parameter)

    def struct_like(
        self, declaration: ast.StructDeclaration | ast.HeaderDeclaration | ast.HeaderUnionDeclaration
    ) -> None:
        self.scope = scope = Scope(self.scope)
        self.type_parameters(declaration.type_parameters)
        variables = tuple(model.TypeVariable(p) for p in declaration.type_parameters)
        type_ = STRUCT_LIKE[type(declaration)](declaration, variables)
        self.open_type = declaration.name.text
        seen: dict[str, ast.Field] = {}
        for field in declaration.fields:
            field_type = self.resolve(field.type)
            problem = field_problem(type_, field_type) or self.struct_in_header_problem(type_, field_type)
            if problem is None and self.mentions_dont_care(field_type):
                problem = "'_' cannot be a part of a field's type"
            if problem is not None:
                self.type_error(f"field '{field.name.text}': {problem}", field.type)
                field_type = model.UNKNOWN
            if field.annotations:
                self.check_annotations(field.annotations)
                self.check_length(field.annotations, seen)
            if field.name.text in seen:
                self.duplicate(field, seen[field.name.text])
            seen.setdefault(field.name.text, field)
            self.resolved_type_of[field] = field_type
        self.open_type = None
        assert scope.outer is not None
        self.scope = scope.outer
        self.resolved_type_of[declaration] = self.bounded(type_, declaration.name)
        self.declare(declaration)

    def typedef(self, declaration: ast.Typedef) -> None:
        type_ = self.resolve(declaration.type)
        if self.mentions_dont_care(type_):
            self.type_error("'_' cannot be a part of a declared type", declaration.type)
            type_ = model.UNKNOWN
        elif isinstance(type_, model.VoidType):
            self.type_error("'void' is not a type of values", declaration.type)
        if declaration.distinct and not isinstance(type_, model.UnknownType):
            if not isinstance(
                type_,
                model.BitsType | model.BoolType | model.NewType | model.EnumType | model.StringType | model.ErrorType,
            ) or (isinstance(type_, model.EnumType) and type_.underlying is None):
                self.type_error(f"'type' cannot be applied to '{type_}'", declaration.type)
                type_ = model.UNKNOWN
            else:
                type_ = model.NewType(declaration, type_)
        self.resolved_type_of[declaration] = type_
        self.declare(declaration)

    def enum(self, declaration: ast.EnumDeclaration) -> None:
        underlying: model.Type | None = None
        if declaration.underlying is not None:
            underlying = self.resolve(declaration.underlying)
            if not isinstance(underlying, model.BitsType | model.UnknownType):
                self.type_error(f"an enum's type must be bit<W> or int<W>, not '{underlying}'", declaration.underlying)
                underlying = model.UNKNOWN
        type_ = model.EnumType(declaration, underlying)
        self.resolved_type_of[declaration] = type_
        members: dict[str, ast.EnumMember] = {}
        self.enum_members[declaration] = members
        for member in declaration.members:
            if member.name.text in members:
                self.duplicate(member, members[member.name.text])
            members.setdefault(member.name.text, member)
        self.declare(declaration)
        self.open_enum = type_
        for member in declaration.members:
            if member.value is not None and underlying is not None:
                self._member_value(member, underlying)
        self.open_enum = None

    def _member_value(self, member: ast.EnumMember, underlying: model.Type) -> None:
        assert member.value is not None
        type_ = self.expression(member.value)
        if isinstance(type_, model.UnknownType) or isinstance(underlying, model.UnknownType):
            return
        written = self.number_of(member.value)
        if not self.coerce(member.value, underlying, "member's value"):
            return
        value = self.number_of(member.value)
        if value is None:
            self.type_error("a member's value must be a compile-time constant", member.value)
            return
        wrapped = constants.wrap(value, underlying)
        if written is not None and written != constants.wrap(written, underlying):
            self.type_error(f"value {written} does not fit in '{underlying}', the enum's type", member.value)
        self.checked.enum_value_of[member] = wrapped

    def error_declaration(self, declaration: ast.ErrorDeclaration) -> None:
        self._members(declaration.members, self.error_members, self.checked.errors)

    def match_kind_declaration(self, declaration: ast.MatchKindDeclaration) -> None:
        self._members(declaration.members, self.match_kind_members, self.checked.match_kinds)

    def _members(self, names: Sequence[ast.Name], known: dict[str, ast.Name], listed: list[str]) -> None:
        for name in names:
            if name.text in known:
                self.duplicate(name, known[name.text])
                continue
            known[name.text] = name
            listed.append(name.text)

    # -- parameters

    def parameters(self, parameters: Sequence[ast.Parameter], owner: str, constructor: bool = False) -> None:
        """Resolve and declare parameters. `owner` says what has them: 'action', 'parser', …"""
        undirected: ast.Parameter | None = None
        self.is_prototype = owner in _WITHOUT_BODY
        for parameter in parameters:
            type_ = self.resolve(parameter.type)
            self._parameter_type(parameter, type_, owner, constructor)
            if parameter.default is not None:
                self._default_value(parameter, type_)
            if owner == "action":
                if parameter.direction is ast.Direction.NONE:
                    undirected = undirected or parameter
                elif undirected is not None:
                    notes = [Note("which is here", undirected.span)]
                    self.type_error("a parameter with a direction cannot follow one without", parameter, notes)
            self.resolved_type_of[parameter] = type_
            self.declare(parameter)
        self.is_prototype = False

    def _parameter_type(self, parameter: ast.Parameter, type_: model.Type, owner: str, constructor: bool) -> None:
        if isinstance(type_, model.VoidType | model.SetType) or (
            self.mentions_dont_care(type_) and not isinstance(type_, model.ObjectType)
        ):
            self.type_error(f"a parameter cannot have type '{type_}'", parameter.type)
            self.resolved_type_of[parameter] = model.UNKNOWN
            return
        directed = parameter.direction is not ast.Direction.NONE
        if constructor and directed:
            self.error(Kind.INVALID, "a constructor's parameter has no direction", parameter)
        if isinstance(type_, model.StringType | model.InfIntType | model.ObjectType):
            if directed:
                self.type_error(f"a parameter of type '{type_}' has no direction", parameter)
            elif owner == "action":
                self.type_error(f"an action cannot have a parameter of type '{type_}'", parameter.type)
        if any(a.name == "optional" for a in parameter.annotations) and (
            owner == "function" or (constructor and owner in ("parser", "control"))
        ):
            self.error(Kind.INVALID, f"a {owner} cannot have optional parameters", parameter)
        if (
            isinstance(type_, model.ObjectType)
            and not isinstance(type_.declaration, ast.ExternDeclaration)
            and (not constructor or owner == "constructor")
        ):
            self.type_error(f"a parameter cannot have type '{type_}'", parameter.type)
        elif isinstance(type_, model.ObjectType) and isinstance(type_.declaration, ast.Parser | ast.Control):
            self.type_error(f"a parameter cannot have type '{type_}': it has a body", parameter.type)

    def _default_value(self, parameter: ast.Parameter, type_: model.Type) -> None:
        assert parameter.default is not None
        if parameter.direction in (ast.Direction.OUT, ast.Direction.INOUT):
            self.error(Kind.INVALID, "an out parameter cannot have a default value", parameter)
        self.expression(parameter.default)
        if not self.is_compile_time(parameter.default):
            self.type_error("a default value must be a compile-time constant", parameter.default)
            return
        if isinstance(type_, model.ObjectType):
            # What is generic in the parameter's type is settled by the default.
            free = {v.declaration for v in type_.arguments if isinstance(v, model.TypeVariable)}
            if self.unify(type_, self.type_of[parameter.default], {}, free):
                return
        self.coerce(parameter.default, type_, "default value")

    # -- functions

    def prototype(self, prototype: ast.FunctionPrototype, owner: str) -> None:
        """Resolve a signature; its names go into the innermost scope."""
        self.type_parameters(prototype.type_parameters)
        return_type = self.resolve(prototype.return_type)
        if self.mentions_dont_care(return_type):
            self.type_error("'_' cannot be a return type", prototype.return_type)
        elif (
            isinstance(return_type, model.ObjectType) and not isinstance(return_type.declaration, ast.ExternDeclaration)
        ) or (owner == "function" and isinstance(return_type, model.ObjectType | model.SetType)):
            self.type_error(f"a value of type '{return_type}' cannot be returned", prototype.return_type)
        elif owner == "method" and prototype.is_abstract and isinstance(return_type, model.InfIntType):
            self.type_error("an abstract method cannot return 'int'", prototype.return_type)
        self.parameters(prototype.parameters, owner)

    def extern_function(self, declaration: ast.ExternFunction) -> None:
        self.scope = scope = Scope(self.scope)
        self.prototype(declaration.prototype, "extern function")
        assert scope.outer is not None
        self.scope = scope.outer
        self.declare(declaration)

    def function(self, declaration: ast.Function) -> None:
        self.scope = scope = Scope(self.scope)
        self.prototype(declaration.prototype, "function")
        assert scope.outer is not None
        self.scope = scope.outer
        self.declare(declaration)
        self._warn_of_own_name(declaration, declaration.prototype.parameters)
        self.scope = scope
        self.open_declarations.append(declaration)
        self.function_body(declaration)
        self.open_declarations.pop()
        self.scope = scope.outer

    def _warn_of_own_name(self, declaration: ast.Declaration, parameters: Sequence[ast.Parameter]) -> None:
        """A parameter with the name of what has it, which is declared after its parameters."""
        for parameter in parameters:
            if parameter.name.text == declaration.name.text:
                what = f"{a_or_an(describe(declaration))} of that name"
                notes = [Note("which is declared here", declaration.name.span)]
                self.warning(Kind.SHADOW, f"'{parameter.name.text}' shadows {what}", parameter.name, notes)

    def function_body(self, declaration: ast.Function) -> None:
        """The body, in the scope of the parameters."""
        return_type = self.resolved_type_of.get(declaration.prototype.return_type, model.UNKNOWN)
        state = (self.place, self.return_type, self.loop_depth)
        self.place, self.return_type, self.loop_depth = Place.FUNCTION, return_type, 0
        self.block(declaration.body)
        self.place, self.return_type, self.loop_depth = state
        if not isinstance(return_type, model.VoidType | model.UnknownType) and not always_returns(declaration.body):
            message = f"function '{declaration.name.text}' does not return a value on every path"
            self.error(Kind.INSUFFICIENT, message, declaration.name)

    def action(self, declaration: ast.Action) -> None:
        outer = self.scope
        self.scope = Scope(outer)
        self.parameters(declaration.parameters, "action")
        inner = self.scope
        self.scope = outer
        self.declare(declaration)
        self.scope = inner
        state = (self.place, self.return_type, self.loop_depth)
        self.place, self.return_type, self.loop_depth = Place.ACTION, None, 0
        self.open_declarations.append(declaration)
        self.block(declaration.body)
        self.open_declarations.pop()
        self.place, self.return_type, self.loop_depth = state
        self.scope = outer

    # -- externs, packages, types of parsers and controls

    def extern(self, declaration: ast.ExternDeclaration) -> None:
        self.declare(declaration)
        self.scope = scope = Scope(self.scope)
        self.type_parameters(declaration.type_parameters)
        arguments = tuple(model.TypeVariable(p) for p in declaration.type_parameters)
        self.resolved_type_of[declaration] = model.ObjectType(declaration, arguments)
        for constructor in declaration.constructors:
            self.scope = Scope(scope)
            self.parameters(constructor.parameters, "constructor", constructor=True)
            self.resolved_type_of[constructor.return_type] = model.ObjectType(declaration, arguments)
            self.scope = scope
        for method in declaration.methods:
            for parameter in method.parameters:
                if isinstance(parameter.type, ast.NamedTypeRef) and parameter.type.name == declaration.name.text:
                    self.error(Kind.UNSUPPORTED, f"'{declaration.name.text}' is used in itself", parameter.type)
            if method.name.text == declaration.name.text:
                self.error(Kind.INVALID, f"method '{method.name.text}' has its extern's name", method.name)
            self.scope = Scope(scope)
            self.prototype(method, "method")
            self.scope = scope
        constructors = self.constructors_of[declaration] = Overloads()
        methods = self.methods_of[declaration] = {}
        for constructor in declaration.constructors:
            self._overload(constructor, constructors)
        for method in declaration.methods:
            self._overload(method, methods.setdefault(method.name.text, Overloads()))
        assert scope.outer is not None
        self.scope = scope.outer

    def _overload(self, prototype: ast.FunctionPrototype, overloads: Overloads) -> None:
        """No two of one name may take the same parameters."""
        earlier = overloads.add(prototype, prototype)
        if earlier is not None:
            self.duplicate(prototype, earlier)

    def block_type(
        self, declaration: ast.ParserTypeDeclaration | ast.ControlTypeDeclaration | ast.PackageTypeDeclaration
    ) -> None:
        self.declare(declaration)
        self.scope = scope = Scope(self.scope)
        self.type_parameters(declaration.type_parameters)
        is_package = isinstance(declaration, ast.PackageTypeDeclaration)
        self.parameters(declaration.parameters, "package" if is_package else "type", constructor=is_package)
        assert scope.outer is not None
        self.scope = scope.outer

    # -- parsers and controls

    def parser(self, declaration: ast.Parser) -> None:
        outer = self._open_block(declaration, "parser")
        self.place = Place.PARSER
        for local in declaration.locals:
            if isinstance(local, ast.ValueSet):
                self.value_set(local)
            else:
                self.local(local)
        self.parser_states(declaration)
        self._close_block(outer)

    def control(self, declaration: ast.Control) -> None:
        outer = self._open_block(declaration, "control")
        self.place = Place.CONTROL
        for local in declaration.locals:
            if self.diagnostics.full:
                break
            self.local(local)
        self.place, self.return_type = Place.APPLY, None
        self.block(declaration.body)
        self._close_block(outer)

    def _open_block(self, declaration: ast.Parser | ast.Control, word: str) -> Scope:
        outer = self.scope
        self.scope = Scope(outer)
        self.type_parameters(declaration.type_parameters)
        self.parameters(declaration.parameters, word)
        self.parameters(declaration.constructor_parameters, word, constructor=True)
        inner = self.scope
        self.scope = outer
        self.declare(declaration)
        self._warn_of_own_name(declaration, declaration.parameters)
        self.scope = Scope(inner)
        self.open_declarations.append(declaration)
        return outer

    def _close_block(self, outer: Scope) -> None:
        self.open_declarations.pop()
        self.scope = outer
        self.place = Place.TOP

    def local(self, local: ast.Declaration) -> None:
        match local:
            case ast.Action():
                self.action(local)
            case ast.Table():
                self.table(local)
            case ast.Instantiation():
                self.instantiation(local)
            case ast.Variable():
                self.variable(local)
            case ast.Constant():
                self.constant_declaration(local)
            case _:
                self.error(Kind.INVALID, f"this cannot be declared {self.place.value}", local)

    # -- instances

    def instantiation(self, instantiation: ast.Instantiation) -> None:
        reference = instantiation.type
        array: ast.StackTypeRef | None = None
        if isinstance(reference, ast.StackTypeRef):
            array = reference
            reference = reference.element
        type_ = self.construct(instantiation, reference, instantiation.arguments, reference)
        if array is not None:
            type_ = self._array_of_instances(array, type_)
        self.resolved_type_of[instantiation] = type_
        self.resolved_type_of[instantiation.type] = type_
        if isinstance(type_, model.ObjectType):
            self._instance_place(instantiation, type_)
            self._abstract_methods(instantiation, type_)
        self.declare(instantiation)
        if instantiation.name.text == "main" and self.place is Place.TOP:
            if isinstance(type_, model.ObjectType) and isinstance(type_.declaration, ast.PackageTypeDeclaration):
                self.checked.main = instantiation
            elif not isinstance(type_, model.UnknownType):
                self.error(Kind.EXPECTED, "'main' must be an instance of a package", instantiation.name)

    def _array_of_instances(self, array: ast.StackTypeRef, element: model.Type) -> model.Type:
        """`E(…)[n] name;`: an array of externs, an extension that p4c has too."""
        self.expression(array.size)
        size = self.number_of(array.size)
        if isinstance(element, model.UnknownType):
            return element
        if not isinstance(element, model.ObjectType) or not isinstance(element.declaration, ast.ExternDeclaration):
            self.type_error(f"there can be no array of '{element}'", array)
        elif size is None or size <= 0:
            self.type_error("the size of an array must be a positive constant", array.size)
        else:
            return model.StackType(element, size)
        return model.UNKNOWN

    def _instance_place(self, instantiation: ast.Instantiation, type_: model.ObjectType) -> None:
        declaration = type_.declaration
        is_block = isinstance(declaration, ast.Parser | ast.Control)
        if self.place is Place.TOP and is_block:
            self.error(Kind.INVALID, f"'{type_}' cannot be instantiated at the top level", instantiation)
        elif self.place is not Place.TOP and isinstance(declaration, ast.PackageTypeDeclaration):
            self.error(Kind.INVALID, "a package can only be instantiated at the top level", instantiation)
        elif self.place is Place.PARSER and isinstance(declaration, ast.Control):
            self.error(Kind.INVALID, "a control cannot be instantiated in a parser", instantiation)
        elif self.place is Place.CONTROL and isinstance(declaration, ast.Parser):
            self.error(Kind.INVALID, "a parser cannot be instantiated in a control", instantiation)

    def _abstract_methods(self, instantiation: ast.Instantiation, type_: model.ObjectType) -> None:
        """The body of an instance must give every abstract method of its extern, and nothing else."""
        extern = type_.declaration
        abstract = (
            {method.name.text: method for method in extern.methods if method.is_abstract}
            if isinstance(extern, ast.ExternDeclaration)
            else {}
        )
        body = instantiation.body
        if body is None:
            required = [m for m in abstract.values() if not any(a.name == "optional" for a in m.annotations)]
            if required:
                notes = [Note("the abstract method", required[0].span)]
                self.type_error(f"an instance of '{type_}' must define its abstract methods", instantiation, notes)
            return
        if not abstract:
            self.type_error(f"an instance of '{type_}' cannot have a body: nothing in it is abstract", instantiation)
            return
        outer, outer_this = self.scope, self.this_type
        self.scope = Scope(outer)
        self.this_type = type_
        given: dict[str, ast.Function] = {}
        for item in body:
            if isinstance(item, ast.Instantiation):
                self.instantiation(item)
            elif isinstance(item, ast.Function):
                if item.name.text in given:
                    self.duplicate(item, given[item.name.text])
                given.setdefault(item.name.text, item)
                self._implementation(item, abstract, type_)
        self.scope, self.this_type = outer, outer_this
        for name, method in abstract.items():
            if name not in given and not any(a.name == "optional" for a in method.annotations):
                notes = [Note("the abstract method", method.span)]
                self.type_error(f"abstract method '{name}' is not defined", instantiation, notes)

    def _implementation(
        self, function: ast.Function, abstract: dict[str, ast.FunctionPrototype], type_: model.ObjectType
    ) -> None:
        extern = type_.declaration
        assert isinstance(extern, ast.ExternDeclaration)
        if function.prototype.type_parameters:
            self.type_error("the implementation of an abstract method cannot be generic", function.name)
        outer = self.scope
        self.scope = Scope(outer)
        self.prototype(function.prototype, "function")
        method = abstract.get(function.name.text)
        if method is None:
            self.type_error(f"'{type_}' has no abstract method '{function.name.text}'", function.name)
        else:
            bindings = dict(zip(extern.type_parameters, type_.arguments, strict=False))
            self._same_signature(function, method, bindings)
        self.function_body(function)
        self.scope = outer

    def _same_signature(self, function: ast.Function, method: ast.FunctionPrototype, bindings: model.Bindings) -> None:
        notes = [Note("the abstract method", method.span)]
        mine, wanted = function.prototype.parameters, method.parameters
        missing = wanted[len(mine) :]
        if len(mine) > len(wanted) or any(not is_optional(parameter) for parameter in missing):
            self.type_error(f"{len(wanted)} parameter(s) are needed, not {len(mine)}", function.name, notes)
            return
        for one, other in zip(mine, wanted, strict=False):
            type_ = self.resolved_type_of.get(one, model.UNKNOWN)
            needed = model.substitute(self.resolved_type_of.get(other, model.UNKNOWN), bindings)
            if one.direction is not other.direction:
                self.type_error(
                    f"parameter '{one.name.text}' has another direction than the abstract method's", one, notes
                )
            elif not self.unify(needed, type_, {}, set()):
                self.type_error(f"parameter '{one.name.text}' has type '{type_}', but must have '{needed}'", one, notes)
        returned = self.resolved_type_of.get(function.prototype.return_type, model.UNKNOWN)
        needed = model.substitute(self.resolved_type_of.get(method.return_type, model.UNKNOWN), bindings)
        if not self.unify(needed, returned, {}, set()):
            self.type_error(f"'{needed}' must be returned, not '{returned}'", function.prototype.return_type, notes)


def always_returns(statement: ast.Statement | ast.Declaration) -> bool:
    """Every path through the statement ends in a return (or exit)."""
    match statement:
        case ast.Return() | ast.Exit():
            return True
        case ast.Block():
            return any(always_returns(item) for item in statement.body)
        case ast.If():
            current: ast.Statement | None = statement
            while isinstance(current, ast.If):
                if not always_returns(current.then):
                    return False
                current = current.otherwise
            return current is not None and always_returns(current)
        case ast.Switch():
            if not any(isinstance(case.label, ast.DefaultLiteral) for case in statement.cases):
                return False
            return all(case.body is None or always_returns(case.body) for case in statement.cases)
    return False


_WITHOUT_BODY = ("type", "package", "constructor", "method", "extern function")
_CHECKERS: dict[type[ast.Declaration], Callable[[Any, Any], None]] = {
    ast.Constant: Declarations.constant_declaration,
    ast.StructDeclaration: Declarations.struct_like,
    ast.HeaderDeclaration: Declarations.struct_like,
    ast.HeaderUnionDeclaration: Declarations.struct_like,
    ast.Typedef: Declarations.typedef,
    ast.EnumDeclaration: Declarations.enum,
    ast.ErrorDeclaration: Declarations.error_declaration,
    ast.MatchKindDeclaration: Declarations.match_kind_declaration,
    ast.ExternFunction: Declarations.extern_function,
    ast.Function: Declarations.function,
    ast.Action: Declarations.action,
    ast.ExternDeclaration: Declarations.extern,
    ast.ParserTypeDeclaration: Declarations.block_type,
    ast.ControlTypeDeclaration: Declarations.block_type,
    ast.PackageTypeDeclaration: Declarations.block_type,
    ast.Parser: Declarations.parser,
    ast.Control: Declarations.control,
    ast.Instantiation: Declarations.instantiation,
}
