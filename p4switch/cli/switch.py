"""Commands on the switch: multicast, mirroring, queues, ports, configurations, time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from p4switch.cli.base import EXACTLY, Commands, command
from p4switch.cli.errors import CommandError
from p4switch.cli.program import read_program
from p4switch.cli.values import integer
from p4switch.thrift.services import MirroringSession

MAX_BIT = 65535


def bitmap(words: Sequence[str], what: str = "port") -> str:
    """A string of 0s and 1s with a 1 for each of the numbers, number 0 last."""
    numbers: set[int] = set()
    for word in words:
        if not word.isdecimal() or int(word) > MAX_BIT:
            raise CommandError(f"'{word}' is not a valid {what} number")
        if int(word) in numbers:
            raise CommandError(f"Found duplicate {what} number '{word}'")
        numbers.add(int(word))
    return "".join("1" if number in numbers else "0" for number in range(max(numbers, default=-1), -1, -1))


class SwitchCommands(Commands):
    # -- multicast

    def _replication(self, name: str, *arguments: Any) -> Any:
        return self.client.call("simple_pre_lag", name, *arguments)

    @command("mc_mgrp_create GROUP: create a multicast group.", 1, EXACTLY)
    def do_mc_mgrp_create(self, words: list[str]) -> None:
        group = integer(words[0], "multicast group id")
        print("Creating multicast group", group)
        self._replication("bm_mc_mgrp_create", group)

    @command("mc_mgrp_destroy GROUP: destroy a multicast group.", 1, EXACTLY)
    def do_mc_mgrp_destroy(self, words: list[str]) -> None:
        group = integer(words[0], "multicast group id")
        print("Destroying multicast group", group)
        self._replication("bm_mc_mgrp_destroy", group)

    @staticmethod
    def _maps(words: list[str]) -> tuple[str, str]:
        at = words.index("|") if "|" in words else len(words)
        return bitmap(words[:at]), bitmap(words[at + 1 :], "lag")

    @command("mc_node_create RID [PORT...] [| LAG...]: create a node: copies with one replication id.", 1)
    def do_mc_node_create(self, words: list[str]) -> None:
        rid, (ports, lags) = integer(words[0], "rid"), self._maps(words[1:])
        print("Creating node with rid", rid, ", port map", ports, "and lag map", lags)
        print("node was created with handle", self._replication("bm_mc_node_create", rid, ports, lags))

    @command("mc_node_update NODE PORT... [| LAG...]: change a node's ports.", 2)
    def do_mc_node_update(self, words: list[str]) -> None:
        node, (ports, lags) = integer(words[0], "node handle"), self._maps(words[1:])
        print("Updating node", node, "with port map", ports, "and lag map", lags)
        self._replication("bm_mc_node_update", node, ports, lags)

    @command("mc_node_associate GROUP NODE: put a node into a group.", 2, EXACTLY)
    def do_mc_node_associate(self, words: list[str]) -> None:
        group, node = integer(words[0], "multicast group id"), integer(words[1], "node handle")
        print("Associating node", node, "to multicast group", group)
        self._replication("bm_mc_node_associate", group, node)

    @command("mc_node_dissociate GROUP NODE: take a node out of a group.", 2, EXACTLY)
    def do_mc_node_dissociate(self, words: list[str]) -> None:
        group, node = integer(words[0], "multicast group id"), integer(words[1], "node handle")
        print("Dissociating node", node, "from multicast group", group)
        self._replication("bm_mc_node_dissociate", group, node)

    @command("mc_node_destroy NODE: destroy a node.", 1, EXACTLY)
    def do_mc_node_destroy(self, words: list[str]) -> None:
        node = integer(words[0], "node handle")
        print("Destroying node", node)
        self._replication("bm_mc_node_destroy", node)

    @command("mc_set_lag_membership LAG PORT...: the ports of a link aggregation group.", 2)
    def do_mc_set_lag_membership(self, words: list[str]) -> None:
        lag, ports = integer(words[0], "lag index"), bitmap(words[1:], "lag")
        print("Setting lag membership:", lag, "<-", ports)
        self._replication("bm_mc_set_lag_membership", lag, ports)

    @command("mc_dump: all multicast groups, nodes and LAGs.", 0, EXACTLY)
    def do_mc_dump(self, words: list[str]) -> None:
        dump = json.loads(self._replication("bm_mc_get_entries"))
        nodes = {item["handle"]: item for item in dump["l1_handles"]}
        legs = {item["handle"]: item for item in dump["l2_handles"]}

        def listed(numbers: list[int]) -> str:
            return f"[{', '.join(str(number) for number in numbers)}]"

        print("==========")
        print("MC ENTRIES")
        for group in dump["mgrps"]:
            print("**********")
            print(f"mgrp({group['id']})")
            for handle in group["l1_handles"]:
                node = nodes[handle]
                leg = legs[node["l2_handle"]]
                print(f"  -> (L1h={handle}, rid={node['rid']})", end=" ")
                print(f"-> (ports={listed(leg['ports'])}, lags={listed(leg.get('lags', []))})")
        print("==========")
        print("LAGS")
        for lag in dump.get("lags", []):
            print(f"lag({lag['id']}) -> ports={listed(lag['ports'])}")
        if "lags" not in dump:
            print("None for this PRE type")
        print("==========")

    # -- simple_switch's own

    def _target(self, name: str, *arguments: Any) -> Any:
        return self.client.call("simple_switch", name, *arguments)

    @command("mirroring_add SESSION PORT: clones of the session go to a port.", 2, EXACTLY)
    def do_mirroring_add(self, words: list[str]) -> None:
        session, port = integer(words[0], "mirror_id"), integer(words[1], "egress_port")
        self._target("mirroring_session_add", session, MirroringSession(port=port))

    @command("mirroring_add_mc SESSION GROUP: clones of the session go to a multicast group.", 2, EXACTLY)
    def do_mirroring_add_mc(self, words: list[str]) -> None:
        session, group = integer(words[0], "mirror_id"), integer(words[1], "mgrp")
        self._target("mirroring_session_add", session, MirroringSession(mgid=group))

    @command("mirroring_delete SESSION: remove a session.", 1, EXACTLY)
    def do_mirroring_delete(self, words: list[str]) -> None:
        self._target("mirroring_session_delete", integer(words[0], "mirror_id"))

    @command("mirroring_get SESSION: where a session's clones go.", 1, EXACTLY)
    def do_mirroring_get(self, words: list[str]) -> None:
        session = self._target("mirroring_session_get", integer(words[0], "mirror_id"))
        print(f"MirroringSessionConfig(port={session.port}, mgid={session.mgid})")

    def _queues(self, thing: str, one: str, words: list[str]) -> None:
        value = integer(words[0], "nb_pkts" if thing == "depth" else "rate_pps")
        if len(words) == 1:
            failed = self._target(f"set_all_egress_queue_{thing}s", value)
        elif len(words) == 2:
            failed = self._target(f"set_egress_queue_{thing}", integer(words[1], "egress_port"), value)
        else:
            port, priority = integer(words[1], "egress_port"), integer(words[2], "priority")
            failed = self._target(f"set_egress_priority_queue_{thing}", port, priority, value)
        if failed:
            raise CommandError("There is no such queue, or it cannot be set so")

    @command("set_queue_depth PACKETS [PORT [PRIORITY]]: the depth of one or all egress queues.", 1, 3)
    def do_set_queue_depth(self, words: list[str]) -> None:
        self._queues("depth", "nb_pkts", words)

    @command("set_queue_rate PACKETS_PER_SECOND [PORT [PRIORITY]]: the rate of one or all egress queues.", 1, 3)
    def do_set_queue_rate(self, words: list[str]) -> None:
        self._queues("rate", "rate_pps", words)

    @command("get_time_elapsed: microseconds since the switch started.", 0, EXACTLY)
    def do_get_time_elapsed(self, words: list[str]) -> None:
        print(self._target("get_time_elapsed_us"))

    @command("get_time_since_epoch: microseconds since the epoch of the switch's clock.", 0, EXACTLY)
    def do_get_time_since_epoch(self, words: list[str]) -> None:
        print(self._target("get_time_since_epoch_us"))

    # -- ports

    @command("port_add INTERFACE PORT [PCAP]: attach an interface as a port.", 2, 3)
    def do_port_add(self, words: list[str]) -> None:
        self.standard("bm_dev_mgr_add_port", words[0], integer(words[1], "port_num"), "".join(words[2:]))

    @command("port_remove PORT: detach a port.", 1, EXACTLY)
    def do_port_remove(self, words: list[str]) -> None:
        self.standard("bm_dev_mgr_remove_port", integer(words[0], "port_num"))

    @command("show_ports: the switch's ports.", 0, EXACTLY)
    def do_show_ports(self, words: list[str]) -> None:
        print(f"{'port #':^10}{'iface name':^20}{'status':^10}extra info")
        print("=" * 50)
        for port in self.standard("bm_dev_mgr_show_ports"):
            extra = "; ".join(f"{key}={value}" for key, value in port.extra.items())
            print(f"{port.port_num:^10}{port.iface_name:^20}{'UP' if port.is_up else 'DOWN':^10}{extra}")

    # -- configurations and state

    @command("load_new_config_file FILE: hand over a program, to run after swap_configs.", 1, EXACTLY)
    def do_load_new_config_file(self, words: list[str]) -> None:
        try:
            text = Path(words[0]).read_text()
        except OSError:
            raise CommandError("Not a valid filename") from None
        program = read_program(text)
        print("Loading new Json config")
        self.standard("bm_load_new_config", text)
        self.program = program

    @command("swap_configs: run the program that load_new_config_file handed over.", 0, EXACTLY)
    def do_swap_configs(self, words: list[str]) -> None:
        print("Swapping configs")
        self.standard("bm_swap_configs")

    @command("switch_info: what the switch says of itself.", 0, EXACTLY)
    def do_switch_info(self, words: list[str]) -> None:
        info = self.standard("bm_mgmt_get_info")
        names = ("device_id", "thrift_port", "notifications_socket", "elogger_socket", "debugger_socket")
        for name in names:
            print(f"{name:25}: {getattr(info, name)}")

    @command("reset_state: forget entries, registers and the like; the program stays.", 0, EXACTLY)
    def do_reset_state(self, words: list[str]) -> None:
        self.standard("bm_reset_state")

    def _write(self, path: str, text: str) -> None:
        try:
            Path(path).write_text(text)
        except OSError as error:
            raise CommandError(f"cannot write {path}: {error.strerror}") from None

    @command("write_config_to_file FILE: write the program that runs.", 1, EXACTLY)
    def do_write_config_to_file(self, words: list[str]) -> None:
        self._write(words[0], self.standard("bm_get_config"))

    @command("serialize_state FILE: write the switch's state, for --restore-state.", 1, EXACTLY)
    def do_serialize_state(self, words: list[str]) -> None:
        self._write(words[0], self.standard("bm_serialize_state"))

    @command("greet: see whether this answers.", 0)
    def do_greet(self, words: list[str]) -> None:
        print("hello")
