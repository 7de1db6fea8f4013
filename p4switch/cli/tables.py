"""Commands on tables and their entries."""

from __future__ import annotations

from collections.abc import Callable

from p4switch.cli.base import EXACTLY, Commands, command
from p4switch.cli.errors import CommandError
from p4switch.cli.program import Action, Table
from p4switch.cli.values import dumped_param, integer, parse_data, parse_key, spelled, spelled_param
from p4switch.thrift.services import ActionEntry, ActionEntryType, AddEntryOptions, MatchParam, MatchType, MtEntry

LINE = "=" * 10
STARS = "*" * 10


class TableCommands(Commands):
    # -- parts

    def _table(self, name: str) -> Table:
        return self.program.tables.get(name)

    def _action(self, table: Table, table_name: str, name: str) -> Action:
        action = self.program.action_of(table, name)
        if action is None:
            raise CommandError(f"Table {table_name} has no action {name}")
        return action

    @staticmethod
    def _priority(table: Table, words: list[str]) -> int:
        """The priority at the end of the words, which is taken off; 0 where a table has none."""
        if not table.prioritised:
            return 0
        try:
            return int(words.pop())
        except (ValueError, IndexError):
            raise CommandError(f"Table is {table.match}, but could not extract a valid priority from args") from None

    @staticmethod
    def _at_arrow(words: list[str]) -> tuple[list[str], list[str]]:
        if "=>" not in words:
            raise CommandError("'=>' is missing between the match fields and what follows")
        at = words.index("=>")
        return words[:at], words[at + 1 :]

    @staticmethod
    def _handle(text: str, what: str = "entry handle") -> int:
        """Decimal, or in hexadecimal as the dumps print it."""
        try:
            return int(text, 0)
        except ValueError:
            raise CommandError(f"Bad format for {what}") from None

    def _need_indirect(self, table: Table, *, selector: bool = False) -> None:
        if selector and table.kind != "indirect_ws":
            raise CommandError("Cannot run this command on non-indirect table, or on indirect table with no selector")
        if table.kind == "simple":
            raise CommandError("Cannot run this command on non-indirect table")

    # -- the program

    @command("show_tables: the program's tables.", 0, EXACTLY)
    def do_show_tables(self, words: list[str]) -> None:
        for _, table in sorted(self.program.tables.all.items()):
            print(table.describe())

    @command("show_actions: the program's actions.", 0, EXACTLY)
    def do_show_actions(self, words: list[str]) -> None:
        for _, action in sorted(self.program.actions.all.items()):
            print(action.describe())

    @command("table_show_actions TABLE: the actions of a table.", 1, EXACTLY)
    def do_table_show_actions(self, words: list[str]) -> None:
        for _, action in sorted(self._table(words[0]).actions.items()):
            print(action.describe())

    @command("table_info TABLE: the key and the actions of a table.", 1, EXACTLY)
    def do_table_info(self, words: list[str]) -> None:
        table = self._table(words[0])
        print(table.describe())
        print("*" * 80)
        for _, action in sorted(table.actions.items()):
            print(action.describe())

    # -- entries of direct tables

    @command("table_add TABLE ACTION MATCH... => [PARAMETER...] [PRIORITY]: add an entry.", 3)
    def do_table_add(self, words: list[str]) -> None:
        table = self._table(words[0])
        action = self._action(table, words[0], words[1])
        priority = self._priority(table, words)
        fields, params = self._at_arrow(words[2:])
        data = parse_data(action, params)
        key = parse_key(table, fields)
        print("Adding entry to", table.match, "match table", words[0])
        self._echo("match key:", "\t".join(spelled_param(param) for param in key))
        self._echo("action:", words[1])
        self._echo("runtime data:", "\t".join(spelled(item) for item in data))
        handle = self.standard("bm_mt_add_entry", table.name, key, action.name, data, AddEntryOptions(priority))
        print("Entry has been added with handle", handle)

    @staticmethod
    def _echo(what: str, text: str) -> None:
        print(f"{what:20} {text}")

    @command("table_set_default TABLE ACTION [PARAMETER...]: set what happens on a miss.", 2)
    def do_table_set_default(self, words: list[str]) -> None:
        table = self._table(words[0])
        action = self._action(table, words[0], words[1])
        params = words[3:] if words[2:3] == ["=>"] else words[2:]
        data = parse_data(action, params, words[1])
        print("Setting default action of", words[0])
        self._echo("action:", words[1])
        self._echo("runtime data:", "\t".join(spelled(item) for item in data))
        self.standard("bm_mt_set_default_action", table.name, action.name, data)

    @command("table_reset_default TABLE: restore the program's default action.", 1, EXACTLY)
    def do_table_reset_default(self, words: list[str]) -> None:
        self.standard("bm_mt_reset_default_entry", self._table(words[0]).name)

    @command("table_modify TABLE ACTION HANDLE [=>] [PARAMETER...]: change what an entry does.", 3)
    def do_table_modify(self, words: list[str]) -> None:
        table = self._table(words[0])
        action = self._action(table, words[0], words[1])
        handle = self._handle(words[2])
        params = words[4:] if words[3:4] == ["=>"] else words[3:]
        data = parse_data(action, params)
        print("Modifying entry", handle, "for", table.match, "match table", words[0])
        self.standard("bm_mt_modify_entry", table.name, handle, action.name, data)

    @command("table_delete TABLE HANDLE: delete an entry.", 2, EXACTLY)
    def do_table_delete(self, words: list[str]) -> None:
        table, handle = self._table(words[0]), self._handle(words[1])
        print("Deleting entry", handle, "from", words[0])
        self.standard("bm_mt_delete_entry", table.name, handle)

    @command("table_clear TABLE: delete all entries, but not the default action.", 1, EXACTLY)
    def do_table_clear(self, words: list[str]) -> None:
        self.standard("bm_mt_clear_entries", self._table(words[0]).name, False)

    @command("table_num_entries TABLE: how many entries there are.", 1, EXACTLY)
    def do_table_num_entries(self, words: list[str]) -> None:
        print(self.standard("bm_mt_get_num_entries", self._table(words[0]).name))

    @command("table_set_timeout TABLE HANDLE MILLISECONDS: an entry is idle after this time.", 3, EXACTLY)
    def do_table_set_timeout(self, words: list[str]) -> None:
        table = self._table(words[0])
        if not table.support_timeout:
            raise CommandError(f"Table {words[0]} does not support entry timeouts")
        handle, timeout = self._handle(words[1]), integer(words[2], "timeout")
        print("Setting a", timeout, "ms timeout for entry", handle)
        self.standard("bm_mt_set_entry_ttl", table.name, handle, timeout)

    # -- entries of indirect tables

    def _indirect_add(self, words: list[str], *, selector: bool) -> tuple[str, list[MatchParam], int, AddEntryOptions]:
        table = self._table(words[0])
        self._need_indirect(table, selector=selector)
        priority = self._priority(table, words)
        fields, rest = self._at_arrow(words[1:])
        if len(rest) != 1:
            raise CommandError("Invalid arguments, could not find handle")
        handle = self._handle(rest[0], "handle")
        key = parse_key(table, fields)
        print("Adding entry to indirect match table", table.name)
        return table.name, key, handle, AddEntryOptions(priority)

    @command("table_indirect_add TABLE MATCH... => MEMBER [PRIORITY]: add an entry that points to a member.", 2)
    def do_table_indirect_add(self, words: list[str]) -> None:
        handle = self.standard("bm_mt_indirect_add_entry", *self._indirect_add(words, selector=False))
        print("Entry has been added with handle", handle)

    @command("table_indirect_add_with_group TABLE MATCH... => GROUP [PRIORITY]: ... that points to a group.", 2)
    def do_table_indirect_add_with_group(self, words: list[str]) -> None:
        handle = self.standard("bm_mt_indirect_ws_add_entry", *self._indirect_add(words, selector=True))
        print("Entry has been added with handle", handle)

    @command("table_indirect_delete TABLE HANDLE: delete an entry.", 2, EXACTLY)
    def do_table_indirect_delete(self, words: list[str]) -> None:
        table, handle = self._table(words[0]), self._handle(words[1])
        self._need_indirect(table)
        print("Deleting entry", handle, "from", words[0])
        self.standard("bm_mt_indirect_delete_entry", table.name, handle)

    @command("table_indirect_set_default TABLE MEMBER: the member that is used on a miss.", 2, EXACTLY)
    def do_table_indirect_set_default(self, words: list[str]) -> None:
        table = self._table(words[0])
        self._need_indirect(table)
        self.standard("bm_mt_indirect_set_default_member", table.name, self._handle(words[1], "handle"))

    @command("table_indirect_set_default_with_group TABLE GROUP: the group that is used on a miss.", 2, EXACTLY)
    def do_table_indirect_set_default_with_group(self, words: list[str]) -> None:
        table = self._table(words[0])
        self._need_indirect(table, selector=True)
        self.standard("bm_mt_indirect_ws_set_default_group", table.name, self._handle(words[1], "handle"))

    @command("table_indirect_reset_default TABLE: restore the program's default.", 1, EXACTLY)
    def do_table_indirect_reset_default(self, words: list[str]) -> None:
        self.standard("bm_mt_indirect_reset_default_entry", self._table(words[0]).name)

    # -- dumps

    def dump_data(self, name: str | None, data: list[bytes] | None) -> None:
        print(f"Action entry: {name} - {', '.join(item.hex() for item in data or [])}")

    def _dump_action(self, entry: ActionEntry) -> None:
        match entry.action_type:
            case ActionEntryType.NONE:
                print("EMPTY")
            case ActionEntryType.ACTION_DATA:
                self.dump_data(entry.action_name, entry.action_data)
            case ActionEntryType.MBR_HANDLE:
                print(f"Index: member({entry.mbr_handle})")
            case ActionEntryType.GRP_HANDLE:
                print(f"Index: group({entry.grp_handle})")

    def _dump_entry(self, table: Table, entry: MtEntry) -> None:
        width = max([20, *(len(field.name) for field in table.key)])
        print(f"Dumping entry {hex(entry.entry_handle)}")
        print("Match key:")
        for param, field in zip(entry.match_key, table.key, strict=False):
            print(f"* {field.name:{width}}: {MatchType(param.type).name:10}{dumped_param(param)}")
        if (entry.options.priority or 0) >= 0 and entry.options.priority is not None:
            print(f"Priority: {entry.options.priority}")
        self._dump_action(entry.action_entry)
        if entry.life is not None:
            print(f"Life: {entry.life.time_since_hit_ms}ms since hit, timeout is {entry.life.timeout_ms}ms")

    @command("table_dump_entry TABLE HANDLE: one entry.", 2, EXACTLY)
    def do_table_dump_entry(self, words: list[str]) -> None:
        table = self._table(words[0])
        self._dump_entry(table, self.standard("bm_mt_get_entry", table.name, self._handle(words[1])))

    @command("table_dump_entry_from_key TABLE MATCH... [PRIORITY]: the entry with this key.", 1)
    def do_table_dump_entry_from_key(self, words: list[str]) -> None:
        table = self._table(words[0])
        priority = self._priority(table, words)
        key = parse_key(table, words[1:])
        self._dump_entry(table, self.standard("bm_mt_get_entry_from_key", table.name, key, AddEntryOptions(priority)))

    def dump_profile(self, name: str) -> None:
        """Defined with the action profiles."""
        raise NotImplementedError

    @command("table_dump TABLE: all entries, and the default action.", 1, EXACTLY)
    def do_table_dump(self, words: list[str]) -> None:
        table = self._table(words[0])
        entries = self.standard("bm_mt_get_entries", table.name)
        print(LINE)
        print("TABLE ENTRIES")
        for entry in entries:
            print(STARS)
            self._dump_entry(table, entry)
        if table.profile is not None:
            self.dump_profile(table.profile.name)
        print(LINE)
        print("Dumping default entry")
        self._dump_action(self.standard("bm_mt_get_default_entry", table.name))
        print(LINE)

    # -- completion

    def complete_tables(self, text: str, line: str, begin: int, end: int) -> list[str]:
        words = line[:begin].split()
        if len(words) == 1:
            return self.program.tables.complete(text)
        table = self.program.tables.find(words[1])
        if len(words) == 2 and table is not None:
            return sorted(name for name in table.actions if name.startswith(text))
        return []

    def completedefault(self, *ignored: object) -> list[str]:
        text, line, begin, end = ignored
        assert isinstance(text, str)
        assert isinstance(line, str)
        assert isinstance(begin, int)
        assert isinstance(end, int)
        name = line.split()[0]
        if name.startswith("table_"):
            return self.complete_tables(text, line, begin, end)
        complete: dict[str, Callable[[str], list[str]]] = {
            "act_prof_": self.program.profiles.complete,
            "counter_": self.program.counters.complete,
            "meter_": self.program.meters.complete,
            "register_": self.program.registers.complete,
            "pvs_": self.program.value_sets.complete,
        }
        return next((names(text) for prefix, names in complete.items() if name.startswith(prefix)), [])
