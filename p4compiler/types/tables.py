"""Checking of tables: keys, actions, entries and the other properties (specification, section 14.2)."""

from __future__ import annotations

from collections.abc import Sequence

from p4compiler.diagnostics import Diagnostics, Kind, Note, closest
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.checked import CallKind, ResolvedCall
from p4compiler.types.context import Place
from p4compiler.types.entry_warnings import warn_of_covered_entries, warn_of_masked_bits, warn_of_priorities
from p4compiler.types.keysets import Keysets
from p4compiler.types.scope import describe, first_of

BOOLEAN_PROPERTIES = ("largest_priority_wins",)
POSITIVE_PROPERTIES = ("size", "priority_delta")
KNOWN_PROPERTIES = (
    *("key", "actions", "entries", "default_action", "implementation", "counters", "meters", "support_timeout"),
    *BOOLEAN_PROPERTIES,
    *POSITIVE_PROPERTIES,
)


class Tables(Keysets):
    def __init__(self, program: ast.Program, diagnostics: Diagnostics) -> None:
        super().__init__(program, diagnostics)
        self.tables_without_default: list[ast.Table] = []

    def table(self, table: ast.Table) -> None:
        outer_place, outer_table = self.place, self.current_table
        self.place, self.current_table = Place.TABLE, table
        self.resolved_type_of[table] = model.ObjectType(table)
        self.place = outer_place
        self.declare(table)
        self.place = Place.TABLE
        self._order(table)
        for key in table.keys or ():
            self._key(key)
        for reference in table.actions:
            self._action_in_list(table, reference)
        self._duplicate_actions(table)
        for item in table.properties:
            self._property(table, item)
        if table.entries is not None:
            self._entries(table, table.entries)
        if not any(item.name.text == "default_action" for item in table.properties):
            self.tables_without_default.append(table)
        self.place, self.current_table = outer_place, outer_table

    # -- keys

    def _order(self, table: ast.Table) -> None:
        """Entries stand behind the keys they match, actions before the calls of them."""
        entries = table.entries[0] if table.entries else None
        if entries is not None and table.keys and _before(entries, table.keys[0]):
            self.type_error("the entries must stand behind the key", entries, [Note("the key", table.keys[0].span)])
        for item in table.properties:
            if item.name.text == "default_action" and table.actions and _before(item, table.actions[0]):
                notes = [Note("the actions", table.actions[0].span)]
                self.type_error("the default action must stand behind the actions", item, notes)

    def _key(self, key: ast.TableKey) -> None:
        if key.annotations:
            self.check_annotations(key.annotations)
        if not has_name(key.expression) and not any(a.name == "name" for a in key.annotations):
            self.error(Kind.EXPECTED, "a key that is computed needs a '@name' for the control plane", key.expression)
        type_ = self.expression(key.expression)
        name = key.match_kind.text
        if name not in self.match_kind_members:
            self.not_found("match kind", name, key.match_kind.span, self.match_kind_members)
        if isinstance(type_, model.UnknownType):
            return
        inner = self.underlying_of(type_)
        if not isinstance(
            inner,
            model.BitsType | model.BoolType | model.EnumType | model.ErrorType,
        ):
            self.type_error(f"a table's key cannot have type '{type_}'", key.expression)
        elif self.is_compile_time(key.expression):
            self.warning(Kind.IGNORE_PROPERTY, "this key is constant", key.expression)
            if self.constant(key.expression) is not None:
                self.warning(Kind.MISMATCH, "every packet has the same value for this key", key.expression)

    # -- actions

    def _find_action(self, path: ast.PathExpression) -> ast.Action | None:
        scope = self.top if path.absolute else self.scope
        found = scope.find(path.name)
        if found is None:
            known = [name for name in scope.all_names() if isinstance(scope.find(name), ast.Action)]
            self.not_found("action", path.name, path.span, known)
            return None
        if not isinstance(found, ast.Action):
            first = first_of(found)
            notes = [Note("declared here", first.name.span)]
            self.type_error(f"'{path.name}' is a {describe(first)}, not an action", path, notes)
            return None
        self.checked.declaration_of[path] = found
        self.used.add(found)
        return found

    def _action_in_list(self, table: ast.Table, reference: ast.ActionReference) -> None:
        """An action of the list: its directional parameters are bound here, the others by the control plane."""
        action = self._find_action(reference.action)
        if action is None:
            for argument in reference.arguments or ():
                self.expression(argument.value)
            return
        ordered = self.order_arguments(
            action.parameters, reference.arguments or (), action.name.text, reference, missing_allowed=True
        )
        if ordered is None:
            return
        callee = self.action_callee(action)
        for parameter, value in zip(action.parameters, ordered, strict=True):
            directional = parameter.direction is not ast.Direction.NONE
            if value is None:
                if directional and parameter.default is None:
                    notes = [Note("the parameter is declared here", parameter.span)]
                    self.type_error(
                        f"no argument for parameter '{parameter.name.text}' of action '{action.name.text}'",
                        reference,
                        notes,
                    )
                continue
            self.in_action_list = True
            self.expression(value)
            self.in_action_list = False
            if not directional:
                notes = [Note("the parameter has no direction", parameter.span)]
                self.type_error(
                    f"parameter '{parameter.name.text}' cannot be bound here: the control plane sets it", value, notes
                )
                continue
            self.pass_argument(parameter, self.resolved_type_of.get(parameter, model.UNKNOWN), value, callee)
        self._note_reference(reference, action, ordered)

    def _note_reference(
        self, reference: ast.Node, action: ast.Action, ordered: Sequence[ast.Expression | None]
    ) -> None:
        types = tuple(self.resolved_type_of.get(p, model.UNKNOWN) for p in action.parameters)
        self.checked.call_of[reference] = ResolvedCall(
            CallKind.ACTION, action, None, action.name.text, (), action.parameters, types, tuple(ordered), model.VOID
        )

    def _duplicate_actions(self, table: ast.Table) -> None:
        seen: dict[ast.Declaration, ast.ActionReference] = {}
        for reference in table.actions:
            action = self.checked.declaration_of.get(reference.action)
            if action is None:
                continue
            if action in seen:
                notes = [Note("the first one is here", seen[action].span)]
                self.error(Kind.DUPLICATE, f"action '{reference.action.name}' is listed twice", reference.action, notes)
            seen.setdefault(action, reference)

    def _listed(self, table: ast.Table) -> dict[ast.Action, ast.ActionReference]:
        """The actions of a table's list."""
        found = self._actions_of.get(table)
        if found is None:
            found = self._actions_of[table] = {}
            for reference in table.actions:
                action = self.checked.declaration_of.get(reference.action)
                if isinstance(action, ast.Action):
                    found[action] = reference
        return found

    def _action_call(
        self, table: ast.Table, node: ast.Node, path: ast.PathExpression, arguments: Sequence[ast.Argument]
    ) -> ast.ActionReference | None:
        """`a(arguments)` as a default action or in an entry: every parameter must have its value now."""
        action = self._find_action(path)
        listed = None
        if action is not None:
            listed = self._listed(table).get(action)
            if listed is None:
                notes = [Note("the table is declared here", table.name.span)]
                self.type_error(f"'{path.name}' is not an action of table '{table.name.text}'", path, notes)
        if action is None or listed is None:
            for argument in arguments:
                if not isinstance(argument.value, ast.DontCare):
                    self.expression(argument.value)
            return None
        ordered = self.order_arguments(action.parameters, arguments, action.name.text, node)
        if ordered is None:
            return None
        callee = self.action_callee(action)
        bound = self.checked.call_of.get(listed)
        for index, (parameter, value) in enumerate(zip(action.parameters, ordered, strict=True)):
            if value is None:
                continue
            self.expression(value)
            if parameter.direction is ast.Direction.NONE:
                if not self.is_compile_time(value):
                    self.type_error("this argument must be a compile-time constant", value)
                    continue
            elif bound is not None and bound.arguments[index] is not None:
                given = bound.arguments[index]
                if given is not None and not same_text(given, value):
                    notes = [Note("the argument in the list", given.span)]
                    self.type_error("this argument differs from the one in the list of actions", value, notes)
            self.pass_argument(parameter, self.resolved_type_of.get(parameter, model.UNKNOWN), value, callee)
        self._note_reference(node, action, ordered)
        return listed

    # -- properties

    def _property(self, table: ast.Table, item: ast.TableProperty) -> None:
        name = item.name.text
        if name == "default_action":
            self._default_action(table, item)
            return
        if name not in KNOWN_PROPERTIES and (hint := closest(name, KNOWN_PROPERTIES, farthest=2)):
            notes = [Note(f"did you mean '{hint}'?")]
            self.warning(Kind.UNKNOWN, f"table property '{name}' means nothing here", item.name, notes)
        type_ = self.expression(item.value)
        if isinstance(type_, model.UnknownType):
            return
        value = self.number_of(item.value)
        if name in POSITIVE_PROPERTIES:
            if not isinstance(type_, model.BitsType | model.InfIntType):
                kind = Kind.INVALID if name == "size" else Kind.TYPE_ERROR
                self.error(kind, f"property '{name}' must be a number, not of type '{type_}'", item.value)
            elif value is None and not self.is_compile_time(item.value):
                self.type_error(f"property '{name}' must be a compile-time constant", item.value)
            elif value is not None and (value < 0 or (value == 0 and name != "size")):
                self.type_error(f"property '{name}' must be positive, not {value}", item.value)
        elif name == "support_timeout" and not isinstance(self.constant(item.value), bool):
            self.error(Kind.EXPECTED, f"property '{name}' must be true or false", item.value)
        elif name in BOOLEAN_PROPERTIES and not isinstance(type_, model.BoolType):
            self.type_error(f"property '{name}' must be true or false, not of type '{type_}'", item.value)

    def _default_action(self, table: ast.Table, item: ast.TableProperty) -> None:
        value = item.value
        arguments: tuple[ast.Argument, ...] = ()
        if isinstance(value, ast.PathExpression):
            path = value
        elif isinstance(value, ast.Call) and isinstance(value.callee, ast.PathExpression) and not value.type_arguments:
            path, arguments = value.callee, value.arguments
        else:
            self.type_error("the default action must be an action, perhaps with arguments", value)
            return
        listed = self._action_call(table, value, path, arguments)
        self.type_of[value] = model.VOID
        if listed is not None and any(a.name == "tableonly" for a in listed.annotations):
            self.type_error(f"action '{path.name}' is marked @tableonly", value, [Note("listed here", listed.span)])

    # -- entries

    def _entries(self, table: ast.Table, entries: Sequence[ast.TableEntry]) -> None:
        keys = table.keys or ()
        if not keys and entries:
            self.type_error("a table without a key cannot have entries", entries[0])
            return
        types = [self.type_of.get(key.expression, model.UNKNOWN) for key in keys]
        for entry in entries:
            if self.diagnostics.full:
                return
            self._entry(table, entry, types)
        self._duplicate_entries(table, entries)
        ordered = entries if table.entries_const else self._priorities(table, entries)
        warn_of_covered_entries(keys, ordered, self.number_of, self.diagnostics)

    def _priorities(self, table: ast.Table, entries: Sequence[ast.TableEntry]) -> Sequence[ast.TableEntry]:
        """Which entries need a priority, and that the ones in between can be counted out (section 14.2.1.4).

        Returns:
            the entries in the order of their importance.
        """
        given = [entry for entry in entries if entry.priority is not None]
        if not given:
            return entries
        if not any(key.match_kind.text in ("ternary", "range", "optional") for key in table.keys or ()):
            self.error(Kind.UNSUPPORTED, "entries of a table with such keys have no priority", given[0])
            return entries
        if entries[0].priority is None:
            self.error(Kind.EXPECTED, "the first entry needs a priority, because another one has it", entries[0])
            return entries
        values = {item.name.text: item.value for item in table.properties}
        largest = self.constant(values["largest_priority_wins"]) if "largest_priority_wins" in values else True
        step = self.number_of(values["priority_delta"]) if "priority_delta" in values else 1
        priority = 0
        priorities = []
        for entry in entries:
            if entry.priority is not None:
                priority = self.number_of(entry.priority) or 0
            else:
                priority += -(step or 1) if largest else (step or 1)
            if not 0 <= priority < 1 << 32:
                self.error(Kind.OVERLIMIT, f"this entry's priority would be {priority}", entry)
                return entries
            priorities.append(priority)
        warn_of_priorities(entries, priorities, largest is not False, self.diagnostics)
        order = sorted(range(len(entries)), key=priorities.__getitem__, reverse=largest is not False)
        return [entries[index] for index in order]

    def _duplicate_entries(self, table: ast.Table, entries: Sequence[ast.TableEntry]) -> None:
        if any(key.match_kind.text not in ("exact", "selector") for key in table.keys or ()):
            return
        seen: dict[tuple[object, ...], ast.TableEntry] = {}
        for entry in entries:
            elements = entry.keys.elements if isinstance(entry.keys, ast.TupleSet) else (entry.keys,)
            values = tuple(self.operand_value(element) for element in elements)
            if any(not isinstance(value, int | str) for value in values):
                continue
            if values in seen:
                notes = [Note("the first one is here", seen[values].span)]
                self.error(Kind.KEYS, "a second entry with these keys", entry, notes)
            seen.setdefault(values, entry)

    def _entry(self, table: ast.Table, entry: ast.TableEntry, types: Sequence[model.Type]) -> None:
        keys = table.keys or ()
        if entry.priority is not None:
            type_ = self.expression(entry.priority)
            if not isinstance(type_, model.UnknownType) and self.number_of(entry.priority) is None:
                self.type_error("an entry's priority must be a compile-time number", entry.priority)
            elif table.entries_const:
                self.error(
                    Kind.INVALID, "the entries of a constant list are ordered: they have no priority", entry.priority
                )
        if len(keys) > 1 and isinstance(entry.keys, ast.DefaultLiteral | ast.DontCare):
            sets = ", ".join("_" for _ in keys)
            self.type_error(f"an entry has a set for each of the {len(keys)} keys: ({sets})", entry.keys)
        elif self.match_keyset(entry.keys, types, "key"):
            elements = entry.keys.elements if isinstance(entry.keys, ast.TupleSet) else (entry.keys,)
            for key, element in zip(keys, elements, strict=False):
                self._check_match(key, element)
                warn_of_masked_bits(key, element, self.number_of, self.diagnostics)
        for annotation in entry.annotations:
            if annotation.name == "priority":
                message = "@priority at an entry means nothing; 'priority = …:' before its key does"
                self.warning(Kind.DEPRECATED, message, annotation)
        listed = self._action_call(table, entry.action, entry.action.action, entry.action.arguments or ())
        if listed is not None and any(a.name == "defaultonly" for a in listed.annotations):
            notes = [Note("listed here", listed.span)]
            self.type_error(f"action '{entry.action.action.name}' is marked @defaultonly", entry.action, notes)

    def _check_match(self, key: ast.TableKey, element: ast.Expression) -> None:
        """The kind of set must be one that the key's match kind knows."""
        kind = key.match_kind.text
        if isinstance(element, ast.DefaultLiteral | ast.DontCare):
            if kind == "exact":
                self.type_error("an exact key needs a value", element, [Note("the key", key.span)])
            return
        if not self.is_compile_time_set(element):
            self.type_error("an entry's key must be a compile-time constant", element)
            return
        if not isinstance(element, ast.Binary):
            return
        is_mask = element.operator is ast.BinaryOperator.MASK
        is_range = element.operator is ast.BinaryOperator.RANGE
        if (is_mask and kind in ("exact", "range", "optional")) or (
            is_range and kind in ("exact", "lpm", "ternary", "optional")
        ):
            what = "a mask" if is_mask else "a range"
            notes = [Note("the key", key.span)]
            error_kind = Kind.INVALID if kind == "optional" else Kind.TYPE_ERROR
            if is_mask and kind in ("exact", "range"):
                error_kind = Kind.UNSUPPORTED_ON_TARGET  # the specification leaves it to the target
            self.error(error_kind, f"{what} cannot be matched by a key of kind '{kind}'", element, notes)
        elif is_mask and kind == "lpm":
            self._check_prefix(key, element)

    def _check_prefix(self, key: ast.TableKey, element: ast.Binary) -> None:
        mask = self.number_of(element.right)
        type_ = self.underlying_of(self.type_of.get(key.expression, model.UNKNOWN))
        if mask is None or not isinstance(type_, model.BitsType):
            return
        inverse = ~mask & ((1 << type_.width) - 1)
        if inverse & (inverse + 1):
            self.error(Kind.INVALID, f"the mask {mask:#x} of an lpm key is not a prefix", element.right)


def _before(one: ast.Node, other: ast.Node) -> bool:
    return one.span.file is other.span.file and one.span.start < other.span.start


def has_name(expression: ast.Expression) -> bool:
    """The control plane's name of a key can be taken from the way it is written."""
    match expression:
        case ast.PathExpression() | ast.IntegerLiteral():
            return True
        case ast.Member() | ast.Slice():
            return has_name(expression.base)
        case ast.Index():
            return has_name(expression.base) and has_name(expression.index)
        case ast.Call():
            callee = expression.callee
            return isinstance(callee, ast.Member) and callee.member.text == "isValid" and has_name(callee.base)
        case ast.Binary():
            return expression.operator is ast.BinaryOperator.AND and has_name(expression.left)
    return False


def same_text(left: ast.Expression, right: ast.Expression) -> bool:
    """The two expressions are written alike, white space and the order of named fields apart."""
    if isinstance(left, ast.StructExpression) and isinstance(right, ast.StructExpression):
        fields = {field.name.text: field.value for field in right.fields}
        return (
            len(left.fields) == len(right.fields)
            and (left.rest is None) == (right.rest is None)
            and all(f.name.text in fields and same_text(f.value, fields[f.name.text]) for f in left.fields)
        )
    return "".join(left.span.text.split()) == "".join(right.span.text.split())
