"""Tables and their actions: each is made when a table is first applied, so what is never applied leaves nothing behind."""

from __future__ import annotations

from collections.abc import Sequence

from p4compiler.diagnostics import Kind
from p4compiler.ir import expressions as ex
from p4compiler.ir import objects as ob
from p4compiler.ir.annotations import Annotation
from p4compiler.ir.types import TEXT, Bits, Varbit, width_of
from p4compiler.lowering import values as v
from p4compiler.lowering.annotations import (
    external_name,
    get_annotation,
    has_annotation,
    integer_arguments,
    lower_annotations,
    name_annotation,
)
from p4compiler.lowering.calls import CopyOut
from p4compiler.lowering.emitter import BlockEmitter
from p4compiler.lowering.instances import ExternInstance, TableInstance, child_name
from p4compiler.lowering.key_names import key_name
from p4compiler.lowering.scope import Scope
from p4compiler.lowering.statements import StatementLowering
from p4compiler.source import Span
from p4compiler.syntax import ast
from p4compiler.types import model

DEFAULT_TABLE_SIZE = 1024
NO_ACTION = "NoAction"


class TableLowering(StatementLowering):
    def construct_property(
        self, instance: TableInstance, call: ast.Call, name: str, annotations: tuple[ast.Annotation, ...]
    ) -> ExternInstance:
        """An extern constructed in a table property."""
        raise NotImplementedError

    # -- actions

    def lower_action(
        self, declaration: ast.Action, instance: TableInstance, bound: Sequence[ast.Argument]
    ) -> ob.Action:
        """The IR's action for a declaration; one with arguments bound in the table's list belongs to that table."""
        control = instance.control
        local = declaration in control.own_actions
        known = control.actions if local else self.session.global_actions
        if not bound and declaration in known:
            return known[declaration]
        if local:
            name = child_name(control.name, external_name(declaration))
        else:
            name = external_name(declaration).removeprefix(".")
        action = self._make_action(declaration, name, control.scope if local else None, bound, instance)
        if bound:
            (control.bound_actions if local else self.session.bound_actions).append(action)
        else:
            known[declaration] = action
        return action

    def _make_action(
        self,
        declaration: ast.Action,
        name: str,
        parent: Scope | None,
        bound: Sequence[ast.Argument],
        instance: TableInstance,
    ) -> ob.Action:
        emitter = BlockEmitter(self.session.storage)
        outer_emitter, self.emitter = self.emitter, emitter
        outer_frames, self.frames = self.frames, []
        outer_pending, self.pending = self.pending, []
        try:
            with self.within(parent or self.scope):
                scope = Scope(f"{self.scope.name}.{declaration.name.text}", parent)
                copies = self._bind_directed(declaration, bound, scope, instance)
                parameters = self._action_parameters(declaration, scope)
                self.run(declaration.body, scope, model.VOID, copies, declaration.span)
        finally:
            self.emitter, self.frames, self.pending = outer_emitter, outer_frames, outer_pending
        hidden = has_annotation(declaration, "hidden")
        annotations = lower_annotations(declaration.annotations)
        return ob.Action(declaration.span, name, annotations, hidden, tuple(parameters), emitter.finish())

    def _bind_directed(
        self, declaration: ast.Action, bound: Sequence[ast.Argument], scope: Scope, instance: TableInstance
    ) -> list[CopyOut]:
        directed = [p for p in declaration.parameters if p.direction is not ast.Direction.NONE]
        if not directed:
            return []
        by_name = {argument.name.text: argument.value for argument in bound if argument.name is not None}
        arguments: list[ast.Expression | None]
        if by_name:
            arguments = [by_name.get(parameter.name.text) for parameter in directed]
        else:
            arguments = [argument.value for argument in bound[: len(directed)]]
            arguments += [None] * (len(directed) - len(arguments))
        types = [self.resolved(parameter) for parameter in directed]
        return self.bind(directed, types, arguments, scope, share=False, span=instance.declaration.span)

    def _action_parameters(self, declaration: ast.Action, scope: Scope) -> list[ob.ActionParameter]:
        result = []
        for parameter in declaration.parameters:
            if parameter.direction is not ast.Direction.NONE:
                continue
            type_ = self.resolved(parameter)
            scalar = self.types.scalar(type_)
            if scalar is None or scalar == TEXT or isinstance(scalar, Varbit):
                raise self.session.refused(
                    f"the parameter '{parameter.name.text}' of an action must be bit<>, int<> or bool on this target",
                    parameter.span,
                    Kind.TYPE_ERROR,
                )
            value = ex.Parameter(parameter.span, external_name(parameter), scalar)
            scope.bind(parameter, v.Scalar(ex.ParameterValue(parameter.span, value)))
            annotations = lower_annotations(parameter.annotations)
            result.append(ob.ActionParameter(value.name, self.types.data_type(type_), annotations, value))
        return result

    def note_called_action(self, action: ast.Action) -> None:
        """An action called directly by a control is known to the control plane, without parameters."""
        control = self.control
        if control is None or self.action_depth:
            return
        local = action in control.own_actions
        name = child_name(control.name, external_name(action)) if local else external_name(action).removeprefix(".")
        if action not in control.called:
            hidden = has_annotation(action, "hidden")
            annotations = lower_annotations(action.annotations)
            control.called[action] = ob.Action(action.span, name, annotations, hidden, (), ())

    # -- tables

    def table_of(self, receiver: v.Value, span: Span) -> TableInstance:
        if isinstance(receiver, v.InstanceValue) and isinstance(receiver.instance, TableInstance):
            return receiver.instance
        raise self.session.refused("only a table can be applied here", span, Kind.TYPE_ERROR)

    def prepare_table(self, instance: TableInstance) -> None:
        if instance.table is None:
            self.action_depth += 1
            try:
                instance.table = self._lower_table(instance)
            finally:
                self.action_depth -= 1
        for place, expression in instance.copied_keys:
            with self.within(instance.control.scope):
                self.assign(place, self.value(expression), expression.span)

    def action_of(self, instance: TableInstance, label: ast.Expression) -> ob.Action | None:
        declaration = self.checked.declaration_of.get(label)
        if not isinstance(declaration, ast.Action):
            raise self.session.refused("this is no action of the table", label.span, Kind.TYPE_ERROR)
        return instance.actions.get(declaration)

    def _lower_table(self, instance: TableInstance) -> ob.Table:
        declaration, control = instance.declaration, instance.control
        with self.within(control.scope):
            keys = [self._key(instance, key) for key in declaration.keys or ()]
            references = [self._action_reference(instance, reference) for reference in declaration.actions]
            default, default_is_const = self._default_action(instance, references)
            properties = {p.name.text: p for p in declaration.properties}
            entries = None
            if declaration.entries is not None:
                matched = [key for key in keys if key.match_kind is not ob.MatchKind.SELECTOR]
                entries = self._entries(instance, matched, properties)
            profile, counter, meter = (
                self.resource(instance, properties.get(name)) for name in ("implementation", "counters", "meters")
            )
            self._check_resource(properties, "implementation", isinstance(profile, ob.ActionProfile | None))
            self._check_resource(properties, "counters", isinstance(counter, ob.DirectCounter | None))
            self._check_resource(properties, "meters", isinstance(meter, ob.DirectMeter | None))
            assert isinstance(profile, ob.ActionProfile | None)
            assert isinstance(counter, ob.DirectCounter | None) and isinstance(meter, ob.DirectMeter | None)
            size = self._constant_property(properties.get("size"), DEFAULT_TABLE_SIZE) or DEFAULT_TABLE_SIZE
            return ob.Table(
                declaration.name.span,
                instance.name,
                lower_annotations(declaration.annotations),
                has_annotation(declaration, "hidden"),
                tuple(keys),
                tuple(references),
                default,
                default_is_const,
                size,
                entries,
                declaration.entries_const,
                profile,
                counter,
                meter,
                bool(self._constant_property(properties.get("support_timeout"), 0)),
            )

    # -- keys

    def _key(self, instance: TableInstance, key: ast.TableKey) -> ob.Key:
        expression = key.expression
        type_ = self.type_of(expression)
        name = name_annotation(key) or key_name(expression, self.checked, self.types)
        try:
            kind = ob.MatchKind(key.match_kind.text)
        except ValueError:
            raise self.session.refused(
                f"match kind '{key.match_kind.text}' is not supported on this target",
                key.match_kind.span,
                Kind.UNSUPPORTED,
            ) from None
        if name is None:
            raise self.session.refused("this key needs a name: annotate it with @name", expression.span, Kind.EXPECTED)
        if self.has_effects(expression):
            place = self.temporary(type_, expression.span, "key")
            instance.copied_keys.append((place, expression))
            value = self.as_scalar(place, expression.span)
        else:
            value = self.scalar(expression)
        if isinstance(value.type, Varbit) or value.type == TEXT:
            raise self.session.refused(f"a key of type {type_} is not supported", expression.span, Kind.UNSUPPORTED)
        annotations = lower_annotations(key.annotations)
        return ob.Key(expression.span, value, kind, name, self.types.data_type(type_), annotations)

    # -- actions of a table

    def _action_reference(self, instance: TableInstance, reference: ast.ActionReference) -> ob.ActionReference:
        declaration = self.checked.declaration_of[reference.action]
        assert isinstance(declaration, ast.Action)
        action = self.lower_action(declaration, instance, reference.arguments or ())
        instance.actions[declaration] = action
        return ob.ActionReference(action, lower_annotations(reference.annotations))

    def _default_action(
        self, instance: TableInstance, references: list[ob.ActionReference]
    ) -> tuple[ob.ActionCall | None, bool]:
        """The default action and whether it is constant; `NoAction` is added to the list where nothing is said."""
        for table_property in instance.declaration.properties:
            if table_property.name.text == "default_action":
                return self._action_call(instance, table_property.value), table_property.is_const
        action = self._no_action(instance)
        if all(reference.action is not action for reference in references):
            mark = Annotation(instance.declaration.span, "defaultonly", "@defaultonly", (), False)
            references.append(ob.ActionReference(action, (mark,)))
        return ob.ActionCall(action, ()), False

    def _no_action(self, instance: TableInstance) -> ob.Action:
        for declaration in self.checked.program.declarations:
            if isinstance(declaration, ast.Action) and declaration.name.text == NO_ACTION:
                return self.lower_action(declaration, instance, ())
        raise self.session.refused("core.p4, which declares NoAction, is not included", instance.declaration.span)

    def _action_call(self, instance: TableInstance, expression: ast.Expression) -> ob.ActionCall:
        arguments: tuple[ast.Argument, ...] = ()
        callee = expression
        if isinstance(expression, ast.Call):
            callee, arguments = expression.callee, expression.arguments
        declaration = self.checked.declaration_of.get(callee)
        if not isinstance(declaration, ast.Action) or declaration not in instance.actions:
            raise self.session.refused("this is no action of the table", expression.span, Kind.INVALID)
        return ob.ActionCall(instance.actions[declaration], self._call_data(declaration, arguments))

    def _call_data(self, declaration: ast.Action, arguments: Sequence[ast.Argument]) -> tuple[int, ...]:
        """The constant values of the parameters without direction."""
        parameters = declaration.parameters
        by_name = {argument.name.text: argument.value for argument in arguments if argument.name is not None}
        if len(arguments) < len(parameters) and not by_name:
            parameters = tuple(p for p in parameters if p.direction is ast.Direction.NONE)
        result = []
        for index, parameter in enumerate(parameters):
            if parameter.direction is not ast.Direction.NONE:
                continue
            given = by_name.get(parameter.name.text) if by_name else None
            if given is None and not by_name and index < len(arguments):
                given = arguments[index].value
            given = given or parameter.default
            if given is None:
                raise self.session.refused(
                    f"no value for the parameter '{parameter.name.text}'", declaration.span, Kind.EXPECTED
                )
            result.append(self._constant(self.value_as(given, self.resolved(parameter)), given.span))
        return tuple(result)

    def _constant(self, value: v.Value, span: Span) -> int:
        match self.as_scalar(value, span):
            case ex.Constant(value=number):
                return number
            case ex.BooleanConstant(value=flag):
                return int(flag)
        raise self.session.refused("this must be a compile-time constant", span, Kind.EXPECTED)

    # -- properties

    def _constant_property(self, table_property: ast.TableProperty | None, default: int) -> int:
        if table_property is None:
            return default
        return self._constant(self.value(table_property.value), table_property.value.span)

    def resource(
        self, instance: TableInstance, table_property: ast.TableProperty | None
    ) -> ob.ControlPlaneObject | None:
        """The action profile, direct counter or direct meter that a property names or constructs."""
        if table_property is None:
            return None
        value = table_property.value
        if isinstance(value, ast.Call) and value not in self.checked.constant_of:
            name = name_annotation(table_property)
            if name is None:
                raise self.session.refused(
                    f"the control plane cannot name what is constructed here: annotate '{table_property.name.text}' with @name",
                    value.span,
                    Kind.UNSUPPORTED,
                )
            made = self.construct_property(instance, value, name, table_property.annotations)
            return made.object
        known = self.value(value)
        if isinstance(known, v.InstanceValue) and isinstance(known.instance, ExternInstance):
            return known.instance.object
        raise self.session.refused(f"'{table_property.name.text}' needs an extern object", value.span, Kind.EXPECTED)

    def _check_resource(self, properties: dict[str, ast.TableProperty], name: str, fits: bool) -> None:
        if not fits:
            raise self.session.refused(
                f"'{name}' cannot be an extern of that type", properties[name].span, Kind.UNEXPECTED
            )

    # -- entries

    def _entries(
        self, instance: TableInstance, keys: list[ob.Key], properties: dict[str, ast.TableProperty]
    ) -> tuple[ob.Entry, ...]:
        entries = instance.declaration.entries or ()
        largest_wins = bool(self._constant_property(properties.get("largest_priority_wins"), 1))
        delta = self._constant_property(properties.get("priority_delta"), 1)
        priorities = self._priorities(instance.declaration, largest_wins, delta)
        order = sorted(range(len(entries)), key=lambda i: -priorities[i] if largest_wins else priorities[i])
        rank = {entry: place + 1 for place, entry in enumerate(order)}
        result = []
        for index, entry in enumerate(entries):
            written = entry.keys
            sets = written.elements if isinstance(written, ast.TupleSet | ast.ListExpression) else (written,)
            if len(sets) == 1 and len(keys) > 1 and isinstance(sets[0], ast.DefaultLiteral | ast.DontCare):
                sets = tuple(sets[0] for _ in keys)
            keysets = tuple(self._keyset(key, keyset) for key, keyset in zip(keys, sets, strict=False))
            arguments = entry.action.arguments or ()
            declaration = self.checked.declaration_of[entry.action.action]
            assert isinstance(declaration, ast.Action)
            if declaration not in instance.actions:
                raise self.session.refused("this is no action of the table", entry.action.span, Kind.INVALID)
            call = ob.ActionCall(instance.actions[declaration], self._call_data(declaration, arguments))
            is_const = entry.is_const or instance.declaration.entries_const
            annotation = get_annotation(entry, "priority")
            written_rank = integer_arguments(annotation) if annotation is not None else ()
            priority = written_rank[0] if written_rank else rank[index]
            result.append(
                ob.Entry(entry.keys.span.to(entry.action.span), keysets, call, priority, priorities[index], is_const)
            )
        # In order of precedence, which is that of the text unless priorities are written.
        return tuple(result[index] for index in order)

    def _priorities(self, table: ast.Table, largest_wins: bool, delta: int) -> list[int]:
        """P4's priority of each entry: as written, or continued from the entry before (specification, 14.2.1.4)."""
        entries = table.entries or ()
        if table.entries_const and all(entry.priority is None for entry in entries):
            return list(range(len(entries), 0, -1)) if largest_wins else list(range(1, len(entries) + 1))
        result: list[int] = []
        for entry in entries:
            if entry.priority is not None:
                result.append(self._constant(self.value(entry.priority), entry.priority.span))
            elif not result:
                result.append((len(entries) - 1) * delta + 1 if largest_wins else 1)
            else:
                result.append(result[-1] - delta if largest_wins else result[-1] + delta)
        return result

    def _keyset(self, key: ob.Key, keyset: ast.Expression) -> ob.KeySet:
        width = width_of(key.expression.type)
        bits = key.expression.type if isinstance(key.expression.type, Bits) else Bits(width)

        def number(expression: ast.Expression) -> int:
            value = self._constant(self.value(expression), expression.span)
            return value & ((1 << bits.width) - 1)

        match keyset:
            case ast.DefaultLiteral() | ast.DontCare():
                return ob.KeySet(0, any=True)
            case ast.Binary(operator=ast.BinaryOperator.MASK, left=left, right=right):
                return ob.KeySet(number(left), mask=number(right))
            case ast.Binary(operator=ast.BinaryOperator.RANGE, left=left, right=right):
                return ob.KeySet(number(left), high=number(right))
        return ob.KeySet(number(keyset))
