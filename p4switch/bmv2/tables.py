"""Pipelines of the BMv2 JSON: tables, action profiles, conditionals, and the edges between them."""

from __future__ import annotations

from collections.abc import Callable

from p4switch.bmv2 import document as doc
from p4switch.bmv2 import model
from p4switch.bmv2.errors import JsonError
from p4switch.bmv2.operands import VALID_FIELD, Operands, field_of, hex_value, source_of

Inputs = tuple[model.FieldRef | model.Const | model.HeaderRef | model.Payload, ...]
ReadInputs = Callable[[str, list[doc.TypeValue]], Inputs]

TABLE_KINDS = {
    "exact": model.MatchKind.EXACT,
    "lpm": model.MatchKind.LPM,
    "ternary": model.MatchKind.TERNARY,
    "range": model.MatchKind.RANGE,
}
KEY_KINDS = {**TABLE_KINDS, "valid": model.MatchKind.VALID, "optional": model.MatchKind.TERNARY}
TABLE_TYPES = ("simple", "indirect", "indirect_ws")


def load_profiles(pipelines: list[doc.PipelineDoc], inputs: ReadInputs) -> dict[str, model.ActionProfile]:
    """The action profiles of all pipelines, those that old JSON declares inside a table included."""
    profiles: dict[str, model.ActionProfile] = {}

    def add(name: str, size: int, selector: doc.SelectorDoc | None) -> None:
        where = f"action profile {name!r}"
        made = model.Selector(selector.algo, inputs(where, selector.input)) if selector else None
        profiles[name] = model.ActionProfile(name, size, made)

    for pipeline in pipelines:
        for item in pipeline.action_profiles:
            if item.name in profiles:
                raise JsonError(f"action profile {item.name!r}", "is defined twice")
            add(item.name, item.max_size, item.selector)
        for table in pipeline.tables:
            if table.act_prof_name is not None and table.act_prof_name not in profiles:
                add(table.act_prof_name, table.max_size or 0, table.selector)
    return profiles


def load_pipeline(
    pipeline: doc.PipelineDoc | None,
    name: str,
    operands: Operands,
    actions: dict[int, model.Action],
    profiles: dict[str, model.ActionProfile],
) -> model.Pipeline:
    """One pipeline; a missing one is empty."""
    if pipeline is None:
        return model.Pipeline(name, None, {})
    loader = _PipelineLoader(operands, actions, profiles)
    nodes: dict[str, model.Node] = {}
    made: list[model.Node] = [loader.table(table) for table in pipeline.tables]
    made += [loader.conditional(item) for item in pipeline.conditionals]
    made += [loader.action_call(item) for item in pipeline.action_calls]
    for node in made:
        if node.name in nodes:
            raise JsonError(f"pipeline {name!r}", f"two nodes are named {node.name!r}")
        nodes[node.name] = node

    for node in made:
        for successor in successors(node):
            if successor is not None and successor not in nodes:
                raise JsonError(f"{_kind(node)} {node.name!r}", f"unknown next node {successor!r}")
    if pipeline.init_table is not None and pipeline.init_table not in nodes:
        raise JsonError(f"pipeline {name!r}", f"unknown first node {pipeline.init_table!r}")
    return model.Pipeline(name, pipeline.init_table, nodes)


def successors(node: model.Node) -> list[str | None]:
    """Where the control flow may go from `node`; None is the end of the pipeline."""
    match node:
        case model.Table():
            hit_miss = list(node.next_hit_miss) if node.next_hit_miss is not None else []
            return [*node.next_by_action.values(), *hit_miss, node.default_next]
        case model.Conditional():
            return [node.true_next, node.false_next]
        case model.ActionCall():
            return [node.next]


def _kind(node: model.Node) -> str:
    match node:
        case model.Table():
            return "table"
        case model.Conditional():
            return "conditional"
        case model.ActionCall():
            return "action call"


class _PipelineLoader:
    def __init__(
        self, operands: Operands, actions: dict[int, model.Action], profiles: dict[str, model.ActionProfile]
    ) -> None:
        self.operands = operands
        self.actions = actions
        self.profiles = profiles

    def conditional(self, item: doc.ConditionalDoc) -> model.Conditional:
        where = f"conditional {item.name!r}"
        if item.expression is None:  # BMv2 takes an empty expression as false
            cond: model.Expr = model.BoolConst(False)
        else:
            cond = self.operands.boolean(where, item.expression, ())
        return model.Conditional(item.name, cond, item.true_next, item.false_next, source_of(item.source_info))

    def action_call(self, item: doc.ActionCallDoc) -> model.ActionCall:
        where = f"action call {item.name!r}"
        if self._action(where, item.action_id).params:
            raise JsonError(where, f"action {self.actions[item.action_id].name!r} has parameters")
        return model.ActionCall(item.name, item.action_id, item.next_node)

    def _action(self, where: str, action_id: int) -> model.Action:
        if action_id not in self.actions:
            raise JsonError(where, f"no action has the id {action_id}")
        return self.actions[action_id]

    def _call(self, where: str, action_id: int, data: list[str]) -> model.ActionCallSpec:
        action = self._action(where, action_id)
        if len(data) != len(action.params):
            raise JsonError(where, f"action {action.name!r} takes {len(action.params)} parameters, not {len(data)}")
        args = tuple(
            hex_value(where, text) & ((1 << param.width) - 1) for text, param in zip(data, action.params, strict=True)
        )
        return model.ActionCallSpec(action_id, args)

    def table(self, item: doc.TableDoc) -> model.Table:
        where = f"table {item.name!r}"
        if item.match_type not in TABLE_KINDS:
            raise JsonError(where, f"match type {item.match_type!r} is not supported")
        if item.type not in TABLE_TYPES:
            raise JsonError(where, f"table type {item.type!r} is not supported")
        key = tuple(self._key(where, entry) for entry in item.key)
        kind = TABLE_KINDS[item.match_type]
        if sum(field.kind is model.MatchKind.LPM for field in key) > 1:
            raise JsonError(where, "has more than one lpm field")
        for field in key:
            if field.kind in (model.MatchKind.TERNARY, model.MatchKind.RANGE) and kind in (
                model.MatchKind.EXACT,
                model.MatchKind.LPM,
            ):
                raise JsonError(where, f"is {kind.value}, but its field {field.name!r} is {field.kind.value}")

        action_ids = item.action_ids
        if action_ids is None:
            by_name = {action.name: action.id for action in self.actions.values()}
            for name in item.actions:
                if name not in by_name:
                    raise JsonError(where, f"unknown action {name!r}")
            action_ids = [by_name[name] for name in item.actions]
        names = [self._action(where, action_id).name for action_id in action_ids]
        hit_miss, by_action = self._next(where, item, names)

        default = None
        if item.default_entry is not None:
            default = self._call(where, item.default_entry.action_id, item.default_entry.action_data)
            if default.action_id not in action_ids:
                action_ids = [*action_ids, default.action_id]
                by_action.setdefault(self.actions[default.action_id].name, None)
        profile = item.action_profile or item.act_prof_name
        if item.type == "simple":
            profile = None
        elif profile is None or profile not in self.profiles:
            raise JsonError(where, f"unknown action profile {profile!r}")
        if item.type == "indirect_ws" and profile is not None and self.profiles[profile].selector is None:
            raise JsonError(where, f"action profile {profile!r} has no selector")
        if item.entries and item.type != "simple":
            raise JsonError(where, "constant entries need a table of type 'simple'")
        entries = tuple(self._entry(where, key, entry) for entry in item.entries or ())
        size = item.max_size if item.max_size is not None else len(entries)
        return model.Table(
            name=item.name,
            kind=kind,
            key=key,
            size=max(size, len(entries)),
            actions=tuple(action_ids),
            next_by_action=by_action,
            next_hit_miss=hit_miss,
            default=default,
            default_const=bool(item.default_entry and item.default_entry.action_entry_const),
            default_action_const=bool(item.default_entry and item.default_entry.action_const),
            default_next=item.base_default_next,
            with_counters=item.with_counters,
            profile=profile,
            meter=item.direct_meters,
            support_timeout=item.support_timeout,
            entries=entries,
            immutable=bool(item.entries),
            source=source_of(item.source_info),
        )

    def _next(
        self, where: str, item: doc.TableDoc, names: list[str]
    ) -> tuple[tuple[str | None, str | None] | None, dict[str, str | None]]:
        if "__HIT__" in item.next_tables or "__MISS__" in item.next_tables:
            if set(item.next_tables) != {"__HIT__", "__MISS__"}:
                raise JsonError(where, "'next_tables' must have both '__HIT__' and '__MISS__' and nothing else")
            return (item.next_tables["__HIT__"], item.next_tables["__MISS__"]), {}
        for name in names:
            if name not in item.next_tables:
                raise JsonError(where, f"'next_tables' lacks the action {name!r}")
        for name in item.next_tables:
            if name not in names:
                raise JsonError(where, f"'next_tables' names {name!r}, which is not an action of the table")
        return None, dict(item.next_tables)

    def _key(self, where: str, entry: doc.KeyDoc) -> model.KeyField:
        if entry.match_type not in KEY_KINDS:
            raise JsonError(where, f"match type {entry.match_type!r} is not supported")
        kind = KEY_KINDS[entry.match_type]
        if kind is model.MatchKind.VALID:
            if not isinstance(entry.target, str):
                raise JsonError(where, "a key of match type 'valid' needs a header")
            target = field_of(self.operands.headers, where, entry.target, VALID_FIELD.name)
            return model.KeyField(entry.name or entry.target, kind, target)
        if isinstance(entry.target, str) or len(entry.target) != 2:
            raise JsonError(where, f"the key target {entry.target!r} is not a field")
        target = field_of(self.operands.headers, where, entry.target[0], entry.target[1])
        if target.decl.varlen:
            raise JsonError(where, f"the variable-length field {'.'.join(entry.target)!r} cannot be a key")
        mask = hex_value(where, entry.mask) if entry.mask is not None else None
        return model.KeyField(entry.name or ".".join(entry.target), kind, target, mask)

    def _entry(self, where: str, key: tuple[model.KeyField, ...], entry: doc.EntryDoc) -> model.ConstEntry:
        if len(entry.match_key) != len(key):
            raise JsonError(where, f"an entry has {len(entry.match_key)} fields, the key {len(key)}")
        match = tuple(_const_match(where, field, item) for field, item in zip(key, entry.match_key, strict=True))
        call = self._call(where, entry.action_entry.action_id, entry.action_entry.action_data)
        return model.ConstEntry(match, call, entry.priority, source_of(entry.source_info))


def _const_match(where: str, field: model.KeyField, item: doc.MatchKeyDoc) -> model.ConstFieldMatch:
    ones = (1 << field.width) - 1
    if item.match_type == "valid":
        return model.ConstFieldMatch(int(bool(item.key)), ones)
    if item.match_type not in KEY_KINDS or KEY_KINDS[item.match_type] is not field.kind:
        raise JsonError(where, f"an entry matches {field.name!r} by {item.match_type!r}, not {field.kind.value!r}")
    if field.kind is model.MatchKind.RANGE:
        return model.ConstFieldMatch(hex_value(where, item.start) & ones, hex_value(where, item.end) & ones)
    value = hex_value(where, item.key) & ones
    if field.kind is model.MatchKind.TERNARY:
        mask = hex_value(where, item.mask) & ones
    elif field.kind is model.MatchKind.LPM:
        length = item.prefix_length if item.prefix_length is not None else field.width
        if not 0 <= length <= field.width:
            raise JsonError(where, f"an entry has the prefix length {length} for {field.width} bits")
        mask = ones ^ (ones >> length)
    else:
        mask = ones
    return model.ConstFieldMatch(value & mask, mask)
