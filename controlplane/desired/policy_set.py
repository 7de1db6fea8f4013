"""`egress_policy_table` and `ingress_policy_table`: everything that policies say of a pod, in one direction.

That is a *policy set*: the rules of the ClusterNetworkPolicies of the Admin tier, of all the NetworkPolicies that select the pod, or, if
none does, of the Baseline tier. It is named by its content, so pods with the same rules share one, and a changed rule makes another one
beside it: the pod's own entry is switched from the one to the other, whole.

The table has one look-up, and the tiers are laid out in it by priority: what comes first has the higher one. A Pass rule is not an
action of the table: where it stands, what the following tiers say is written out for its traffic alone (each pair of
entries has one entry in common, or none), and what none of them says anything about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from controlplane.addresses import IPV4, Prefix
from controlplane.desired.cluster_policy import (
    PARSED_CLUSTER_POLICY,
    Action,
    ParsedClusterPolicy,
    Tier,
    TierRule,
)
from controlplane.desired.engine import Rule, View
from controlplane.desired.entities import Exact, FieldMatch, Range, TableEntry, Ternary, entry
from controlplane.desired.identities import BLOCK_IDENTITY, BLOCKS
from controlplane.desired.inputs import CLUSTER_POLICIES, NAMESPACE_LABELS, POLICIES, Output
from controlplane.desired.policy import INGRESS, PARSED_POLICY, PolicyPort, PolicyRule
from controlplane.desired.selectors import MATCHES, NAMESPACE_NAME_LABEL, BlockPeer, Peer, PodPeer, Selector
from controlplane.desired.symbols import POD_IDENTITY_BIT, Identity, PolicyId
from controlplane.kube.objects import ObjectRef

_ALLOW_PRIORITY: Final = 1000
"""Of a set without tiers: all of its entries allow, so which one wins does not matter."""

_ALL_PORTS: Final = (0, 65535)
_EVERY_POD = PodPeer("", Selector(), Selector())


class Subject(msgspec.Struct, frozen=True):
    """Pods that the same policies select, for one direction. `named_ports` matters to ingress only."""

    direction: str
    namespace: str
    labels: tuple[tuple[str, str], ...]
    named_ports: tuple[tuple[str, int, int], ...]


class PolicySet(msgspec.Struct, frozen=True):
    """Everything in force for a subject.

    Attributes:
        id: follows from the rest but for the origins.
        admin: rules of the Admin tier, in the order in which they count.
        is_isolated: whether a NetworkPolicy selects the subject; then `rules` is all that they allow.
        rules: sorted and without repetition, each with the policy that has it.
        baseline: rules of the Baseline tier, in order; empty if a NetworkPolicy selects the subject.
        origins: the policies that select the subject.
    """

    id: PolicyId
    admin: tuple[TierRule, ...]
    is_isolated: bool
    rules: tuple[tuple[PolicyRule, ObjectRef], ...]
    baseline: tuple[TierRule, ...]
    origins: tuple[ObjectRef, ...]

    def __hash__(self) -> int:
        return hash((self.id, self.origins))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PolicySet) and (self.id, self.origins) == (other.id, other.origins)

    def __str__(self) -> str:
        return f"{self.id.direction} {self.id.digest} of {', '.join(map(str, self.origins))}"

    @property
    def every_rule(self) -> Iterator[PolicyRule]:
        yield from (item.rule for item in self.admin)
        yield from (rule for rule, _ in self.rules)
        yield from (item.rule for item in self.baseline)


# -- which rules are in force for a pod


def _collect(view: View, subject: Subject) -> PolicySet | None:
    labels = dict(subject.labels)
    found: dict[str, tuple[PolicyRule, ObjectRef]] = {}
    origins: list[ObjectRef] = []
    for ref in view.read(POLICIES, subject.namespace):
        parsed = view.get(PARSED_POLICY, ref)
        rules = parsed.rules(subject.direction) if parsed is not None and parsed.pods.matches(labels) else None
        if rules is None:
            continue
        origins.append(ref)
        for rule in rules:
            resolved = _resolve(rule, subject) if subject.direction == INGRESS else rule
            if resolved is not None:
                found.setdefault(repr(resolved), (resolved, ref))
    is_isolated = bool(origins)
    tiers = _tiers(view, subject, labels)
    admin, baseline = tiers[Tier.ADMIN], () if is_isolated else tiers[Tier.BASELINE]
    if not (is_isolated or admin or baseline):
        return None
    origins += sorted({item.origin for item in (*admin, *baseline)} - set(origins))
    ordered = sorted(found.items())
    content = "\n".join(text for text, _ in ordered)
    if admin or baseline:
        tier_text = [[f"{item.action.value} {item.rule!r}" for item in tier] for tier in (admin, baseline)]
        content = repr((is_isolated, tier_text, content))
    digest = hashlib.sha256(content.encode()).hexdigest()[:32]
    policy_id = PolicyId(subject.direction, digest)
    return PolicySet(policy_id, admin, is_isolated, tuple(item for _, item in ordered), baseline, tuple(origins))


def _tiers(view: View, subject: Subject, labels: dict[str, str]) -> dict[Tier, tuple[TierRule, ...]]:
    """The rules of the ClusterNetworkPolicies that select the subject, in order: by priority, name, and place."""
    refs = view.read(CLUSTER_POLICIES, None)
    if not refs:
        return dict.fromkeys(Tier, ())
    known = view.read(NAMESPACE_LABELS, subject.namespace)
    namespace = dict(known or ()) | {NAMESPACE_NAME_LABEL: subject.namespace}
    selecting: list[tuple[int, ObjectRef, ParsedClusterPolicy]] = []
    for ref in refs:
        parsed = view.get(PARSED_CLUSTER_POLICY, ref)
        if isinstance(parsed, tuple) or not parsed.rules(subject.direction):
            continue
        if parsed.namespaces.matches(namespace) and parsed.pods.matches(labels):
            selecting.append((parsed.priority, ref, parsed))
    selecting.sort(key=lambda item: item[:2])
    tiers: dict[Tier, list[TierRule]] = {tier: [] for tier in Tier}
    for _, _, parsed in selecting:
        for item in parsed.rules(subject.direction):
            resolved = _resolve(item.rule, subject) if subject.direction == INGRESS else item.rule
            if resolved is not None:
                tiers[parsed.tier].append(TierRule(item.action, resolved, item.origin))
    return {tier: tuple(rules) for tier, rules in tiers.items()}


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
        if name == port.name and port.protocol in (0, protocol)
    }


POLICY_SET: Rule[Subject, PolicySet | None] = Rule("policy set of a pod", _collect)


def _blocks(view: View, policy_set: PolicySet) -> int:
    """Puts the set's ranges in force; the value, their number, is of no use."""
    prefixes: set[Prefix] = set()
    for rule in policy_set.every_rule:
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


# -- what a rule matches


class _Match(msgspec.Struct, frozen=True):
    """One entry's key but for the policy: an identity (None: anybody), a protocol (0: any), ports."""

    identity: Ternary | None
    protocol: int = 0
    ports: tuple[int, int] = _ALL_PORTS

    def meet(self, other: _Match) -> _Match | None:
        """What both match."""
        identity = _common_identity(self.identity, other.identity)
        if identity is _NOBODY or (self.protocol and other.protocol and self.protocol != other.protocol):
            return None
        low, high = max(self.ports[0], other.ports[0]), min(self.ports[1], other.ports[1])
        return _Match(identity, self.protocol or other.protocol, (low, high)) if low <= high else None

    def entry(self, policy_id: PolicyId, verdict: str, priority: int) -> TableEntry:
        match: list[FieldMatch] = [Exact("policy_id", policy_id)]
        if self.identity is not None:
            match.append(self.identity)
        if self.protocol:
            match.append(Ternary("protocol", self.protocol))
            if self.ports != _ALL_PORTS:
                match.append(Range("l4_dport", *self.ports))
        direction = policy_id.direction
        return entry(f"{direction}_policy_table", tuple(match), f"{verdict}_{direction}", priority=priority)


_EVERYTHING = _Match(None)
_NOBODY = Ternary("identity", 0)
_ANY_POD = Ternary("identity", POD_IDENTITY_BIT, POD_IDENTITY_BIT)


def _common_identity(one: Ternary | None, other: Ternary | None) -> Ternary | None:
    if one is None or one == other:
        return other
    if other is None:
        return one
    for any_pod, identity in ((one, other), (other, one)):
        if any_pod == _ANY_POD and isinstance(identity.value, Identity) and identity.value.namespace:
            return identity
    return _NOBODY


def _matches(view: View, rule: PolicyRule) -> list[_Match]:
    named = [port for port in rule.ports or () if port.name]
    numeric = [port for port in rule.ports or () if not port.name]
    found: dict[_Match, None] = {}
    if rule.ports is None or numeric:
        for identity in _peer_matches(view, rule.peers):
            if rule.ports is None:
                found[_Match(identity)] = None
            for port in numeric:
                found[_Match(identity, port.protocol, (port.low, port.high))] = None
    if named:  # an egress rule: the port has the number that each destination pod gives it
        for pods in _pods(view, rule.peers):
            for port in named:
                for numbered in _numbers(port, pods.named_ports):
                    ports = (numbered.low, numbered.high)
                    found[_Match(Ternary("identity", pods), numbered.protocol, ports)] = None
    return list(found)


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
        found.append(_ANY_POD)
        identities = {identity for identity in identities if not identity.namespace}
    return [*found, *(Ternary("identity", identity) for identity in identities)]


def _pods(view: View, peers: tuple[Peer, ...] | None) -> set[Identity]:
    """The identities of pods among the peers: only those have named ports."""
    found: set[Identity] = set()
    for peer in (_EVERY_POD,) if peers is None else peers:
        matches = view.read(MATCHES, peer)
        found |= {identity for identity in matches if identity.namespace}
    return found


# -- entries


class _Layout:
    """Entries of one set, by key: the first wish for a key stands."""

    def __init__(self, policy_id: PolicyId) -> None:
        self._policy_id = policy_id
        self.wanted: dict[object, tuple[TableEntry, ObjectRef]] = {}

    def put(self, match: _Match, verdict: str, priority: int, origin: ObjectRef) -> None:
        made = match.entry(self._policy_id, verdict, priority)
        self.wanted.setdefault(made.key, (made, origin))


def _entries(view: View, policy_set: PolicySet) -> Output:
    layout = _Layout(policy_set.id)
    allowed = [(match, origin) for rule, origin in policy_set.rules for match in _matches(view, rule)]
    if policy_set.admin or policy_set.baseline:
        _lay_out_tiers(view, policy_set, allowed, layout)
    else:
        for match, origin in allowed:
            layout.put(match, "allow", _ALLOW_PRIORITY, origin)
    ordered = sorted(layout.wanted.values(), key=lambda item: repr(item[0]))
    return Output(
        policy_set.origins[0], tuple(made for made, _ in ordered), origins=tuple(origin for _, origin in ordered)
    )


def _lay_out_tiers(
    view: View, policy_set: PolicySet, allowed: Sequence[tuple[_Match, ObjectRef]], layout: _Layout
) -> None:
    baseline = [(item, _matches(view, item.rule)) for item in policy_set.baseline]
    default_origin = policy_set.origins[0]
    room = len(baseline) + 2  # priorities that the tiers after Admin take at each place where they are written out

    def lay_out_rest(within: _Match, priority: int, origin: ObjectRef) -> None:
        """What the tiers after Admin say of some traffic, from `priority` downwards."""
        if policy_set.is_isolated:
            for match, owner in allowed:
                common = within.meet(match)
                if common is not None:
                    layout.put(common, "allow", priority, owner)
            if within != _EVERYTHING:  # of everything it is what the table does by itself
                layout.put(within, "deny", priority - 1, origin)
            return
        for place, (item, matches) in enumerate(baseline):
            for match in matches:
                common = within.meet(match)
                if common is not None:
                    verdict = "deny" if item.action is Action.DENY else "allow"  # passed on by the last tier is allowed
                    layout.put(common, verdict, priority - place, item.origin)
        layout.put(within, "allow", priority - len(baseline), origin)

    last_decision = max(
        (number for number, item in enumerate(policy_set.admin) if item.action is not Action.PASS), default=-1
    )
    top = (last_decision + 2) * room
    for number, item in enumerate(policy_set.admin[: last_decision + 1]):  # a Pass after it changes nothing
        priority = top - number * room
        for match in _matches(view, item.rule):
            if item.action is Action.PASS:
                lay_out_rest(match, priority, item.origin)
            else:
                layout.put(match, "allow" if item.action is Action.ACCEPT else "deny", priority, item.origin)
    lay_out_rest(_EVERYTHING, top - (last_decision + 1) * room, default_origin)


POLICY_ENTRIES: Rule[PolicySet, Output] = Rule("entries of a policy set", _entries, stage=2)
