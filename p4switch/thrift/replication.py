"""Multicast groups and mirroring sessions as BMv2 has them, translated into the data plane's lists of copies.

A node is a set of ports and link aggregation groups with one replication id; groups are lists of nodes. A LAG sends to one of its
ports; BMv2 gives every packet the same LAG hash, so that port is known when the group is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from p4switch.dataplane import DataplaneError
from p4switch.native import NativeDataplane
from p4switch.thrift.services import (
    InvalidMcOperation,
    InvalidMirroringOperation,
    MirroringSession,
)
from p4switch.thrift.state import Numbers, SwitchState

TABLE_FULL, INVALID_MGID, INVALID_MGRP_HANDLE, INVALID_L1_HANDLE, ERROR = 1, 2, 3, 4, 5
MAX_GROUPS = 65535
MAX_LAGS = 256
LAG_HASH = 0xFF
MAX_RID = 65535
MAX_SESSION = 32767


@dataclass(slots=True)
class Node:
    rid: int
    ports: list[int]
    lags: list[int]
    group: int | None = None


@dataclass(slots=True)
class Replication:
    """All groups, nodes and sessions; every change is written through."""

    dataplane: NativeDataplane
    groups: dict[int, list[int]] = field(default_factory=dict)
    nodes: dict[int, Node] = field(default_factory=dict)
    lags: dict[int, list[int]] = field(default_factory=dict)
    sessions: dict[int, MirroringSession] = field(default_factory=dict)
    numbers: Numbers = field(default_factory=Numbers)

    def copies(self, group: int) -> list[tuple[int, int]]:
        """(port, replication id) of each copy, in the order in which BMv2 makes them."""
        result: list[tuple[int, int]] = []
        for handle in self.groups.get(group, []):
            node = self.nodes[handle]
            result += [(port, node.rid) for port in node.ports]
            for lag in node.lags:
                ports = self.lags.get(lag, [])
                if ports:
                    result.append((ports[LAG_HASH % len(ports)], node.rid))
        return result

    def write_group(self, group: int) -> None:
        if group == 0:
            return  # it may exist, but no packet goes there
        self.dataplane.set_multicast_group(group, self.copies(group))
        for ident, session in self.sessions.items():
            if session.mgid == group:
                self.write_session(ident)

    def write_session(self, ident: int) -> None:
        if ident > MAX_SESSION:
            return  # no program can name it
        session = self.sessions.get(ident)
        copies: list[tuple[int, int]] = []
        if session is not None and session.mgid is not None:
            copies += self.copies(session.mgid)
        if session is not None and session.port is not None:
            copies.append((session.port, 0))
        self.dataplane.set_clone_session(ident, copies)

    def clear(self) -> None:
        """No groups, nodes and LAGs any more; mirroring sessions stay, as in BMv2."""
        groups = list(self.groups)
        self.groups, self.nodes, self.lags, self.numbers = {}, {}, {}, Numbers()
        for group in groups:
            self.write_group(group)


def ports_of(bitmap: str) -> list[int]:
    """The numbers whose bits are set in a string of 0s and 1s, the last of which is number 0."""
    if set(bitmap) - {"0", "1"}:
        raise InvalidMcOperation(ERROR)
    return [number for number, bit in enumerate(reversed(bitmap)) if bit == "1"]


class ReplicationService:
    """The services "simple_pre" and "simple_pre_lag"."""

    def __init__(self, state: SwitchState, replication: Replication) -> None:
        self._state = state
        self._replication = replication

    @contextmanager
    def _changing(self) -> Iterator[Replication]:
        with self._state.lock:
            try:
                yield self._replication
            except DataplaneError:
                raise InvalidMcOperation(ERROR) from None

    @staticmethod
    def _group(replication: Replication, handle: int) -> list[int]:
        if handle not in replication.groups:
            raise InvalidMcOperation(INVALID_MGRP_HANDLE)
        return replication.groups[handle]

    @staticmethod
    def _node(replication: Replication, handle: int) -> Node:
        if handle not in replication.nodes:
            raise InvalidMcOperation(INVALID_L1_HANDLE)
        return replication.nodes[handle]

    def bm_mc_mgrp_create(self, mgrp: int) -> int:
        """A group may be created again: BMv2 then keeps what it has."""
        with self._changing() as replication:
            if not 0 <= mgrp <= MAX_GROUPS:
                raise InvalidMcOperation(INVALID_MGID)
            replication.groups.setdefault(mgrp, [])
            return mgrp

    def bm_mc_mgrp_destroy(self, mgrp_handle: int) -> None:
        with self._changing() as replication:
            if mgrp_handle not in replication.groups:
                return
            for handle in self._group(replication, mgrp_handle):
                replication.nodes[handle].group = None
            replication.groups[mgrp_handle] = []
            replication.write_group(mgrp_handle)
            del replication.groups[mgrp_handle]

    def bm_mc_node_create(self, rid: int, port_map: str, lag_map: str = "") -> int:
        with self._changing() as replication:
            node = Node(rid & MAX_RID, ports_of(port_map), ports_of(lag_map))
            handle = replication.numbers.take()
            replication.nodes[handle] = node
            return handle

    def bm_mc_node_update(self, l1_handle: int, port_map: str, lag_map: str = "") -> None:
        with self._changing() as replication:
            node = self._node(replication, l1_handle)
            node.ports, node.lags = ports_of(port_map), ports_of(lag_map)
            if node.group is not None:
                replication.write_group(node.group)

    def bm_mc_node_associate(self, mgrp_handle: int, l1_handle: int) -> None:
        with self._changing() as replication:
            node, group = self._node(replication, l1_handle), self._group(replication, mgrp_handle)
            if node.group is not None:
                raise InvalidMcOperation(ERROR)
            group.append(l1_handle)
            node.group = mgrp_handle
            replication.write_group(mgrp_handle)

    def bm_mc_node_dissociate(self, mgrp_handle: int, l1_handle: int) -> None:
        with self._changing() as replication:
            node, group = self._node(replication, l1_handle), self._group(replication, mgrp_handle)
            if node.group != mgrp_handle:
                raise InvalidMcOperation(ERROR)
            group.remove(l1_handle)
            node.group = None
            replication.write_group(mgrp_handle)

    def bm_mc_node_destroy(self, l1_handle: int) -> None:
        with self._changing() as replication:
            node = self._node(replication, l1_handle)
            if node.group is not None:
                group = node.group
                replication.groups[group].remove(l1_handle)
                node.group = None
                replication.write_group(group)
            del replication.nodes[l1_handle]
            replication.numbers.give_back(l1_handle)

    def bm_mc_set_lag_membership(self, lag_index: int, port_map: str) -> None:
        with self._changing() as replication:
            if not 0 <= lag_index <= MAX_LAGS:
                raise InvalidMcOperation(ERROR)
            replication.lags[lag_index] = ports_of(port_map)
            for group in list(replication.groups):
                replication.write_group(group)

    def bm_mc_get_entries(self) -> str:
        with self._changing() as replication:
            return json.dumps(
                {
                    "mgrps": [
                        {"id": group, "l1_handles": list(handles)} for group, handles in replication.groups.items()
                    ],
                    "l1_handles": [
                        {"handle": handle, "rid": node.rid, "l2_handle": handle}
                        for handle, node in replication.nodes.items()
                    ],
                    "l2_handles": [
                        {"handle": handle, "ports": node.ports, "lags": node.lags}
                        for handle, node in replication.nodes.items()
                    ],
                    "lags": [{"id": lag, "ports": ports} for lag, ports in replication.lags.items()],
                }
            )


_OLD_FAILURE = -1


class SwitchService:
    """The service "simple_switch"."""

    def __init__(self, state: SwitchState, replication: Replication) -> None:
        self._state = state
        self._replication = replication

    # -- mirroring

    def mirroring_session_add(self, mirror_id: int, config: MirroringSession) -> None:
        with self._state.lock:
            if mirror_id < 0:
                raise InvalidMirroringOperation(1)
            self._replication.sessions[mirror_id] = config
            self._replication.write_session(mirror_id)

    def mirroring_session_delete(self, mirror_id: int) -> None:
        with self._state.lock:
            if self._replication.sessions.pop(mirror_id, None) is None:
                raise InvalidMirroringOperation(1)
            self._replication.write_session(mirror_id)

    def mirroring_session_get(self, mirror_id: int) -> MirroringSession:
        with self._state.lock:
            if mirror_id not in self._replication.sessions:
                raise InvalidMirroringOperation(1)
            return self._replication.sessions[mirror_id]

    def mirroring_mapping_add(self, mirror_id: int, egress_port: int) -> int:
        try:
            self.mirroring_session_add(mirror_id, MirroringSession(port=egress_port))
        except InvalidMirroringOperation:
            return _OLD_FAILURE
        return 0

    def mirroring_mapping_delete(self, mirror_id: int) -> int:
        try:
            self.mirroring_session_delete(mirror_id)
        except InvalidMirroringOperation:
            return _OLD_FAILURE
        return 0

    def mirroring_mapping_get_egress_port(self, mirror_id: int) -> int:
        try:
            port = self.mirroring_session_get(mirror_id).port
        except InvalidMirroringOperation:
            port = None
        return _OLD_FAILURE if port is None else port

    # -- queues. BMv2 answers 0 whatever it is given; here what is no queue changes nothing

    def set_egress_priority_queue_depth(self, port_num: int, priority: int, depth_pkts: int) -> int:
        return self._queue(self._state.dataplane.set_queue_depth, depth_pkts, port_num, priority)

    def set_egress_queue_depth(self, port_num: int, depth_pkts: int) -> int:
        return self._queue(self._state.dataplane.set_queue_depth, depth_pkts, port_num)

    def set_all_egress_queue_depths(self, depth_pkts: int) -> int:
        return self._queue(self._state.dataplane.set_queue_depth, depth_pkts)

    def set_egress_priority_queue_rate(self, port_num: int, priority: int, rate_pps: int) -> int:
        return self._queue(self._state.dataplane.set_queue_rate, rate_pps, port_num, priority)

    def set_egress_queue_rate(self, port_num: int, rate_pps: int) -> int:
        return self._queue(self._state.dataplane.set_queue_rate, rate_pps, port_num)

    def set_all_egress_queue_rates(self, rate_pps: int) -> int:
        return self._queue(self._state.dataplane.set_queue_rate, rate_pps)

    @staticmethod
    def _queue(change: Callable[..., None], value: int, *place: int) -> int:
        try:
            change(value, *place)
        except DataplaneError:
            return _OLD_FAILURE
        return 0

    # -- time: the clock's epoch is the start of the switch, as in the packets' timestamps

    def get_time_elapsed_us(self) -> int:
        return self._state.dataplane.elapsed_us()

    def get_time_since_epoch_us(self) -> int:
        return self._state.dataplane.elapsed_us()
