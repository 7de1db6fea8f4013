"""Target files (`targets/<name>.toml`): what a target is made of, how large it is and how it is compiled and run.

A target file is the only place with sizes, timeouts and toolchain choices. It is read with tomllib into the frozen
dataclasses below and checked completely: an unknown key, a missing key, a wrong type or a value that cannot work is a
TargetError that names file, line and key.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from controlplane.files import why_unreadable
from kulvert.resources import resource_dir

CompilerName = Literal["kulvert", "p4c"]
SwitchName = Literal["kulvert", "bmv2"]

CONNECTION_WAYS = 8
"""Ways of a connection set: fixed by `p4src/stages/connections.p4`, because it is the shape of the code, not a size."""

FRAGMENT_WAYS = 4
"""Ways of a set of datagrams in fragments: the shape of `p4src/stages/fragments.p4`."""

AFFINITY_WAYS = 4
"""Ways of a set of session affinity: the shape of `p4src/stages/affinity.p4`."""

TICK_SECONDS = (1 << 20) / 1_000_000
"""The pipeline counts time in ticks of 2^20 microseconds."""

_EXPIRY_TICKS = 1 << 27
"""A 28-bit moment is in the future if it is less than half the circle ahead."""


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
class Ports:
    """Port numbers with a meaning.

    Attributes:
        cpu: the port of packet-in and packet-out; the switch is started with `--cpu-port` of the same number.
        copy_session: the clone session through which `copy_to_cpu` copies a packet to the CPU port.
    """

    cpu: int
    copy_session: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """Entries each table promises to hold, and members of the action selector. Fields are named as in the P4 source."""

    port_table: int
    trap_table: int
    neighbor_table: int
    source_pod_table: int
    uplink_source_table: int
    live_endpoint_table: int
    service_frontend_table: int
    service_address_table: int
    service_source_range_table: int
    source_class_table: int
    affinity_endpoint_table: int
    service_endpoint_table: int
    endpoint_selector: int
    masquerade_table: int
    destination_pod_table: int
    source_identity_table: int
    destination_identity_table: int
    egress_policy_table: int
    ingress_policy_table: int
    route_table: int
    next_hop_table: int
    next_hop_selector: int
    tunnel_table: int
    tunnel_end_table: int
    tunnel_source_table: int
    mtu_table: int
    error_source_table: int

    def items(self) -> Iterator[tuple[str, int]]:
        """Each name with its size, in the order of the pipeline."""
        for field in fields(self):
            yield field.name, getattr(self, field.name)


@dataclass(frozen=True, slots=True)
class Widths:
    """Bit widths that are a target's choice."""

    selector_hash: int


@dataclass(frozen=True, slots=True)
class Connections:
    """The connection table: 2**set_bits sets of CONNECTION_WAYS ways; a connection takes two ways, one a direction.

    Attributes:
        pickup: whether a TCP or SCTP packet without a connection may open one, as if it had been there before the switch.
        unanswered_limit: connections that a pod may open without an answer within `Timeouts.unanswered_window_shift`.
    """

    set_bits: int
    pickup: bool
    unanswered_limit: int

    @property
    def sets(self) -> int:
        """Sets of ways."""
        return 1 << self.set_bits

    @property
    def ways(self) -> int:
        """Entries, one for each direction of a connection, that the table holds when every set is full."""
        return CONNECTION_WAYS << self.set_bits

    @property
    def capacity(self) -> int:
        """Connections to count upon: at half of what fits, a set overflows for about 2 in 1,000 new connections."""
        return self.ways // 4


@dataclass(frozen=True, slots=True)
class Affinity:
    """Session affinity: 2**set_bits sets of AFFINITY_WAYS ways, one for each client of a Service port."""

    set_bits: int

    @property
    def ways(self) -> int:
        """Clients that the table holds when every set is full; then the one that would be forgotten first goes."""
        return AFFINITY_WAYS << self.set_bits


@dataclass(frozen=True, slots=True)
class Fragments:
    """Datagrams in fragments: for each of the 512 ports 2**set_bits sets of FRAGMENT_WAYS ways."""

    set_bits: int

    @property
    def ways(self) -> int:
        """Ways of all ports together."""
        return 512 * self.ways_of_a_port

    @property
    def ways_of_a_port(self) -> int:
        """Datagrams that one port can have on their way; then the oldest in a set is forgotten."""
        return FRAGMENT_WAYS << self.set_bits


@dataclass(frozen=True, slots=True)
class Masquerade:
    """The node's ports that connections are masqueraded from, ends included."""

    first_port: int
    last_port: int


@dataclass(frozen=True, slots=True)
class Icmp:
    """ICMP errors that the pipeline makes: no more than `errors_per_port` for one port in a tick."""

    errors_per_port: int


@dataclass(frozen=True, slots=True)
class Tunnel:
    """UDP ports of the tunnels between nodes."""

    vxlan_port: int
    geneve_port: int


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds without a packet after which a connection is forgotten, by protocol and state."""

    tcp_opening: float
    tcp_established: float
    tcp_closing: float
    tcp_closed: float
    sctp_established: float
    udp_unreplied: float
    udp_replied: float
    icmp: float
    fragment: float

    def ticks(self) -> Iterator[tuple[str, int]]:
        """Each name with its timeout in ticks, rounded up: a connection never ends before its time."""
        for field in fields(self):
            yield field.name, -int(-getattr(self, field.name) // TICK_SECONDS)

    @property
    def unanswered_window_shift(self) -> int:
        """The binary logarithm of a window in ticks, within which every connection that nobody answers ends."""
        ticks = dict(self.ticks())
        longest = max(ticks[name] for name in ("tcp_opening", "udp_unreplied", "icmp"))
        return (longest - 1).bit_length()


SizeForm = Literal["any", "2^n-1"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a target's P4Runtime server can and cannot. A file without [capabilities] can everything.

    Attributes:
        modify: takes MODIFY; if not, the controller deletes and inserts.
        watch_ports: passes over a next hop whose port is down, and is well when all of a set are.
        sizes: which sizes of tables there are; a size of another form is rounded up to one.
    """

    modify: bool = True
    watch_ports: bool = True
    sizes: SizeForm = "any"

    def size(self, wanted: int) -> int:
        """The least size there is that holds so many entries."""
        return wanted if self.sizes == "any" else (1 << wanted.bit_length()) - 1


@dataclass(frozen=True, slots=True)
class Target:
    """One target file. `name` is the file's name without `.toml`."""

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
    affinity: Affinity
    fragments: Fragments
    masquerade: Masquerade
    icmp: Icmp
    tunnel: Tunnel
    timeouts: Timeouts
    capabilities: Capabilities = Capabilities()


def target_names() -> list[str]:
    """The names of the targets that come with Kulvert."""
    return sorted(path.stem for path in resource_dir("targets").glob("*.toml"))


def find_target(name_or_path: str | Path) -> Path:
    """The file of a target, given its name or the path of a target file.

    Raises:
        TargetError: there is no such file; the message lists the names there are.
    """
    text = str(name_or_path)
    if text.endswith(".toml") or "/" in text:
        path = Path(text)
        if not path.is_file():
            raise TargetError(f"{path}: no such target file")
        return path
    path = resource_dir("targets") / f"{text}.toml"
    if not path.is_file():
        names = target_names()
        close = difflib.get_close_matches(text, names, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise TargetError(f"no target named {text!r}: {hint}there are {', '.join(names)}")
    return path


def load_target(name_or_path: str | Path) -> Target:
    """Read and check a target file.

    Raises:
        TargetError: there is no such file, or it is wrong; the message has file, line and key.
    """
    path = find_target(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError(f"{path}: cannot be read: {why_unreadable(error)}") from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        place = f"{path}:{line.group(1)}" if line else f"{path}"
        raise TargetError(f"{place}: not valid TOML: {error}") from None
    return _Reader(path, text).target(document)


_TABLES = (
    "toolchain",
    "ports",
    "sizes",
    "widths",
    "connections",
    "affinity",
    "fragments",
    "masquerade",
    "icmp",
    "tunnel",
    "timeouts",
)
_STRINGS = ("description", "architecture", "program")


class _Reader:
    """Turns a parsed TOML document into a Target; knows the text, for the line of each complaint."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.lines = text.splitlines()

    def target(self, document: Mapping[str, Any]) -> Target:
        required = {key: value for key, value in document.items() if key != "capabilities"}
        self._check_keys("", required, (*_STRINGS, *_TABLES))
        capabilities = self._capabilities(document.get("capabilities", {}))
        for table in _TABLES:
            if not isinstance(document[table], dict):
                raise self._error("", table, f"must be a table, [{table}]")
        target = Target(
            name=self.path.stem,
            path=self.path,
            description=self._string("", document, "description"),
            architecture=self._choice("", document, "architecture", ("v1model",)),
            program=self._program(document),
            toolchain=self._toolchain(document["toolchain"]),
            ports=Ports(**self._integers("ports", document["ports"], Ports, low=1, high=511)),
            sizes=Sizes(
                **{
                    name: capabilities.size(size)
                    for name, size in self._integers("sizes", document["sizes"], Sizes, low=1, high=1 << 28).items()
                }
            ),
            widths=Widths(**self._integers("widths", document["widths"], Widths, low=8, high=32)),
            connections=self._connections(document["connections"]),
            affinity=Affinity(**self._integers("affinity", document["affinity"], Affinity, 1, 24)),
            fragments=Fragments(**self._integers("fragments", document["fragments"], Fragments, 1, 8)),
            masquerade=Masquerade(**self._integers("masquerade", document["masquerade"], Masquerade, 1, 65535)),
            icmp=Icmp(**self._integers("icmp", document["icmp"], Icmp, 1, 1 << 30)),
            tunnel=Tunnel(**self._integers("tunnel", document["tunnel"], Tunnel, 1, 65535)),
            timeouts=self._timeouts(document["timeouts"]),
            capabilities=capabilities,
        )
        if target.ports.cpu == 511:
            raise self._error("ports", "cpu", "511 is v1model's drop port")
        return target

    def _capabilities(self, table: Any) -> Capabilities:
        if not isinstance(table, dict):
            raise self._error("", "capabilities", "must be a table, [capabilities]")
        for key in table:
            if key not in ("modify", "watch_ports", "sizes"):
                raise self._error("capabilities", key, "unknown key; known: modify, watch_ports, sizes")
        flags = {name: table.get(name, True) for name in ("modify", "watch_ports")}
        for name, value in flags.items():
            if not isinstance(value, bool):
                raise self._error("capabilities", name, f"must be true or false, not {value!r}")
        sizes: SizeForm = (
            self._choice("capabilities", table, "sizes", get_args(SizeForm)) if "sizes" in table else "any"
        )
        return Capabilities(flags["modify"], flags["watch_ports"], sizes)

    def _toolchain(self, table: Mapping[str, Any]) -> Toolchain:
        self._check_keys("toolchain", table, [field.name for field in fields(Toolchain)])
        compilers = table["compilers"]
        known: tuple[CompilerName, ...] = get_args(CompilerName)
        if not isinstance(compilers, list) or not compilers or any(name not in known for name in compilers):
            raise self._error("toolchain", "compilers", f"must be a list of one or more of {', '.join(known)}")
        switch: SwitchName = self._choice("toolchain", table, "switch", get_args(SwitchName))
        return Toolchain(compilers=tuple(compilers), switch=switch)

    def _program(self, document: Mapping[str, Any]) -> str:
        program = self._string("", document, "program")
        if not (resource_dir("p4src") / "programs" / program).is_file():
            there = ", ".join(sorted(path.name for path in (resource_dir("p4src") / "programs").glob("*.p4")))
            raise self._error("", "program", f"there is no program {program!r} in p4src/programs; there is: {there}")
        return program

    def _connections(self, table: Mapping[str, Any]) -> Connections:
        self._check_keys("connections", table, [field.name for field in fields(Connections)])
        return Connections(
            set_bits=self._integer("connections", table, "set_bits", 1, 22),
            pickup=self._choice("connections", table, "pickup", (False, True)),
            unanswered_limit=self._integer("connections", table, "unanswered_limit", 1, 1 << 30),
        )

    def _timeouts(self, table: Mapping[str, Any]) -> Timeouts:
        names = [field.name for field in fields(Timeouts)]
        self._check_keys("timeouts", table, names)
        seconds: dict[str, float] = {}
        for name in names:
            value = table[name]
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise self._error("timeouts", name, f"must be a number of seconds, not {value!r}")
            longest = int((_EXPIRY_TICKS - 2) * TICK_SECONDS)
            if not 1 <= value <= longest:
                raise self._error("timeouts", name, f"must be between 1 and {longest} seconds, not {value}")
            seconds[name] = float(value)
        return Timeouts(**seconds)

    def _integers(self, where: str, table: Mapping[str, Any], kind: type, low: int, high: int) -> dict[str, int]:
        names = [field.name for field in fields(kind)]
        self._check_keys(where, table, names)
        return {name: self._integer(where, table, name, low, high) for name in names}

    def _integer(self, where: str, table: Mapping[str, Any], key: str, low: int, high: int) -> int:
        value = table[key]
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._error(where, key, f"must be a whole number, not {value!r}")
        if not low <= value <= high:
            raise self._error(where, key, f"must be between {low} and {high}, not {value}")
        return value

    def _string(self, where: str, table: Mapping[str, Any], key: str) -> str:
        value = table[key]
        if not isinstance(value, str) or not value.strip():
            raise self._error(where, key, f"must be a text, not {value!r}")
        return value

    def _choice(self, where: str, table: Mapping[str, Any], key: str, choices: tuple[Any, ...]) -> Any:
        value = table[key]
        if value not in choices:
            raise self._error(where, key, f"must be {' or '.join(map(repr, choices))}, not {value!r}")
        return value

    def _check_keys(self, where: str, table: Mapping[str, Any], expected: tuple[str, ...] | list[str]) -> None:
        for key in table:
            if key not in expected:
                close = difflib.get_close_matches(key, expected, n=1)
                hint = f"; did you mean {close[0]}?" if close else f"; known: {', '.join(expected)}"
                raise self._error(where, key, f"unknown key{hint}")
        for key in expected:
            if key not in table:
                place = self._line_of(where, None) if where else 1
                raise TargetError(f"{self.path}:{place}: {self._dotted(where, key)}: is missing")

    def _error(self, where: str, key: str, message: str) -> TargetError:
        return TargetError(f"{self.path}:{self._line_of(where, key)}: {self._dotted(where, key)}: {message}")

    @staticmethod
    def _dotted(where: str, key: str) -> str:
        return f"{where}.{key}" if where else key

    def _line_of(self, where: str, key: str | None) -> int:
        """The line of `key` in table `where`, or of the table's own header; 1 if written in some other way."""
        table = ""
        for number, line in enumerate(self.lines, start=1):
            header = re.match(r"\s*\[+\s*([^\]\s]+)\s*\]", line)
            if header:
                table = header.group(1)
                if (table == where and key is None) or (not where and table == key):
                    return number
            elif table == where and key is not None and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
                return number
        return 1
