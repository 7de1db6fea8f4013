"""Label selectors, and the index that knows which identities each of the policies' peers means.

Matching every peer against every identity on each change would cost their product. The index looks only at the peers that a new
identity could match: those of its namespace or of none in particular, that ask for a label it has or for none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from controlplane.addresses import Prefix
from controlplane.desired.engine import Engine, Input
from controlplane.desired.identities import IDENTITIES
from controlplane.desired.symbols import Identity
from controlplane.kube.objects import LabelSelector

NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


class SelectorError(ValueError):
    """The selector is not one. `str()` says why."""


class Requirement(msgspec.Struct, frozen=True, order=True):
    """One condition on a label; `operator` is one of OPERATORS, `values` is sorted and empty for the last two."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case _:
                return self.key not in labels


class Selector(msgspec.Struct, frozen=True, order=True):
    """All requirements must hold; none selects everything. Sorted, so that equal selectors are equal."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.holds(labels) for requirement in self.requirements)


def parse_selector(selector: LabelSelector | None) -> Selector:
    """The API's selector in canonical form; None is the empty one.

    Raises:
        SelectorError
    """
    if selector is None:
        return Selector()
    requirements = {Requirement(key, "In", (value,)) for key, value in (selector.match_labels or {}).items()}
    for expression in selector.match_expressions or ():
        values = tuple(sorted(set(expression.values or ())))
        if expression.operator not in OPERATORS:
            raise SelectorError(f"operator {expression.operator!r} is none of {', '.join(OPERATORS)}")
        if (expression.operator in ("In", "NotIn")) != bool(values):
            verb = "needs" if not values else "takes no"
            raise SelectorError(f"operator {expression.operator} on {expression.key!r} {verb} values")
        requirements.add(Requirement(expression.key, expression.operator, values))
    return Selector(tuple(sorted(requirements)))


class PodPeer(msgspec.Struct, frozen=True, tag="pods"):
    """Pods of a namespace (or, if `namespace` is "", of those that `namespaces` selects) that `pods` selects."""

    namespace: str
    namespaces: Selector
    pods: Selector

    @property
    def is_everyone(self) -> bool:
        """Every pod of the cluster."""
        return not self.namespace and not self.namespaces.requirements and not self.pods.requirements


class BlockPeer(msgspec.Struct, frozen=True, tag="block"):
    """An address range with holes."""

    block: Prefix
    excepts: tuple[Prefix, ...]

    def matches(self, block: Prefix) -> bool:
        """Whether the addresses whose longest range is `block` are meant."""
        return self.block.covers(block) and not any(hole.covers(block) for hole in self.excepts)


Peer = PodPeer | BlockPeer

MATCHES: Input[Peer, frozenset[Identity]] = Input("identities that a peer means", frozenset())

_Bucket = tuple[str, str, str]
_ANY = ""


class PeerIndex:
    """Which identities each peer in force means. Feeds `MATCHES`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._matches: dict[Peer, frozenset[Identity]] = {}
        self._peers: dict[_Bucket, dict[PodPeer, None]] = {}
        self._block_peers: dict[BlockPeer, None] = {}
        self._identities: dict[str, dict[Identity, dict[str, str]]] = {}  # by namespace, with its labels as a mapping
        self._labelled: dict[_Bucket, dict[Identity, None]] = {}
        self._namespaces: dict[str, dict[str, str]] = {}
        engine.connect(IDENTITIES, self)
        engine.hook(MATCHES, self._start, self._stop)

    # -- peers

    def _start(self, peer: Peer) -> frozenset[Identity]:
        if isinstance(peer, BlockPeer):
            self._block_peers[peer] = None
            everyone = (identity for identities in self._identities.values() for identity in identities)
            found = frozenset(item for item in everyone if item.block is not None and peer.matches(item.block))
        else:
            bucket = _bucket(peer)
            self._peers.setdefault(bucket, {})[peer] = None
            found = frozenset(identity for identity in self._candidates(bucket) if self._means(peer, identity))
        self._matches[peer] = found
        return found

    def _stop(self, peer: Peer) -> None:
        self._matches.pop(peer, None)
        if isinstance(peer, BlockPeer):
            self._block_peers.pop(peer, None)
            return
        bucket = _bucket(peer)
        peers = self._peers.get(bucket, {})
        peers.pop(peer, None)
        if not peers:
            self._peers.pop(bucket, None)

    def _candidates(self, bucket: _Bucket) -> Iterator[Identity]:
        namespace, key, _ = bucket
        if key:
            yield from self._labelled.get(bucket, {})
        elif namespace:
            yield from self._identities.get(namespace, {})
        else:
            for name, identities in self._identities.items():
                if name:
                    yield from identities

    def _means(self, peer: PodPeer, identity: Identity) -> bool:
        if peer.namespace:
            if identity.namespace != peer.namespace:
                return False
        elif not peer.namespaces.matches(self._namespace_labels(identity.namespace)):
            return False
        return peer.pods.matches(self._identities[identity.namespace][identity])

    # -- identities (the collection of the channel IDENTITIES)

    def add(self, item: Identity) -> None:
        self._identities.setdefault(item.namespace, {})[item] = dict(item.labels)
        for bucket in _buckets(item):
            if bucket[1]:
                self._labelled.setdefault(bucket, {})[item] = None
        for peer in self._peers_for(item):
            self._set(peer, self._matches[peer] | {item})

    def remove(self, item: Identity) -> None:
        for peer in self._peers_for(item):
            self._set(peer, self._matches[peer] - {item})
        for bucket in _buckets(item):
            if bucket[1]:
                labelled = self._labelled[bucket]
                del labelled[item]
                if not labelled:
                    del self._labelled[bucket]
        identities = self._identities[item.namespace]
        del identities[item]
        if not identities:
            del self._identities[item.namespace]

    def _peers_for(self, identity: Identity) -> list[Peer]:
        found: list[Peer] = []
        if identity.block is not None:
            found += [peer for peer in self._block_peers if peer.matches(identity.block)]
        if identity.namespace:
            for bucket in _buckets(identity):
                found += [peer for peer in self._peers.get(bucket, ()) if self._means(peer, identity)]
        return found

    def _set(self, peer: Peer, matches: frozenset[Identity]) -> None:
        self._matches[peer] = matches
        self._engine.set(MATCHES, peer, matches)

    # -- namespaces

    def _namespace_labels(self, name: str) -> Mapping[str, str]:
        return self._namespaces.get(name) or {NAMESPACE_NAME_LABEL: name}

    def set_namespace(self, name: str, labels: Mapping[str, str] | None) -> None:
        """A namespace's labels; None when it is gone. The label with its own name is always there."""
        if labels is None:
            self._namespaces.pop(name, None)
        else:
            self._namespaces[name] = {**labels, NAMESPACE_NAME_LABEL: name}
        identities = self._identities.get(name, {})
        if not identities:
            return
        for bucket, peers in self._peers.items():
            if bucket[0] != _ANY:
                continue
            for peer in peers:
                kept = frozenset(item for item in self._matches[peer] if item.namespace != name)
                new = kept | {item for item in identities if self._means(peer, item)}
                if new != self._matches[peer]:
                    self._set(peer, new)


def _bucket(peer: PodPeer) -> _Bucket:
    """Where the peer waits for identities: its namespace, and one label that it insists on."""
    for requirement in peer.pods.requirements:
        if requirement.operator == "In" and len(requirement.values) == 1:
            return peer.namespace, requirement.key, requirement.values[0]
    return peer.namespace, "", ""


def _buckets(identity: Identity) -> Iterator[_Bucket]:
    """Where peers that may mean this identity wait."""
    for namespace in (identity.namespace, _ANY):
        yield namespace, "", ""
        for key, value in identity.labels:
            yield namespace, key, value
