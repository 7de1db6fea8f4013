"""What the derived entries do to the first packet to a Service's address: the Service part of the pipeline, in Python.

From docs/pipeline.md, "Services"; independent of how the entries came about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from controlplane.addresses import Prefix, format_address, is_ipv4, parse_address
from controlplane.desired.derive import Derivation
from controlplane.desired.entities import (
    ActionCall,
    ActionProfileGroup,
    ActionProfileMember,
    Exact,
    GroupReference,
    Lpm,
    TableEntry,
)
from controlplane.desired.symbols import Value
from tests.controlplane.cluster import entries_of

Class = Literal["outsider", "pod", "node"]
_PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132}
_MASQUERADE_BIT: dict[Class, int] = {"outsider": 0b001, "pod": 0b010, "node": 0b100}


@dataclass(frozen=True)
class Verdict:
    """`to` are the endpoints that one may be sent to; `masqueraded` whether the endpoint sees another source."""

    what: Literal["passes", "rejected", "dropped", "translated"]
    to: frozenset[str] = frozenset()
    masqueraded: bool = False
    affinity_seconds: int = 0


PASSES, REJECTED, DROPPED = Verdict("passes"), Verdict("rejected"), Verdict("dropped")


def _params(call: ActionCall) -> dict[str, Value]:
    return {param.name: param.value for param in call.params}


def _longest(entries: list[TableEntry], address: int) -> TableEntry | None:
    best: tuple[int, TableEntry | None] = (-1, None)
    for entry in entries:
        field = entry.match[-1]
        assert isinstance(field, Lpm)
        length = field.prefix_length
        if length > best[0] and (length == 0 or (field.value ^ address) >> (128 - length) == 0):
            best = (length, entry)
    return best[1]


def _call(entry: TableEntry) -> ActionCall:
    assert isinstance(entry.action, ActionCall)
    return entry.action


class Judge:
    """Judges connections by the entries of a derivation."""

    def __init__(self, derivation: Derivation) -> None:
        self._derivation = derivation
        self._members = {item.member: item for item in derivation.ledger if isinstance(item, ActionProfileMember)}
        self._groups = {item.group: item for item in derivation.ledger if isinstance(item, ActionProfileGroup)}

    def source_class(self, address: str) -> Class:
        """By `source_class_table`; what the switch port says comes before it and is not asked here."""
        found = _longest(entries_of(self._derivation.ledger, "source_class_table"), parse_address(address))
        if found is None:
            return "outsider"
        return {"set_pod_source": "pod", "set_node_source": "node"}[_call(found).action]  # type: ignore[return-value]

    def __call__(
        self, source: Class, destination: str, port: int = 80, protocol: str = "TCP", client: str = "203.0.113.9"
    ) -> Verdict:
        """What becomes of a new connection of a client of this class and address."""
        address, number = parse_address(destination), _PROTOCOLS[protocol]
        wanted = (Exact("dst_addr", address), Exact("protocol", number), Exact("l4_dport", port))
        frontends = [
            item for item in entries_of(self._derivation.ledger, "service_frontend_table") if item.match == wanted
        ]
        if not frontends:
            held = _longest(entries_of(self._derivation.ledger, "service_address_table"), address)
            if held is None:
                return PASSES
            return {"reject_address": REJECTED, "drop_address": DROPPED}[_call(held).action]
        (frontend,) = frontends
        call = _call(frontend)
        if call.action != "set_service":
            return {"reject_service": REJECTED, "drop_service": DROPPED}[call.action]
        params = _params(call)
        if params["source_ranges_id"] and not self._may(params["source_ranges_id"], client):
            return DROPPED
        set_id = params["external_set_id" if source == "outsider" else "internal_set_id"]
        if set_id == 0:
            return DROPPED
        endpoints = self._endpoints(set_id)
        if not endpoints:
            return REJECTED
        masquerade, seconds = params["masquerade"], params["affinity_seconds"]
        assert isinstance(masquerade, int) and isinstance(seconds, int)
        return Verdict("translated", endpoints, bool(masquerade & _MASQUERADE_BIT[source]), seconds)

    def _may(self, ranges_id: Value, client: str) -> bool:
        ranges = [
            item
            for item in entries_of(self._derivation.ledger, "service_source_range_table")
            if item.match[0] == Exact("source_ranges_id", ranges_id)
        ]
        return _longest(ranges, parse_address(client)) is not None

    def _endpoints(self, set_id: Value) -> frozenset[str]:
        found = set()
        for entry in entries_of(self._derivation.ledger, "service_endpoint_table"):
            if entry.match == (Exact("set_id", set_id),):
                assert isinstance(entry.action, GroupReference)
                for item in self._groups[entry.action.group].members:
                    params = _params(self._members[item.member].action)
                    assert isinstance(params["addr"], int)
                    text = format_address(params["addr"])
                    found.add(f"{text}:{params['port']}" if is_ipv4(params["addr"]) else f"[{text}]:{params['port']}")
        return frozenset(found)

    def holds(self, table: str, prefix: Prefix) -> bool:
        """Whether the table has an entry for exactly this range."""
        return any(
            isinstance(field, Lpm) and (field.value, field.prefix_length) == prefix
            for entry in entries_of(self._derivation.ledger, table)
            for field in entry.match
        )
