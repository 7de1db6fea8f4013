"""NetworkPolicy (networking.k8s.io/v1): `egress_policy_table` and `ingress_policy_table`.

What selects a pod, in one direction, is a *policy set*: the union of the rules of all the policies that do. It is named by its content,
so pods with the same rules share one, and a changed rule makes another one beside it: the pod's own entry
is switched from the one to the other, whole.

A policy that is malformed anywhere isolates what it selects and allows nothing.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from controlplane.addresses import IPV4, AddressError, Prefix, parse_prefix
from controlplane.desired.engine import Rule, View
from controlplane.desired.entities import Exact, FieldMatch, Range, TableEntry, Ternary, entry
from controlplane.desired.identities import BLOCK_IDENTITY, BLOCKS
from controlplane.desired.inputs import OBJECT, POLICIES, Output, Problem
from controlplane.desired.selectors import (
    MATCHES,
    BlockPeer,
    Peer,
    PodPeer,
    Selector,
    SelectorError,
    parse_selector,
)
from controlplane.desired.symbols import POD_IDENTITY_BIT, Identity, PolicyId, Protocol
from controlplane.kube.objects import (
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    ObjectRef,
)

INGRESS: Final = "ingress"
EGRESS: Final = "egress"
_TYPES = {"Ingress": INGRESS, "Egress": EGRESS}
_ALLOW_PRIORITY = 1000
"""All NetworkPolicy entries allow, so which one wins does not matter; room is left below and above for tiers."""

_EVERY_POD = PodPeer("", Selector(), Selector())


class PolicyError(ValueError):
    """The policy says something impossible. `str()` names the field."""


class PolicyPort(msgspec.Struct, frozen=True):
    """A protocol and its ports: from `low` to `high`, or, if `name` is not "", what each pod calls so."""

    protocol: int
    low: int = 0
    high: int = 65535
    name: str = ""


class PolicyRule(msgspec.Struct, frozen=True):
    """Any of the peers on any of the ports. None is everybody, and everything."""

    peers: tuple[Peer, ...] | None
    ports: tuple[PolicyPort, ...] | None


class ParsedPolicy(msgspec.Struct, frozen=True):
    """What a NetworkPolicy means. A direction with None is not isolated by it."""

    pods: Selector
    ingress: tuple[PolicyRule, ...] | None
    egress: tuple[PolicyRule, ...] | None
    problem: str = ""

    def rules(self, direction: str) -> tuple[PolicyRule, ...] | None:
        return self.ingress if direction == INGRESS else self.egress


class Subject(msgspec.Struct, frozen=True):
    """Pods that the same policies select, for one direction. `named_ports` matters to ingress only."""

    direction: str
    namespace: str
    labels: tuple[tuple[str, str], ...]
    named_ports: tuple[tuple[str, int, int], ...]


class PolicySet(msgspec.Struct, frozen=True):
    """The rules in force for a subject, sorted and without repetition. `id` follows from the rest."""

    id: PolicyId
    rules: tuple[PolicyRule, ...]
    origin: ObjectRef

    def __hash__(self) -> int:
        return hash(self.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PolicySet) and self.id == other.id


# -- reading a policy


def _parse(view: View, ref: ObjectRef) -> ParsedPolicy | None:
    policy = view.read(OBJECT, ref)
    if not isinstance(policy, NetworkPolicy):
        return None
    problem = policy.malformed or ""
    try:
        pods = parse_selector(policy.spec.pod_selector)
    except SelectorError as error:
        pods, problem = Selector(), problem or f"spec.podSelector: {error}"  # closed rather than open
    types = {_TYPES[name] for name in policy.spec.policy_types or () if name in _TYPES}
    unknown = [name for name in policy.spec.policy_types or () if name not in _TYPES]
    if unknown:
        problem = problem or f"spec.policyTypes: {unknown[0]!r} is neither Ingress nor Egress"
        types = {INGRESS, EGRESS}
    if not types:
        types = {INGRESS, EGRESS} if policy.spec.egress else {INGRESS}
    ingress: tuple[PolicyRule, ...] = ()
    egress: tuple[PolicyRule, ...] = ()
    try:
        if not problem:
            ingress = tuple(
                _parse_rule(rule.from_, rule.ports, ref.namespace, f"spec.ingress[{index}]", "from")
                for index, rule in enumerate(policy.spec.ingress or ())
            )
            egress = tuple(
                _parse_rule(rule.to, rule.ports, ref.namespace, f"spec.egress[{index}]", "to")
                for index, rule in enumerate(policy.spec.egress or ())
            )
    except PolicyError as error:
        problem, ingress, egress = str(error), (), ()
    return ParsedPolicy(pods, ingress if INGRESS in types else None, egress if EGRESS in types else None, problem)


def _parse_rule(
    peers: tuple[NetworkPolicyPeer, ...] | None,
    ports: tuple[NetworkPolicyPort, ...] | None,
    namespace: str,
    place: str,
    field: str,
) -> PolicyRule:
    return PolicyRule(
        tuple(_parse_peer(peer, namespace, f"{place}.{field}[{index}]") for index, peer in enumerate(peers))
        if peers
        else None,
        tuple(_parse_port(port, f"{place}.ports[{index}]") for index, port in enumerate(ports)) if ports else None,
    )


def _parse_peer(peer: NetworkPolicyPeer, namespace: str, place: str) -> Peer:
    if peer.ip_block is not None:
        if peer.pod_selector is not None or peer.namespace_selector is not None:
            raise PolicyError(f"{place}: ipBlock stands alone, without selectors")
        try:
            block = parse_prefix(peer.ip_block.cidr)
            excepts = tuple(sorted({parse_prefix(text) for text in peer.ip_block.except_ or ()}))
        except AddressError as error:
            raise PolicyError(f"{place}.ipBlock: {error}") from None
        for hole in excepts:
            if not block.covers(hole) or hole == block:
                raise PolicyError(f"{place}.ipBlock: except {hole} is not strictly within {block}")
        return BlockPeer(block, excepts)
    if peer.pod_selector is None and peer.namespace_selector is None:
        raise PolicyError(f"{place}: names nobody: podSelector, namespaceSelector or ipBlock is needed")
    try:
        pods = parse_selector(peer.pod_selector)
        if peer.namespace_selector is None:
            return PodPeer(namespace, Selector(), pods)
        return PodPeer("", parse_selector(peer.namespace_selector), pods)
    except SelectorError as error:
        raise PolicyError(f"{place}: {error}") from None


def _parse_port(port: NetworkPolicyPort, place: str) -> PolicyPort:
    name = port.protocol or "TCP"
    if name not in Protocol.__members__:
        raise PolicyError(f"{place}: protocol {name!r} is none of {', '.join(Protocol.__members__)}")
    protocol = int(Protocol[name])
    if port.port is None:
        if port.end_port is not None:
            raise PolicyError(f"{place}: endPort without port")
        return PolicyPort(protocol)
    if isinstance(port.port, str):
        if port.end_port is not None:
            raise PolicyError(f"{place}: endPort with the named port {port.port!r}")
        if not port.port:
            raise PolicyError(f"{place}: the port's name is empty")
        return PolicyPort(protocol, name=port.port)
    end = port.port if port.end_port is None else port.end_port
    if not 1 <= port.port <= 65535 or not port.port <= end <= 65535:
        raise PolicyError(f"{place}: {port.port} to {end} is not a range of ports")
    return PolicyPort(protocol, port.port, end)


PARSED_POLICY: Rule[ObjectRef, ParsedPolicy | None] = Rule("parsed policy", _parse)


def _report(view: View, ref: ObjectRef) -> Output:
    parsed = view.get(PARSED_POLICY, ref)
    if parsed is None or not parsed.problem:
        return Output(ref)
    return Output(ref, (), (Problem(ref, f"{parsed.problem}; fails closed: it allows nothing"),))


POLICY_REPORT: Rule[ObjectRef, Output] = Rule("policy report", _report)


# -- which rules are in force for a pod


def _collect(view: View, subject: Subject) -> PolicySet | None:
    labels = dict(subject.labels)
    found: dict[str, PolicyRule] = {}
    selecting: list[ObjectRef] = []
    for ref in view.read(POLICIES, subject.namespace):
        parsed = view.get(PARSED_POLICY, ref)
        rules = parsed.rules(subject.direction) if parsed is not None and parsed.pods.matches(labels) else None
        if rules is None:
            continue
        selecting.append(ref)
        for rule in rules:
            resolved = _resolve(rule, subject) if subject.direction == INGRESS else rule
            if resolved is not None:
                found[repr(resolved)] = resolved
    if not selecting:
        return None
    ordered = sorted(found.items())
    digest = hashlib.sha256("\n".join(text for text, _ in ordered).encode()).hexdigest()[:32]
    return PolicySet(PolicyId(subject.direction, digest), tuple(rule for _, rule in ordered), selecting[0])


def _resolve(rule: PolicyRule, subject: Subject) -> PolicyRule | None:
    """The rule with the destination pod's own numbers for named ports; None if it has none of those named."""
    if rule.ports is None:
        return rule
    ports: set[PolicyPort] = set()
    for port in rule.ports:
        if port.name:
            ports |= _numbers(port, subject.named_ports)
        else:
            ports.add(port)
    if not ports:
        return None
    return PolicyRule(rule.peers, tuple(sorted(ports, key=lambda port: (port.protocol, port.low, port.high))))


def _numbers(port: PolicyPort, named_ports: tuple[tuple[str, int, int], ...]) -> set[PolicyPort]:
    return {
        PolicyPort(protocol, number, number)
        for name, protocol, number in named_ports
        if name == port.name and protocol == port.protocol
    }


POLICY_SET: Rule[Subject, PolicySet | None] = Rule("policy set of a pod", _collect)


def _blocks(view: View, policy_set: PolicySet) -> int:
    """Puts the set's ranges in force; the value, their number, is of no use."""
    prefixes: set[Prefix] = set()
    for rule in policy_set.rules:
        for peer in rule.peers or ():
            if isinstance(peer, BlockPeer):
                prefixes |= {peer.block, *peer.excepts}
    if any(prefix.split() != (prefix,) for prefix in prefixes):
        prefixes.add(IPV4)  # so that the longest match of an IPv4 address is never the entry of ::/0
    for prefix in sorted(prefixes):
        view.emit(BLOCKS, prefix)
        view.demand(BLOCK_IDENTITY, prefix)
    return len(prefixes)


POLICY_BLOCKS: Rule[PolicySet, int] = Rule("ranges of a policy set", _blocks)


# -- entries


def _entries(view: View, policy_set: PolicySet) -> Output:
    wanted: dict[TableEntry, None] = {}
    for rule in policy_set.rules:
        named = [port for port in rule.ports or () if port.name]
        numeric = [port for port in rule.ports or () if not port.name]
        if rule.ports is None or numeric:
            for match in _peer_matches(view, rule.peers):
                for port in numeric or (None,):
                    wanted[_allow(policy_set.id, match, port)] = None
        if named:  # an egress rule: the port has the number that each destination pod gives it
            for identity in _pods(view, rule.peers):
                match = Ternary("identity", identity)
                for port in named:
                    for numbered in _numbers(port, identity.named_ports):
                        wanted[_allow(policy_set.id, match, numbered)] = None
    entities = tuple(sorted(wanted, key=repr))
    return Output(policy_set.origin, entities)


def _peer_matches(view: View, peers: tuple[Peer, ...] | None) -> list[Ternary | None]:
    """The identity fields that mean these peers; None is anybody."""
    if peers is None:
        return [None]
    identities: set[Identity] = set()
    everyone = False
    for peer in peers:
        if isinstance(peer, PodPeer) and peer.is_everyone:
            everyone = True
        else:
            matches = view.read(MATCHES, peer)
            identities |= matches
    found: list[Ternary | None] = []
    if everyone:
        found.append(Ternary("identity", POD_IDENTITY_BIT, POD_IDENTITY_BIT))
        identities = {identity for identity in identities if not identity.namespace}
    return [*found, *(Ternary("identity", identity) for identity in identities)]


def _pods(view: View, peers: tuple[Peer, ...] | None) -> set[Identity]:
    """The identities of pods among the peers: only those have named ports."""
    found: set[Identity] = set()
    for peer in (_EVERY_POD,) if peers is None else peers:
        matches = view.read(MATCHES, peer)
        found |= {identity for identity in matches if identity.namespace}
    return found


def _allow(policy_id: PolicyId, identity: Ternary | None, port: PolicyPort | None) -> TableEntry:
    match: list[FieldMatch] = [Exact("policy_id", policy_id)]
    if identity is not None:
        match.append(identity)
    if port is not None:
        match.append(Ternary("protocol", port.protocol))
        if (port.low, port.high) != (0, 65535):
            match.append(Range("l4_dport", port.low, port.high))
    direction = policy_id.direction
    return entry(f"{direction}_policy_table", tuple(match), f"allow_{direction}", priority=_ALLOW_PRIORITY)


POLICY_ENTRIES: Rule[PolicySet, Output] = Rule("entries of a policy set", _entries, stage=2)
