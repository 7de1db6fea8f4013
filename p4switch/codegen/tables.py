"""Tables: the layout of keys and arguments in words, their descriptions for the runtime, and the code that applies them."""

from __future__ import annotations

from dataclasses import dataclass

from p4switch.bmv2 import model
from p4switch.codegen.calculations import Calculations
from p4switch.codegen.errors import UnsupportedError
from p4switch.codegen.expr import Expressions
from p4switch.codegen.layout import Layout, limbs
from p4switch.codegen.writer import Writer, c_string

MATCH = {
    model.MatchKind.EXACT: "KV_EXACT",
    model.MatchKind.VALID: "KV_EXACT",
    model.MatchKind.LPM: "KV_LPM",
    model.MatchKind.TERNARY: "KV_TERNARY",
    model.MatchKind.RANGE: "KV_RANGE",
}


HINTED_SIZE = 4096
"""Entries from which a table is large: its memory is asked for ahead of its look-ups."""
MAX_HINTS = 4  # KV_MAX_HINTS


@dataclass(frozen=True, slots=True)
class Word:
    """Where a field lies in the words of a key or of an action's arguments."""

    limb: int
    shift: int


def pack(widths: list[int]) -> tuple[list[Word], int]:
    """Places for fields of these widths, and the number of words: a field of up to 64 bits never crosses a word.

    The widest go first, so that small fields fill the words that are not full.
    """
    places: dict[int, Word] = {}
    free: list[list[int]] = []  # [limb, bits used]
    count = 0
    for index in sorted(range(len(widths)), key=lambda i: -widths[i]):
        width = widths[index]
        room = next((slot for slot in free if slot[1] + width <= 64), None) if width < 64 else None
        if room is not None:
            places[index] = Word(room[0], room[1])
            room[1] += width
            continue
        places[index] = Word(count, 0)
        if width % 64:
            free.append([count + limbs(width) - 1, width % 64])
        count += limbs(width)
    return [places[i] for i in range(len(widths))], count


def arg_limbs(action: model.Action) -> tuple[tuple[int, ...], int]:
    """The first word of each parameter, and the number of words; each parameter has words of its own."""
    starts: list[int] = []
    count = 0
    for param in action.params:
        starts.append(count)
        count += limbs(param.width)
    return tuple(starts), count


def table_kind(table: model.Table) -> model.MatchKind:
    """The kind of look-up: by the key, since a ternary table may have exact fields only."""
    kinds = {field.kind for field in table.key}
    if model.MatchKind.RANGE in kinds:
        return model.MatchKind.RANGE
    if model.MatchKind.TERNARY in kinds or table.kind in (model.MatchKind.TERNARY, model.MatchKind.RANGE):
        return model.MatchKind.TERNARY
    return model.MatchKind.LPM if model.MatchKind.LPM in kinds else model.MatchKind.EXACT


def action_names(program: model.Program, table: model.Table) -> list[str]:
    """The actions that an entry or the default entry can name, in the runtime's numbering."""
    return list(dict.fromkeys(program.actions[action_id].name for action_id in table.actions))


def profile_actions(program: model.Program, profile: str) -> list[str]:
    """The actions that a member can name, in the runtime's numbering."""
    return list(
        dict.fromkeys(
            program.actions[action_id].name
            for table in program.tables()
            if table.profile == profile
            for action_id in table.actions
        )
    )


def action_of(program: model.Program, table: model.Table, name: str) -> model.Action | None:
    return next(
        (program.actions[action_id] for action_id in table.actions if program.actions[action_id].name == name), None
    )


class TableCode:
    """Writes descriptions and `apply` code of tables."""

    def __init__(self, layout: Layout, calculations: Calculations, actions: dict[int, str], out: Writer) -> None:
        self.layout = layout
        self.program = layout.program
        self.calculations = calculations
        self.actions = actions  # C function of each action
        self.out = out
        self.numbers = {table.name: number for number, table in enumerate(self.program.tables())}
        self.profiles = {name: number for number, name in enumerate(self.program.profiles)}

    # -- descriptions

    def _fields(self, name: str, widths: list[int], places: list[Word], matches: list[str]) -> None:
        with self.out.block(f"static const struct kv_field_spec {name}[] ="):
            ranges = 0
            for width, place, match in zip(widths, places, matches, strict=True):
                self.out.line(
                    f"{{{width}, {(width + 7) // 8}, {place.limb}, {place.shift}, {match}, "
                    f"{ranges if match == 'KV_RANGE' else 0}}},"
                )
                ranges += match == "KV_RANGE"
            if not widths:
                self.out.line("{0, 0, 0, 0, 0, 0},")
        self.out.line(";")

    def _actions(self, name: str, actions: list[model.Action]) -> None:
        for number, action in enumerate(actions):
            starts, _ = arg_limbs(action)
            widths = [param.width for param in action.params]
            self._fields(f"{name}_{number}", widths, [Word(start, 0) for start in starts], ["0"] * len(widths))
        with self.out.block(f"static const struct kv_action_spec {name}[] ="):
            for number, action in enumerate(actions):
                size = sum((param.width + 7) // 8 for param in action.params)
                self.out.line(
                    f"{{{c_string(action.name)}, {len(action.params)}, {size}, {arg_limbs(action)[1]}, {name}_{number}}},"
                )
            if not actions:
                self.out.line("{0},")
        self.out.line(";")

    def write_specs(self) -> None:
        """`kv_tables` and `kv_profiles`."""
        rows: list[str] = []
        for number, table in enumerate(self.program.tables()):
            places, words = pack([field.width for field in table.key])
            matches = [MATCH[field.kind] for field in table.key]
            self._fields(f"key_{number}", [field.width for field in table.key], places, matches)
            names = action_names(self.program, table)
            actions = [action for name in names if (action := action_of(self.program, table, name))]
            self._actions(f"actions_{number}", actions)
            meter = self.program.meters[table.meter] if table.meter is not None else None
            profile = self.profiles[table.profile] if table.profile is not None else -1
            rows.append(
                f"{{{c_string(table.name)}, {MATCH[table_kind(table)]}, {int(table.with_counters)}, "
                f"{meter.rates if meter else 0}, {int(meter.per_byte) if meter else 0}, "
                f"{int(table.support_timeout)}, {profile}, {len(table.key)}, "
                f"{sum((field.width + 7) // 8 for field in table.key)}, {words}, {matches.count('KV_RANGE')}, "
                f"{len(actions)}, {table.size}, key_{number}, actions_{number}}},"
            )
        self._array("kv_table_spec", "kv_tables", rows)
        rows = []
        for number, profile_model in enumerate(self.program.profiles.values()):
            actions = []
            for name in profile_actions(self.program, profile_model.name):
                found = next(
                    action_of(self.program, table, name)
                    for table in self.program.tables()
                    if table.profile == profile_model.name and action_of(self.program, table, name)
                )
                assert found is not None
                actions.append(found)
            self._actions(f"profile_actions_{number}", actions)
            rows.append(
                f"{{{c_string(profile_model.name)}, {int(profile_model.selector is not None)}, {len(actions)}, "
                f"{profile_model.size}, profile_actions_{number}}},"
            )
        self._array("kv_profile_spec", "kv_profiles", rows)

    def _array(self, ctype: str, name: str, rows: list[str]) -> None:
        with self.out.block(f"static const struct {ctype} {name}[] ="):
            for row in rows or ["{0},"]:
                self.out.line(row)
        self.out.line(";")
        self.out.line()

    # -- application

    def apply(self, table: model.Table, goto: dict[str | None, str]) -> None:
        """Look-up and action of `table`, then the jump to what comes next; `goto` gives the C for each successor."""
        out, number = self.out, self.numbers[table.name]
        where = f"table {table.name!r}"
        out.comment(table.source, f"{table.name}.apply()")
        with out.block():
            out.line(f"struct kv_table *const table = &ctx->pipeline->tables[{number}];")
            if table.key:
                self._look_up(table, where)
            else:
                out.line("const struct kv_entry *entry = NULL;")
            profile = self.program.profiles[table.profile] if table.profile is not None else None
            if self.layout.traced:
                out.line("const struct kv_entry *const found = entry;")
            if profile is not None:
                self._resolve(table, profile)
            else:
                out.line("const bool hit = entry != NULL;")
            if table.key and (table.with_counters or table.meter or table.support_timeout):
                with out.block("if (hit)"):
                    if table.support_timeout:
                        out.line("kv_hit(entry->direct, ctx->now_us);")
                    if table.with_counters:
                        out.line("kv_count(&entry->direct->counter, packet->ingress_length);")
                    if table.meter is not None:
                        self._direct_meter(where, self.program.meters[table.meter])
            if profile is None:
                out.line("if (!hit)")
                out.line("    entry = KV_LOAD(&table->default_entry);")
            if self.layout.traced:
                key, chosen = "key" if table.key else "NULL", "chosen" if profile is not None else "NULL"
                out.line(f"kv_trace_table(ctx, {number}, {key}, found, entry, hit, {chosen});")
            self._dispatch(table, goto)

    def write_hints(self) -> list[int]:
        """`kv_hint_hashes`, from the parser's result; returns the numbers of the tables it is for: large and exact ones."""
        out = self.out
        pure = all(not isinstance(op, model.Call) for state in self.program.parser.states.values() for op in state.ops)
        large = [
            table
            for table in self.program.tables()
            if pure and table.key and table_kind(table) is model.MatchKind.EXACT and table.size >= HINTED_SIZE
        ]
        large = sorted(large, key=lambda table: -table.size)[:MAX_HINTS]
        with out.block("static inline void kv_hint_hashes(struct kv_ctx *ctx, const struct phv *h, uint64_t *hashes)"):
            out.line("(void)ctx, (void)h, (void)hashes;")
            for index, table in enumerate(large):
                with out.block():
                    words = self._key(table, f"table {table.name!r}")[0]
                    seed = f"ctx->pipeline->tables[{self.numbers[table.name]}].seed"
                    out.line(f"hashes[{index}] = kv_hash_words(key, {words}, {seed});")
        return [self.numbers[table.name] for table in large]

    def _key(self, table: model.Table, where: str) -> tuple[int, list[str]]:
        """C variable `key`; the number of its words, and the values of the range fields."""
        out = self.out
        code = Expressions(self.layout, out, where)
        widths = [field.width for field in table.key]
        places, words = pack(widths)
        pieces: list[list[str]] = [[] for _ in range(words)]
        ranges: list[str] = []
        for field, place in zip(table.key, places, strict=True):
            for i in range(limbs(field.width)):
                count = min(64, field.width - 64 * i)
                text = self._key_bits(code, field, 64 * i, count)
                if field.kind is model.MatchKind.RANGE:
                    if field.width > 64:
                        raise UnsupportedError(where, f"the range field {field.name!r} is wider than 64 bits")
                    text = out.temp("uint64_t", text)
                    ranges.append(text)
                pieces[place.limb + i].append(f"({text} << {place.shift})" if place.shift else text)
        values = ", ".join(" | ".join(piece) for piece in pieces)
        out.line(f"const uint64_t key[{words}] = {{{values}}};")
        return words, ranges

    def _look_up(self, table: model.Table, where: str) -> None:
        out = self.out
        words, ranges = self._key(table, where)
        kind = table_kind(table)
        if kind is model.MatchKind.EXACT:
            call = f"kv_lookup_exact(table, key, {words})"
        elif kind is model.MatchKind.LPM:
            call = f"kv_lookup_lpm(table, key, {words})"
        elif ranges:
            out.line(f"const uint64_t ranges[{len(ranges)}] = {{{', '.join(ranges)}}};")
            call = f"kv_lookup_tuples(table, key, {words}, ranges, {len(ranges)})"
        else:
            call = f"kv_lookup_tuples(table, key, {words}, NULL, 0)"
        out.line(f"const struct kv_entry *entry = {call};")

    def _key_bits(self, code: Expressions, field: model.KeyField, low: int, count: int) -> str:
        """BMv2: a field of an invalid header counts as zero, in a key."""
        ref = model.FieldRef(field.target.header, model.FieldDecl(field.target.decl.name, field.target.decl.width))
        value: model.Expr = ref
        if field.mask is not None:
            value = model.Binary("&", ref, model.Const(field.mask))
        text = code.bits(value, low, count)
        header = self.program.headers[ref.header]
        if header.metadata or ref.decl.name == "$valid$":
            return text
        return f"({self.layout.header(ref.header)}.valid ? {text} : 0)"

    def _resolve(self, table: model.Table, profile: model.ActionProfile) -> None:
        """From the entry of an indirect table (or the default one) to a member's action; an empty group is a miss."""
        out = self.out
        out.line("bool hit = entry != NULL;")
        out.line("if (!hit)")
        out.line("    entry = KV_LOAD(&table->default_entry);")
        out.line("const struct kv_member_action *chosen = NULL;")
        with out.block("for (;;)"):
            out.line("const struct kv_member *member = NULL;")
            with out.block("if (entry && entry->kind == KV_MEMBER)"):
                out.line("member = entry->member;")
            if profile.selector is not None:
                with out.block("else if (entry && entry->kind == KV_GROUP)"):
                    out.line("const struct kv_group_view *const view = KV_LOAD(&entry->group->current);")
                    out.line("if (view->count)")
                    choice = self.calculations.call(f"selector {profile.name}")
                    out.line(f"    member = view->members[{choice} % view->count];")
            out.line("chosen = member ? KV_LOAD(&member->current) : NULL;")
            out.line("if (chosen || !hit)")
            out.line("    break;")
            out.line("hit = false;")
            out.line("entry = KV_LOAD(&table->default_entry);")

    def _direct_meter(self, where: str, meter: model.Meter) -> None:
        if meter.target is None:
            raise UnsupportedError(where, f"direct meter {meter.name!r} has no result field")
        ref = meter.target
        path = f"{self.layout.header(ref.header)}.{self.layout.field(self.program.headers[ref.header].type, ref.decl)}"
        self.out.line(
            f"{path} = kv_meter_execute(entry->direct->meter, {meter.rates}, {str(meter.per_byte).lower()}, "
            "packet->ingress_length, ctx->now_us);"
        )

    def _dispatch(self, table: model.Table, goto: dict[str | None, str]) -> None:
        out = self.out
        at = pack([field.width for field in table.key])[1]
        at += 2 * sum(field.kind is model.MatchKind.RANGE for field in table.key)
        own = action_names(self.program, table)
        if table.profile is not None:
            names = profile_actions(self.program, table.profile)
            with out.block("if (chosen)"), out.block("switch (chosen->action)"):
                self._cases(table, names, "chosen->args", goto)
            with out.block("else if (entry && entry->kind == KV_ACTION)"), out.block("switch (entry->action)"):
                self._cases(table, own, f"entry->words + {at}", goto)
        else:
            with out.block("if (entry)"), out.block("switch (entry->action)"):
                self._cases(table, own, f"entry->words + {at}", goto)
        if table.next_hit_miss is not None:
            out.line(f"if (hit) {goto[table.next_hit_miss[0]]}")
            out.line(goto[table.next_hit_miss[1]])
        else:
            out.line(goto[table.default_next])

    def _cases(self, table: model.Table, names: list[str], args: str, goto: dict[str | None, str]) -> None:
        out = self.out
        for number, name in enumerate(names):
            action = action_of(self.program, table, name)
            if action is None:
                continue
            out.line(f"case {number}:")
            out.line(f"    {self.actions[action.id]}(ctx, packet, h, {args});")
            if any(primitive.op in ("exit", "assert", "assume") for primitive in action.body):
                out.line("    if (packet->exited)")
                out.line("        return;")
            if table.next_hit_miss is None:
                out.line(f"    {goto[table.next_by_action.get(name)]}")
            else:
                out.line("    break;")
