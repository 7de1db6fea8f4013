"""What the derived entries do to the first packet of a connection: the policy part of the pipeline, in Python."""

from __future__ import annotations

from controlplane.addresses import parse_address
from controlplane.desired.derive import Derivation
from controlplane.desired.entities import ActionCall, Exact, Lpm, Range, TableEntry, Ternary
from controlplane.desired.symbols import IDENTITY_LOCAL_NODE, POD_IDENTITY_BIT, POLICY_NONE, Identity, Value
from tests.controlplane.cluster import entries_of

_PLACE = {"egress": ("source_pod_table", "src_addr"), "ingress": ("destination_pod_table", "dst_addr")}


def _param(entry: TableEntry, name: str) -> Value:
    assert isinstance(entry.action, ActionCall)
    return next(param.value for param in entry.action.params if param.name == name)


def policy_of(derivation: Derivation, direction: str, address: str) -> Value:
    """The pod's policy id; POLICY_NONE for what is no local pod."""
    table, field = _PLACE[direction]
    for entry in entries_of(derivation.ledger, table):
        if Exact(field, parse_address(address)) in entry.match:
            return _param(entry, "policy_id")
    return POLICY_NONE


def identity_of(derivation: Derivation, side: str, address: str) -> Value:
    """By longest prefix; 0 on a miss."""
    number = parse_address(address)
    best: tuple[int, Value] = (-1, 0)
    for entry in entries_of(derivation.ledger, f"{side}_identity_table"):
        (field,) = entry.match
        assert isinstance(field, Lpm)
        if field.prefix_length > best[0] and (field.value ^ number) >> (128 - field.prefix_length) == 0:
            best = (field.prefix_length, _param(entry, "identity"))
    return best[1]


def _identity_matches(field: Ternary, identity: Value) -> bool:
    if field.mask == POD_IDENTITY_BIT and isinstance(field.value, int):
        return isinstance(identity, Identity) and bool(identity.namespace)
    return field.value == identity


def _passes(derivation: Derivation, direction: str, policy: Value, identity: Value, protocol: int, port: int) -> bool:
    if policy == POLICY_NONE or identity == IDENTITY_LOCAL_NODE:
        return True
    winner: TableEntry | None = None
    for entry in entries_of(derivation.ledger, f"{direction}_policy_table"):
        fields = {field.field: field for field in entry.match}
        wanted_identity, wanted_protocol, ports = fields.get("identity"), fields.get("protocol"), fields.get("l4_dport")
        if fields["policy_id"] != Exact("policy_id", policy):
            continue
        if isinstance(wanted_identity, Ternary) and not _identity_matches(wanted_identity, identity):
            continue
        if isinstance(wanted_protocol, Ternary) and wanted_protocol.value != protocol:
            continue
        if isinstance(ports, Range) and not ports.low <= port <= ports.high:
            continue
        assert isinstance(entry.action, ActionCall) and entry.priority > 0
        if winner is not None and winner.priority == entry.priority:
            assert winner.action == entry.action, "two entries of one priority that want different things"
        if winner is None or winner.priority < entry.priority:
            winner = entry
    return winner is not None and winner.action == ActionCall(f"allow_{direction}")


def allows(derivation: Derivation, source: str, destination: str, protocol: int, port: int) -> bool:
    """Whether a new connection passes the source's egress and the destination's ingress policy."""
    return _passes(
        derivation,
        "egress",
        policy_of(derivation, "egress", source),
        identity_of(derivation, "destination", destination),
        protocol,
        port,
    ) and _passes(
        derivation,
        "ingress",
        policy_of(derivation, "ingress", destination),
        identity_of(derivation, "source", source),
        protocol,
        port,
    )
