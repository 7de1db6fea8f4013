"""Instances of controls and externs: construction, application, what they declare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from p4compiler.diagnostics import Kind
from p4compiler.ir import expressions as ex
from p4compiler.ir import objects as ob
from p4compiler.ir.annotations import Annotation
from p4compiler.ir.data_types import DataType, NewTypeData
from p4compiler.ir.statements import HashAlgorithm
from p4compiler.lowering import values as v
from p4compiler.lowering.annotations import external_name, lower_annotations
from p4compiler.lowering.calls import CopyOut
from p4compiler.lowering.errors import Abandoned
from p4compiler.lowering.instances import (
    ControlInstance,
    ExternInstance,
    Instance,
    ParserInstance,
    TableInstance,
    child_name,
)
from p4compiler.lowering.scope import Scope
from p4compiler.lowering.tables import TableLowering
from p4compiler.source import Span
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.checked import ResolvedCall

_SIZE_BITS = 31


class ControlLowering(TableLowering):
    # -- the top level

    def global_value(self, declaration: ast.Node) -> v.Value | None:
        known = self.session.globals.get(declaration)
        if known is not None:
            return known
        match declaration:
            case ast.Constant(value=value):
                with self.within(Scope("global")):
                    known = self.value_as(value, self.resolved(declaration))
            case ast.Instantiation():
                with self.within(Scope("global")):
                    known = v.InstanceValue(self.construct(declaration, "", self.session.instances))
            case _:
                return None
        self.session.globals[declaration] = known
        return known

    # -- construction

    def construct(self, declaration: ast.Instantiation, prefix: str, objects: dict[ast.Node, Instance]) -> Instance:
        """What an instantiation makes; it is kept in `objects`."""
        name = child_name(prefix, external_name(declaration))
        call = self.checked.call_of[declaration]
        instance = self._construct(
            call, name, declaration.annotations, declaration.name.span, self.resolved(declaration)
        )
        objects[declaration] = instance
        return instance

    def construct_anonymous(self, call: ResolvedCall, span: Span) -> v.Value:
        """A constructor call as an argument."""
        target = call.target
        name = target.name.text if target is not None else "anonymous"
        type_ = model.substitute(call.return_type, self.scope.types)
        return v.InstanceValue(self._construct(call, child_name(self._prefix(), name), (), span, type_))

    def _prefix(self) -> str:
        return self.control.name if self.control is not None else ""

    def construct_property(
        self, instance: TableInstance, call: ast.Call, name: str, annotations: tuple[ast.Annotation, ...]
    ) -> ExternInstance:
        resolved = self.checked.call_of[call]
        type_ = model.substitute(resolved.return_type, self.scope.types)
        made = self._construct(resolved, name.removeprefix("."), annotations, call.span, type_)
        if not isinstance(made, ExternInstance):
            raise self.session.refused("an extern object is needed here", call.span, Kind.UNEXPECTED)
        if isinstance(made.object, ob.ActionProfile):
            instance.profile = made.object
        if isinstance(made.object, ob.DirectCounter):
            instance.constructed_counter = made.object
        return made

    def _construct(
        self,
        call: ResolvedCall,
        name: str,
        annotations: Sequence[ast.Annotation],
        span: Span,
        type_: model.Type,
    ) -> Instance:
        target = call.target
        arguments = type_.arguments if isinstance(type_, model.ObjectType) else ()
        if isinstance(target, ast.Control | ast.Parser):
            scope = Scope(name)
            scope.types.update(zip(target.type_parameters, arguments, strict=False))
            self.bind(call.parameters, call.parameter_types, call.arguments, scope, share=True, span=span)
            if isinstance(target, ast.Control):
                return ControlInstance(name, target, scope, _own_actions(target))
            return ParserInstance(name, target, scope)
        extern = target if isinstance(target, ast.ExternDeclaration) else call.owner
        if extern is None:
            raise self.session.refused("this cannot be instantiated", span, Kind.UNSUPPORTED)
        made = self._extern_object(extern.name.text, call, name, source=tuple(annotations), span=span, types=arguments)
        return ExternInstance(name, extern, arguments, made)

    def _extern_object(
        self,
        kind: str,
        call: ResolvedCall,
        name: str,
        *,
        source: tuple[ast.Annotation, ...],
        span: Span,
        types: tuple[model.Type, ...],
    ) -> ob.ControlPlaneObject | None:
        annotations: tuple[Annotation, ...] = lower_annotations(source)
        hidden = any(annotation.name == "hidden" for annotation in annotations)
        match kind:
            case "register":
                data_type = self.types.data_type(types[0])
                size = self._size(call, 0)
                return ob.Register(span, name, annotations, hidden, size, data_type, self._index_type(types[1:]))
            case "counter":
                unit = ob.CounterUnit(self._enum_member(call, 1))
                size = self._size(call, 0)
                return ob.Counter(span, name, annotations, hidden, size, unit, self._index_type(types))
            case "direct_counter":
                return ob.DirectCounter(span, name, annotations, hidden, ob.CounterUnit(self._enum_member(call, 0)))
            case "meter":
                meter_unit = ob.MeterUnit(self._enum_member(call, 1))
                size = self._size(call, 0)
                return ob.Meter(span, name, annotations, hidden, size, meter_unit, self._index_type(types))
            case "direct_meter":
                return ob.DirectMeter(span, name, annotations, hidden, ob.MeterUnit(self._enum_member(call, 0)))
            case "action_profile":
                return ob.ActionProfile(span, name, annotations, hidden, self._size(call, 0), None)
            case "action_selector":
                algorithm: HashAlgorithm = self._algorithm(call, 0)
                return ob.ActionProfile(span, name, annotations, hidden, self._size(call, 1), algorithm)
        attributes = tuple(self._attributes(call))
        return ob.ExternObject(span, name, annotations, hidden, kind, attributes)

    def _attributes(self, call: ResolvedCall) -> Iterator[tuple[str, int | str]]:
        """The constructor's arguments that are numbers or strings."""
        for index, parameter in enumerate(call.parameters):
            try:
                value = self.value(self._arg(call, index))
            except Abandoned:
                continue
            match value:
                case v.Scalar(expression=ex.Constant(value=number)):
                    yield parameter.name.text, number
                case v.Scalar(expression=ex.BooleanConstant(value=flag)):
                    yield parameter.name.text, int(flag)
                case v.Scalar(expression=ex.TextConstant(value=text)):
                    yield parameter.name.text, text

    def _size(self, call: ResolvedCall, index: int) -> int:
        size = self._number(call, index)
        if size >> _SIZE_BITS:
            raise self.session.refused(f"the size {size} is too large", self._arg(call, index).span, Kind.OVERLIMIT)
        return size

    def _index_type(self, types: tuple[model.Type, ...]) -> DataType | None:
        data = self.types.data_type(types[0]) if types else None
        return data if isinstance(data, NewTypeData) else None

    # -- declarations of a control

    def declare_instance(self, declaration: ast.Instantiation) -> None:
        objects = self.control.objects if self.control is not None else self.session.instances
        self.scope.bind(declaration, v.InstanceValue(self.construct(declaration, self._prefix(), objects)))

    def declare_locals(self, instance: ControlInstance) -> None:
        """Storage, instances and tables of a control, once; in its own scope."""
        for declaration in instance.declaration.locals:
            match declaration:
                case ast.Variable():
                    self.declare_variable(declaration)
                case ast.Instantiation():
                    self.declare_instance(declaration)
                case ast.Table():
                    name = child_name(instance.name, external_name(declaration))
                    table = TableInstance(name, declaration, instance)
                    instance.tables[declaration] = table
                    self.scope.bind(declaration, v.InstanceValue(table))
                case ast.Constant(value=value):
                    self.scope.bind(declaration, self.value_as(value, self.resolved(declaration)))

    def run_control(self, instance: ControlInstance) -> None:
        """The control's initialisers and body, in its scope."""
        with self.within(instance.scope):
            for declaration in instance.declaration.locals:
                if isinstance(declaration, ast.Variable):
                    self.initialize_variable(declaration)
        self.run(instance.declaration.body, instance.scope, model.VOID, [], instance.declaration.span)

    # -- application

    def apply_control(self, receiver: v.Value, call: ResolvedCall, site: ast.Node) -> None:
        if not isinstance(receiver, v.InstanceValue) or not isinstance(receiver.instance, ControlInstance):
            raise self.session.refused("only a control can be applied here", site.span, Kind.TYPE_ERROR)
        self._apply(receiver.instance, call, site.span)

    def apply_directly(self, statement: ast.DirectApplication) -> None:
        """`C.apply(...)` on the type: an instance of its own, named after the type."""
        call = self.checked.call_of[statement]
        target = call.target
        type_ = self.checked.resolved_type_of.get(statement.type)
        arguments = type_.arguments if isinstance(type_, model.ObjectType) else ()
        assert isinstance(target, ast.Control | ast.Parser)
        name = child_name(self._prefix(), target.name.text)
        objects = self.control.objects if self.control is not None else self.session.instances
        scope = Scope(name)
        scope.types.update(
            zip(target.type_parameters, (model.substitute(a, self.scope.types) for a in arguments), strict=False)
        )
        instance = objects.get(statement)
        if isinstance(target, ast.Parser):
            instance = instance or ParserInstance(name, target, scope)
            objects[statement] = instance
            self.apply_parser(v.InstanceValue(instance), call, statement.span)
            return
        instance = instance or ControlInstance(name, target, scope, _own_actions(target))
        objects[statement] = instance
        assert isinstance(instance, ControlInstance)
        self._apply(instance, call, statement.span)

    def _apply(self, instance: ControlInstance, call: ResolvedCall, span: Span) -> None:
        self.count_call(instance.name, span)
        if instance.is_elaborated and instance.tables:
            copies = self._bind_again(instance, call, span)
        else:
            instance.is_elaborated = True
            copies = self.bind_instance(instance, instance.declaration.parameters, call, span)
        outer_control, self.control = self.control, instance
        outer_frames, self.frames = self.frames, []
        self.pending.append(copies)
        try:
            with self.within(instance.scope):
                if not instance.is_declared:
                    instance.is_declared = True
                    self.declare_locals(instance)
            self.run_control(instance)
        finally:
            self.pending.pop()
            self.control, self.frames = outer_control, outer_frames
        self.copy_out(copies)

    def bind_instance(
        self,
        instance: ControlInstance | ParserInstance,
        parameters: Sequence[ast.Parameter],
        call: ResolvedCall,
        span: Span,
    ) -> list[CopyOut]:
        """Bind the parameters of the instance's own declaration: a constructor parameter may be declared by its type only."""
        types = [
            model.substitute(self.checked.resolved_type_of[parameter], instance.scope.types) for parameter in parameters
        ]
        # The keys and actions of tables are made once, for all applications.
        settle = any(isinstance(local, ast.Table) for local in instance.declaration.locals)
        return self.bind(parameters, types, call.arguments, instance.scope, share=True, settle=settle, span=span)

    def _bind_again(self, instance: ControlInstance, call: ResolvedCall, span: Span) -> list[CopyOut]:
        """A second application of an instance with tables, whose keys and actions work on the first application's arguments.

        Where the arguments differ, what stands there is put aside and the new arguments are copied in. Returned is what is to
        be copied when it is done: the results are kept, everything is put back, and then the results go to their places.
        """
        changed: list[tuple[ast.Parameter, v.Value, v.Value | None]] = []
        for index, (parameter, argument) in enumerate(
            zip(instance.declaration.parameters, call.arguments, strict=True)
        ):
            bound = instance.scope.bindings[parameter]
            if isinstance(bound, v.PacketValue | v.InstanceValue):
                continue
            value = self.argument_of(parameter, argument, call.arguments[index + 1 :])
            if value is not None and _same_storage(bound, value):
                continue
            if not v.is_place(bound):
                raise self.session.refused(
                    f"'{instance.name}' is applied more than once with different arguments", span
                )
            changed.append((parameter, bound, value))
        asides = [self.frozen(bound, span) for _, bound, _ in changed]
        # An argument may be what another parameter stands for: all are read before any is written.
        given = [None if value is None else self.read(value, span) for _, _, value in changed]
        if len(changed) > 1:
            given = [None if value is None else self.frozen(value, span) for value in given]
        kept: list[CopyOut] = []
        results: list[CopyOut] = []
        for (parameter, bound, value), source in zip(changed, given, strict=True):
            if parameter.direction is ast.Direction.OUT or source is None:
                self.invalidate(bound, span)
            else:
                self.assign(bound, source, span)
            if value is not None and parameter.direction in (ast.Direction.OUT, ast.Direction.INOUT):
                type_ = model.substitute(self.checked.resolved_type_of[parameter], instance.scope.types)
                result = self.temporary(type_, span)
                kept.append(CopyOut(result, bound, span))
                results.append(CopyOut(value, result, span))
        put_back = [CopyOut(bound, aside, span) for (_, bound, _), aside in zip(changed, asides, strict=True)]
        return kept + put_back + results


def _own_actions(declaration: ast.Control) -> frozenset[ast.Action]:
    return frozenset(local for local in declaration.locals if isinstance(local, ast.Action))


def _same_storage(left: v.Value, right: v.Value) -> bool:
    a, b = list(v.leaves(left)), list(v.leaves(right))
    return len(a) == len(b) and all(_same_leaf(x, y) for x, y in zip(a, b, strict=True))


def _same_leaf(left: object, right: object) -> bool:
    match left, right:
        case ex.VariableValue(variable=a), ex.VariableValue(variable=b):
            return a is b
        case ex.OneHeader(header=a), ex.OneHeader(header=b):
            return a is b
        case ex.FieldValue(header=ex.OneHeader(header=a), index=i), ex.FieldValue(
            header=ex.OneHeader(header=b), index=j
        ):
            return a is b and i == j
        case ex.Constant(value=a, bits=s), ex.Constant(value=b, bits=t):
            return a == b and s == t
        case ex.BooleanConstant(value=a), ex.BooleanConstant(value=b):
            return a is b
    return left is right
