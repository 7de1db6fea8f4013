"""Target files (`targets/<name>.toml`): what a target is made of, how large it is and how it is compiled and run.

A target file is the only place with sizes, timeouts and toolchain choices. It is read with tomllib into the frozen
dataclasses below and checked completely: an unknown key, a missing key, a wrong type or a value that cannot work is a
TargetError that names file, line and key.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from kulvert.resources import resource_dir

CompilerName = Literal["kulvert", "p4c"]
SwitchName = Literal["kulvert", "bmv2"]

CONNECTION_WAYS = 8
"""Ways of a connection set: fixed by `p4src/stages/connections.p4`, because it is the shape of the code, not a size."""


class TargetError(Exception):
    """A target file that cannot be used. `str()` is `file:line: key: what is wrong`."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """What compiles and runs the pipeline.

    Attributes:
        compilers: in order of preference; `auto` takes the first one that is installed.
        switch: the switch that runs the output.
    """

    compilers: tuple[CompilerName, ...]
    switch: SwitchName


@dataclass(frozen=True, slots=True)
class Sizes:
    """Entries each table promises to hold, and members of the action selector. Keys are the P4 tables' names."""

    port_table: int
    trap_table: int
    neighbor_table: int
    source_pod_table: int
    uplink_source_table: int
    live_endpoint_table: int
    service_frontend_table: int
    service_address_table: int
    service_endpoint_table: int
    endpoint_selector: int
    destination_pod_table: int
    source_identity_table: int
    destination_identity_table: int
    egress_policy_table: int
    ingress_policy_table: int
    route_table: int


@dataclass(frozen=True, slots=True)
class Widths:
    """Bit widths that are a target's choice."""

    selector_hash: int


@dataclass(frozen=True, slots=True)
class Connections:
    """The connection table.

    Attributes:
        set_bits: the table has 2**set_bits sets of CONNECTION_WAYS ways; a connection takes two ways (one a direction).
    """

    set_bits: int

    @property
    def ways(self) -> int:
        """Entries (directions of connections) that the table holds."""
        return CONNECTION_WAYS << self.set_bits

    @property
    def capacity(self) -> int:
        """Connections that may be counted upon: half of what fits, because sets fill unevenly."""
        return self.ways // 4


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds without a packet after which a connection is forgotten, by protocol and state."""

    tcp_opening: float
    tcp_established: float
    tcp_closing: float
    tcp_closed: float
    udp_unreplied: float
    udp_replied: float
    icmp: float


@dataclass(frozen=True, slots=True)
class Ports:
    """Port numbers with a meaning.

    Attributes:
        cpu: the port of packet-in and packet-out; the switch is started with `--cpu-port` of the same number.
        copy_session: the clone session through which `copy_to_cpu` copies a packet to the CPU port.
    """

    cpu: int
    copy_session: int


@dataclass(frozen=True, slots=True)
class Target:
    """One target file."""

    name: str
    path: Path
    description: str
    architecture: str
    program: str
    toolchain: Toolchain
    ports: Ports
    sizes: Sizes
    widths: Widths
    connections: Connections
    timeouts: Timeouts
