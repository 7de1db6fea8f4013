"""What a ClusterNetworkPolicy (policy.networking.k8s.io/v1alpha2) means.

Wrong is what the API's own validation would refuse, and what cannot be offered (domain names). It fails closed: a rule
that accepts and is wrong matches nothing, one that denies or passes denies everything; a policy that is wrong outside its rules denies
its subject everything in each direction that it speaks of. One whose subject cannot be told selects nobody. All of it is reported.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

from controlplane.addresses import AddressError, host_prefix, parse_address, parse_prefix
from controlplane.desired.engine import Rule, View
from controlplane.desired.inputs import NODES, OBJECT, Output, Problem
from controlplane.desired.policy import EGRESS, INGRESS, PolicyError, PolicyPort, PolicyRule
from controlplane.desired.selectors import BlockPeer, Peer, PodPeer, Selector, SelectorError, parse_selector
from controlplane.desired.symbols import Protocol
from controlplane.kube.objects import (
    ClusterNetworkPolicy,
    ClusterPolicyPeer,
    ClusterPolicyPort,
    ClusterPolicyProtocol,
    ClusterPolicyRule,
    LabelSelector,
    NamespacedPod,
    ObjectRef,
)

MAX_PRIORITY: Final = 1000
MAX_ITEMS: Final = 25
"""Rules in a direction, peers in a rule, protocols in a rule, networks in a peer."""


class Tier(Enum):
    ADMIN = "Admin"
    BASELINE = "Baseline"


class Action(Enum):
    ACCEPT = "Accept"
    DENY = "Deny"
    PASS = "Pass"


class TierRule(msgspec.Struct, frozen=True):
    """A rule of a tier: what is done with which traffic, and by whose wish."""

    action: Action
    rule: PolicyRule
    origin: ObjectRef


class ParsedClusterPolicy(msgspec.Struct, frozen=True):
    """What a ClusterNetworkPolicy means. `problems` name the fields; a direction without rules is not touched."""

    tier: Tier
    priority: int
    namespaces: Selector
    pods: Selector
    ingress: tuple[TierRule, ...]
    egress: tuple[TierRule, ...]
    problems: tuple[str, ...] = ()

    def rules(self, direction: str) -> tuple[TierRule, ...]:
        return self.ingress if direction == INGRESS else self.egress


_EVERYTHING = PolicyRule(None, None)


def _parse(view: View, ref: ObjectRef) -> ParsedClusterPolicy | tuple[str, ...]:
    """The policy, or why nobody is selected by it."""
    policy = view.read(OBJECT, ref)
    if not isinstance(policy, ClusterNetworkPolicy):
        return ()
    spec = policy.spec
    try:
        namespaces, pods = _selected(spec.subject.namespaces, spec.subject.pods, "spec.subject")
    except PolicyError as error:
        return (policy.malformed or str(error), "its subject cannot be told, so that it is in force for nobody")
    problems = [policy.malformed] if policy.malformed else []
    if spec.tier not in [tier.value for tier in Tier]:
        problems.append(f"spec.tier: {spec.tier!r} is neither Admin nor Baseline")
    if not 0 <= spec.priority <= MAX_PRIORITY:
        problems.append(f"spec.priority: {spec.priority} is not between 0 and {MAX_PRIORITY}")
    for direction, rules in ((INGRESS, spec.ingress), (EGRESS, spec.egress)):
        if len(rules or ()) > MAX_ITEMS:
            problems.append(f"spec.{direction}: {len(rules or ())} rules, and {MAX_ITEMS} are the most")
    if problems:
        closed = (TierRule(Action.DENY, _EVERYTHING, ref),)
        both = policy.malformed is not None
        return ParsedClusterPolicy(
            Tier.ADMIN if spec.tier != Tier.BASELINE.value else Tier.BASELINE,
            min(max(spec.priority, 0), MAX_PRIORITY),
            namespaces,
            pods,
            closed if both or spec.ingress else (),
            closed if both or spec.egress else (),
            tuple(problems),
        )
    ingress = [
        _rule(view, rule, INGRESS, f"spec.ingress[{n}]", ref, problems) for n, rule in enumerate(spec.ingress or ())
    ]
    egress = [_rule(view, rule, EGRESS, f"spec.egress[{n}]", ref, problems) for n, rule in enumerate(spec.egress or ())]
    return ParsedClusterPolicy(
        Tier(spec.tier),
        spec.priority,
        namespaces,
        pods,
        tuple(rule for rule in ingress if rule is not None),
        tuple(rule for rule in egress if rule is not None),
        tuple(problems),
    )


def _selected(namespaces: LabelSelector | None, pods: NamespacedPod | None, place: str) -> tuple[Selector, Selector]:
    """Selectors of namespaces and pods, of which exactly one form is given. Raises PolicyError."""
    if (namespaces is None) == (pods is None):
        raise PolicyError(f"{place}: exactly one of namespaces and pods is needed")
    try:
        if pods is None:
            return parse_selector(namespaces), Selector()
        if pods.pod_selector is None:
            raise PolicyError(f"{place}.pods: podSelector is needed")
        return parse_selector(pods.namespace_selector), parse_selector(pods.pod_selector)
    except SelectorError as error:
        raise PolicyError(f"{place}: {error}") from None


def _rule(
    view: View, rule: ClusterPolicyRule, direction: str, place: str, ref: ObjectRef, problems: list[str]
) -> TierRule | None:
    """The rule, failing closed: None for one that matches nothing."""
    try:
        action = Action(rule.action)
    except ValueError:
        problems.append(f"{place}.action: {rule.action!r} is none of Accept, Deny, Pass; it denies everything")
        return TierRule(Action.DENY, _EVERYTHING, ref)
    try:
        return TierRule(action, _parse_rule(view, rule, direction, place), ref)
    except PolicyError as error:
        if action is Action.ACCEPT:
            problems.append(f"{error}; it accepts nothing")
            return None
        problems.append(f"{error}; it denies everything")
        return TierRule(Action.DENY, _EVERYTHING, ref)


def _parse_rule(view: View, rule: ClusterPolicyRule, direction: str, place: str) -> PolicyRule:
    field, given, other = ("from", rule.from_, rule.to) if direction == INGRESS else ("to", rule.to, rule.from_)
    if other:
        raise PolicyError(f"{place}: a rule of this direction has {field} alone")
    if not given or len(given) > MAX_ITEMS:
        raise PolicyError(f"{place}.{field}: 1 to {MAX_ITEMS} peers are needed, not {len(given or ())}")
    peers: dict[Peer, None] = {}
    for number, peer in enumerate(given):
        peers.update(dict.fromkeys(_peers(view, peer, direction, f"{place}.{field}[{number}]")))
    if rule.protocols is None:
        return PolicyRule(tuple(peers), None)
    if not 1 <= len(rule.protocols) <= MAX_ITEMS:
        raise PolicyError(f"{place}.protocols: 1 to {MAX_ITEMS} are needed, not {len(rule.protocols)}")
    ports = tuple(_port(item, f"{place}.protocols[{number}]") for number, item in enumerate(rule.protocols))
    if any(port.name for port in ports) and any(isinstance(peer, BlockPeer) for peer in peers):
        raise PolicyError(f"{place}: only pods have named ports, and not all of its peers are pods")
    return PolicyRule(tuple(peers), ports)


def _peers(view: View, peer: ClusterPolicyPeer, direction: str, place: str) -> list[Peer]:
    kinds = {
        "namespaces": peer.namespaces,
        "pods": peer.pods,
        "nodes": peer.nodes,
        "networks": peer.networks,
        "domainNames": peer.domain_names,
    }
    given = [name for name, value in kinds.items() if value is not None]
    if len(given) != 1:
        raise PolicyError(
            f"{place}: exactly one kind of peer is needed, and there is {' and '.join(given) or 'none known'}"
        )
    if given[0] == "domainNames":
        raise PolicyError(f"{place}.domainNames: names cannot be matched by a switch")
    if direction == INGRESS and given[0] in ("nodes", "networks"):
        raise PolicyError(f"{place}.{given[0]}: means something in an egress rule only")
    if peer.networks is not None:
        if not 1 <= len(peer.networks) <= MAX_ITEMS:
            raise PolicyError(f"{place}.networks: 1 to {MAX_ITEMS} are needed, not {len(peer.networks)}")
        try:
            return [BlockPeer(parse_prefix(text), ()) for text in peer.networks]
        except AddressError as error:
            raise PolicyError(f"{place}.networks: {error}") from None
    if peer.nodes is not None:
        try:
            selector = parse_selector(peer.nodes)
        except SelectorError as error:
            raise PolicyError(f"{place}.nodes: {error}") from None
        return _node_peers(view, selector)
    namespaces, pods = _selected(peer.namespaces, peer.pods, place)
    return [PodPeer("", namespaces, pods)]


def _node_peers(view: View, selector: Selector) -> list[Peer]:
    """The selected nodes' addresses, each a range of its own. An address that is none is the Node's own problem."""
    found: dict[Peer, None] = {}
    for node in view.read(NODES, None):
        if not selector.matches(node.metadata.labels or {}):
            continue
        for item in node.status.addresses or ():
            if item.type in ("InternalIP", "ExternalIP"):
                try:
                    found[BlockPeer(host_prefix(parse_address(item.address)), ())] = None
                except AddressError:
                    continue
    return list(found)


def _port(item: ClusterPolicyProtocol, place: str) -> PolicyPort:
    given = {
        name: match for name, match in (("TCP", item.tcp), ("UDP", item.udp), ("SCTP", item.sctp)) if match is not None
    }
    if len(given) + (item.destination_named_port is not None) != 1:
        raise PolicyError(f"{place}: exactly one of tcp, udp, sctp and destinationNamedPort is needed")
    if item.destination_named_port is not None:
        if not item.destination_named_port:
            raise PolicyError(f"{place}.destinationNamedPort: is empty")
        return PolicyPort(0, name=item.destination_named_port)
    ((name, match),) = given.items()
    protocol = int(Protocol[name])
    if match.destination_port is None:
        return PolicyPort(protocol)
    low, high = _range(match.destination_port, f"{place}.{name.lower()}.destinationPort")
    return PolicyPort(protocol, low, high)


def _range(port: ClusterPolicyPort, place: str) -> tuple[int, int]:
    if (port.number is None) == (port.range is None):
        raise PolicyError(f"{place}: exactly one of number and range is needed")
    low, high = (port.number, port.number) if port.range is None else (port.range.start, port.range.end)
    assert low is not None and high is not None
    if not 1 <= low <= high <= 65535:
        raise PolicyError(f"{place}: {low} to {high} is not a range of ports")
    return low, high


PARSED_CLUSTER_POLICY: Rule[ObjectRef, ParsedClusterPolicy | tuple[str, ...]] = Rule("parsed cluster policy", _parse)


def _report(view: View, ref: ObjectRef) -> Output:
    parsed = view.get(PARSED_CLUSTER_POLICY, ref)
    problems = parsed if isinstance(parsed, tuple) else parsed.problems
    return Output(ref, (), tuple(Problem(ref, problem) for problem in problems))


CLUSTER_POLICY_REPORT: Rule[ObjectRef, Output] = Rule("cluster policy report", _report)
