"""Random commands for simple_switch_CLI on the program `tools.p4`: right ones, and some that are wrong in a place or two."""

from __future__ import annotations

import random
from collections.abc import Callable

_ADDRESSES = ("10.0.0.0", "10.1.0.0", "1.2.3.4", "0x0a000001", "255.255.255.255", "7", "0")
_SMALL = ("0", "1", "2", "3", "7", "15", "255")
_WRONG = ("-1", "x", "256", "99999999999", "0x", "nowhere", "1.2.3", "")


class CommandWriter:
    """Writes commands; numbers of entries, members and nodes are small, so that they often exist."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self._makers: tuple[Callable[[], str], ...] = (
            *(self._route, self._route, self._rule, self._rule, self._entry, self._entry, self._table, self._table),
            *(self._member, self._group, self._indirect, self._multicast, self._multicast, self._mirroring),
            *(self._array, self._array, self._meter, self._value_set),
        )

    def commands(self, count: int) -> list[str]:
        return [self._spoilt(self.rng.choice(self._makers)()) for _ in range(count)]

    def _spoilt(self, command: str) -> str:
        """A word is now and then something else, missing, or there twice."""
        words = command.split(" ")
        kind = self.rng.random()
        at = self.rng.randrange(1, len(words)) if len(words) > 1 else 0
        if at == 0 or kind > 0.08 or command.startswith("mirroring_add"):  # BMv2 takes any session, -1 as well
            return command
        if kind < 0.04:
            words[at] = self.rng.choice(_WRONG)
        elif kind < 0.06:
            del words[at]
        else:
            words.insert(at, words[at])
        return " ".join(words)

    def _pick(self, *words: str) -> str:
        return self.rng.choice(words)

    def _number(self, below: int = 6) -> str:
        return str(self.rng.randrange(below))

    def _prefix(self) -> str:
        return f"{self._pick(*_ADDRESSES)}/{self._pick('8', '12', '16', '24', '31', '32', '0')}"

    def _action(self) -> str:
        """With its parameters behind an arrow."""
        return self._pick(f"forward => {self._pick(*_SMALL)}", "pass =>", f"spread => {self._number()}")

    def _mark(self) -> str:
        return self._pick(
            f"mark => aa:bb:cc:dd:ee:ff 10.0.0.{self._number()} ::{self._number()} {self._pick(*_SMALL)}", "nothing =>"
        )

    def _route(self) -> str:
        name, arrow, rest = self._action().partition(" =>")
        return f"table_add routes {name} {self._prefix()} {arrow.strip()}{rest}"

    def _rule_key(self) -> str:
        low, high = sorted(self.rng.choices((0, 1, 5, 80, 65535), k=2))
        return (
            f"{self._pick(*_ADDRESSES)} {low}->{high} {self._pick('0', '1', '0x10', '255')}&&&"
            f"{self._pick('0', '255', '0xf0', '1')} {self._pick('0', '1')}"
        )

    def _rule(self) -> str:
        name, arrow, rest = self._mark().partition(" =>")
        return f"table_add rules {name} {self._rule_key()} {arrow.strip()}{rest} {self._number(4)}"

    def _entry(self) -> str:
        table = self._pick("routes", "rules", "fixed", "balanced")
        handle = self._number(8)
        name, arrow, rest = (self._action() if table == "routes" else self._mark()).partition(" =>")
        return self._pick(
            f"table_delete {table} {handle}",
            f"table_modify {table} {name} {handle} {arrow.strip()}{rest}",
            f"table_dump_entry {table} {handle}",
            f"table_set_timeout {table} {handle} {self._pick('0', '1000', '60000')}",
        )

    def _table(self) -> str:
        table = self._pick("routes", "rules", "fixed", "balanced")
        action = self._pick("pass", "nothing", "forward 3", "spread 2", "mark 1 2 3 4")
        return self._pick(
            f"table_dump {table}",
            f"table_num_entries {table}",
            f"table_info {table}",
            f"table_set_default {table} {action}",
            f"table_reset_default {table}",
            f"table_clear {self._pick('rules', 'routes')}",
            f"table_dump_entry_from_key routes {self._prefix()}",
            f"table_dump_entry_from_key rules {self._rule_key()} {self._number(4)}",
        )

    def _member(self) -> str:
        action = self._pick("mirror", "nothing", "mark 1 2 3 4", "mark aa:bb:cc:dd:ee:ff 1.2.3.4 ::1 9")
        name, _, rest = action.partition(" ")
        return self._pick(
            f"act_prof_create_member members {action}",
            f"act_prof_create_member members {action}",
            f"act_prof_modify_member members {name} {self._number()} {rest}".rstrip(),
            f"act_prof_delete_member members {self._number()}",
            f"act_prof_dump_member members {self._number()}",
        )

    def _group(self) -> str:
        return self._pick(
            "act_prof_create_group members",
            f"act_prof_add_member_to_group members {self._number()} {self._number(3)}",
            f"act_prof_add_member_to_group members {self._number()} {self._number(3)}",
            f"act_prof_remove_member_from_group members {self._number()} {self._number(3)}",
            f"act_prof_delete_group members {self._number(3)}",
            f"act_prof_dump_group members {self._number(3)}",
            "act_prof_dump members",
        )

    def _indirect(self) -> str:
        return self._pick(
            f"table_indirect_add balanced {self._pick(*_SMALL)} => {self._number()}",
            f"table_indirect_add_with_group balanced {self._pick(*_SMALL)} => {self._number(3)}",
            f"table_indirect_delete balanced {self._number()}",
            f"table_indirect_set_default balanced {self._number()}",
            f"table_indirect_set_default_with_group balanced {self._number(3)}",
            "table_indirect_reset_default balanced",
        )

    def _multicast(self) -> str:
        ports = " ".join(sorted({self._pick(*_SMALL) for _ in range(2)}, key=int))
        return self._pick(
            f"mc_mgrp_create {self._number()}",
            f"mc_mgrp_destroy {self._number()}",
            f"mc_node_create {self._number()} {ports}",
            f"mc_node_create {self._number()} {ports} | {self._number()}",
            f"mc_node_update {self._number()} {ports}",
            f"mc_node_associate {self._number()} {self._number()}",
            f"mc_node_associate {self._number()} {self._number()}",
            f"mc_node_dissociate {self._number()} {self._number()}",
            f"mc_node_destroy {self._number()}",
            f"mc_set_lag_membership {self._number()} {ports}",
            "mc_dump",
        )

    def _mirroring(self) -> str:
        return self._pick(
            f"mirroring_add {self._number()} {self._pick(*_SMALL)}",
            f"mirroring_add_mc {self._number()} {self._number()}",
            f"mirroring_delete {self._number()}",
            f"mirroring_get {self._number()}",
        )

    def _array(self) -> str:
        return self._pick(
            f"counter_read I.indexed {self._number(9)}",
            f"counter_write indexed {self._number(9)} {self._pick(*_SMALL)} {self._pick(*_SMALL)}",
            f"counter_read hits {self._number()}",
            f"counter_write hits {self._number()} 3 300",
            f"counter_reset {self._pick('indexed', 'hits')}",
            f"register_write last {self._number()} {self._pick('0', '5', '4294967295', '4294967296', '0x10')}",
            f"register_read last {self._number()}",
            "register_read last",
            "register_reset last",
        )

    def _meter(self) -> str:
        # Not from the highest to the lowest: BMv2 refuses these, and keeps a part of them.
        rates = self._pick("0.1:10 0.2:20", "0.5:1 0.75:2", "1:1", "0.001:5 0.001:5")
        meter = self._pick("rate", "direct_rate")
        return self._pick(
            f"meter_set_rates {meter} {self._number()} {rates}",
            f"meter_get_rates {meter} {self._number()}",
            f"meter_array_set_rates rate {rates}",  # of a direct meter, BMv2 means the entries to come, too
        )

    def _value_set(self) -> str:
        value = self._pick("0x0123", "5", "0xffff", "0x10000")
        return self._pick(
            f"pvs_add special {value}", f"pvs_remove special {value}", "pvs_get special", "pvs_clear special"
        )
