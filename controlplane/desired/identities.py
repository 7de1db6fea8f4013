"""`source_identity_table` and `destination_identity_table`: addresses to what a policy can tell about them.

Pods with the same namespace, labels and named ports share an identity. The policies' address ranges part the other
addresses: since ranges either nest or are disjoint, the longest one that holds an address says all that is to be said.
"""

from __future__ import annotations

from controlplane.addresses import ADDRESS_BITS, Prefix, host_prefix, prefix_mask
from controlplane.desired.engine import Channel, Engine, Input, Rule, View
from controlplane.desired.entities import Entity, Lpm, Param, TableEntry, entry
from controlplane.desired.facts import POD_FACTS
from controlplane.desired.inputs import Output
from controlplane.desired.symbols import Identity, Value
from controlplane.kube.objects import ObjectRef

IDENTITIES: Channel[Identity] = Channel("identities that some address has")
BLOCKS: Channel[Prefix] = Channel("address ranges in the policies in force")
BLOCK_OF: Input[int, Prefix | None] = Input("the longest range that holds an address", None)


def identity_entries(prefix: Prefix, identity: Value) -> tuple[TableEntry, TableEntry]:
    """The two entries that give a range its identity."""
    param = Param("identity", identity)
    return (
        entry(
            "source_identity_table",
            (Lpm("src_addr", prefix.address, prefix.length),),
            "set_source_identity",
            param,
        ),
        entry(
            "destination_identity_table",
            (Lpm("dst_addr", prefix.address, prefix.length),),
            "set_destination_identity",
            param,
        ),
    )


def _derive_pod(view: View, ref: ObjectRef) -> Output:
    facts = view.get(POD_FACTS, ref)
    if facts is None:
        return Output(ref)
    entities: list[Entity] = []
    for address in facts.addresses:
        identity = Identity(ref.namespace, facts.labels, facts.named_ports, view.read(BLOCK_OF, address))
        view.emit(IDENTITIES, identity)
        entities += identity_entries(host_prefix(address), identity)
    return Output(ref, tuple(entities), precedence=1)


def _derive_block(view: View, prefix: Prefix) -> Output:
    identity = Identity("", (), (), prefix)
    view.emit(IDENTITIES, identity)
    return Output(ObjectRef("NetworkPolicy", "", f"ipBlock {prefix}"), identity_entries(prefix, identity))


POD_IDENTITY: Rule[ObjectRef, Output] = Rule("identity of a pod", _derive_pod, stage=1)
BLOCK_IDENTITY: Rule[Prefix, Output] = Rule("identity of a range", _derive_block, stage=1)


class BlockIndex:
    """The ranges in force, and who asked for the longest one that holds its address. Feeds `BLOCK_OF`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._blocks: set[Prefix] = set()
        self._lengths: dict[int, int] = {}
        self._asked: set[int] = set()
        engine.connect(BLOCKS, self)
        engine.hook(BLOCK_OF, self._start, self._asked.discard)

    def _start(self, address: int) -> Prefix | None:
        self._asked.add(address)
        return self.longest(address)

    def longest(self, address: int) -> Prefix | None:
        for length in sorted(self._lengths, reverse=True):
            candidate = Prefix(address & prefix_mask(length), length)
            if candidate in self._blocks and candidate.contains(address):
                return candidate
        return None

    def add(self, item: Prefix) -> None:
        self._blocks.add(item)
        self._lengths[item.length] = self._lengths.get(item.length, 0) + 1
        self._update(item)

    def remove(self, item: Prefix) -> None:
        self._blocks.remove(item)
        self._lengths[item.length] -= 1
        if not self._lengths[item.length]:
            del self._lengths[item.length]
        self._update(item)

    def _update(self, block: Prefix) -> None:
        if block.length == ADDRESS_BITS:
            inside = {block.address} & self._asked
        else:
            inside = {address for address in self._asked if block.contains(address)}
        for address in inside:
            self._engine.set(BLOCK_OF, address, self.longest(address))
