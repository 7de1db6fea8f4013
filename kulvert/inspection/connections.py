"""`kulvert connections`: the registers of the connection table, in the layout that `p4src/stages/connections.p4` describes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext

import msgspec
from rich.console import Console

from controlplane.addresses import AddressError, format_address, is_ipv4, parse_address
from controlplane.p4rt.connection import Target
from kulvert.failures import UserError
from kulvert.inspection.present import make_console, print_json, print_table
from kulvert.inspection.switch import Switch
from p4base.messages import p4r

TAGS = "connection_tags"
RECORDS = "connection_records"
TICK_SECONDS = (1 << 20) / 1_000_000
_WORDS = 4
_HALF_CIRCLE = 1 << 27

STATES = {
    1: "opened",
    2: "accepted",
    3: "closed",
    4: "unreplied",
    5: "echo",
    6: "echo replied",
    8: "established",
    9: "closing (opener)",
    10: "closing (peer)",
    11: "replied",
}
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}


class Entry(msgspec.Struct, frozen=True):
    """One direction of a connection: its five-tuple as the packets come in.

    Attributes:
        expires: in ticks of 2^20 microseconds of the switch's clock, 28 bits.
        peer: the slot of the other direction.
    """

    slot: int
    state: int
    expires: int
    src_addr: int
    dst_addr: int
    l4_sport: int
    l4_dport: int
    protocol: int
    peer: int
    endpoint_id: int
    is_translated: bool
    is_reply: bool


class TrackedConnection(msgspec.Struct, frozen=True):
    """A connection. `source` to `destination` is what the opener sends; the other two what leaves, if it is translated."""

    protocol: str
    state: str
    source: str
    destination: str
    translated_source: str
    translated_destination: str
    endpoint_id: int
    seconds_left: float


def decode_entry(slot: int, tag: int, words: Sequence[int]) -> Entry:
    """An entry from its tag and the first three words of its record."""
    info = words[2]
    return Entry(
        slot=slot,
        state=tag >> 60,
        expires=tag >> 32 & (1 << 28) - 1,
        src_addr=words[0],
        dst_addr=words[1],
        l4_sport=info >> 112,
        l4_dport=info >> 96 & 0xFFFF,
        protocol=info >> 88 & 0xFF,
        peer=info >> 56 & 0xFFFFFFFF,
        endpoint_id=info >> 24 & 0xFFFFFFFF,
        is_translated=bool(info >> 7 & 1),
        is_reply=bool(info >> 6 & 1),
    )


def pair_up(entries: Mapping[int, Entry]) -> list[TrackedConnection]:
    """The connections, by who opened them. A direction whose other one is gone counts for itself."""
    newest = _newest([entry.expires for entry in entries.values()])
    found = []
    for entry in sorted(entries.values(), key=lambda item: (item.protocol, item.src_addr, item.l4_sport)):
        if entry.is_reply:
            continue
        peer = entries.get(entry.peer)
        translated = peer if peer is not None and peer.peer == entry.slot and entry.is_translated else None
        found.append(
            TrackedConnection(
                protocol=PROTOCOLS.get(entry.protocol, str(entry.protocol)),
                state=STATES.get(entry.state, str(entry.state)),
                source=_end(entry.src_addr, entry.l4_sport),
                destination=_end(entry.dst_addr, entry.l4_dport),
                translated_source="" if translated is None else _end(translated.dst_addr, translated.l4_dport),
                translated_destination="" if translated is None else _end(translated.src_addr, translated.l4_sport),
                endpoint_id=entry.endpoint_id,
                seconds_left=round(-(newest - entry.expires & (1 << 28) - 1) * TICK_SECONDS, 1),
            )
        )
    return found


def _newest(expiries: Sequence[int]) -> int:
    """The latest of moments on a circle, no two of which are half of it apart."""
    newest = expiries[0] if expiries else 0
    for moment in expiries:
        if 0 < (moment - newest) % (1 << 28) < _HALF_CIRCLE:
            newest = moment
    return newest


def _end(address: int, port: int) -> str:
    text = format_address(address)
    return f"{text}:{port}" if is_ipv4(address) else f"[{text}]:{port}"


def read_connections(switch: Switch) -> dict[int, Entry]:
    """Every entry in the switch's table, by slot. Raises UserError: it has no such registers, or does not give them."""
    tags = {slot: tag for slot, tag in _cells(switch, TAGS, None) if tag}
    wanted = []
    for slot in tags:
        wanted += [slot * _WORDS + word for word in range(3)]
    words = dict(_cells(switch, RECORDS, wanted))
    return {
        slot: decode_entry(slot, tag, [words.get(slot * _WORDS + word, 0) for word in range(3)])
        for slot, tag in tags.items()
    }


def _cells(switch: Switch, name: str, indices: Sequence[int] | None) -> Iterable[tuple[int, int]]:
    register = switch.index.registers.get(name)
    if register is None:
        raise UserError(f"the pipeline has no register {name!r}: it tracks no connections this way")
    width = register.type_spec.bitstring.bit.bitwidth
    step = 5000
    batches: list[Sequence[int | None]] = (
        [[None]] if indices is None else [indices[start : start + step] for start in range(0, len(indices), step)]
    )
    for batch in batches:
        wanted = []
        for index in batch:
            entity = p4r.Entity()
            entity.register_entry.register_id = register.preamble.id
            if index is not None:
                entity.register_entry.index.index = index
            wanted.append(entity)
        for entity in switch.read(*wanted):
            cell = entity.register_entry
            yield cell.index.index, int.from_bytes(cell.data.bitstring, "big") & (1 << width) - 1


def print_connections(target: Target, address: str | None, limit: int, output: str) -> None:
    """Raises UserError."""
    waiting = Console(stderr=True).status("reading the connection table")  # some seconds, where it is large
    with Switch(target) as switch, waiting if sys.stderr.isatty() else nullcontext():
        entries = read_connections(switch)
    if address is not None:
        try:
            wanted = parse_address(address)
        except AddressError as error:
            raise UserError(str(error)) from None
        mine = {entry.slot for entry in entries.values() if wanted in (entry.src_addr, entry.dst_addr)}
        mine |= {entries[slot].peer for slot in mine}
        entries = {slot: entry for slot, entry in entries.items() if slot in mine}
    found = pair_up(entries)
    total = len(found)
    found = found[:limit] if limit else found
    if output == "json":
        print_json(found)
        return
    rows = [
        (
            item.protocol,
            item.state,
            item.source,
            item.destination,
            item.translated_source,
            item.translated_destination,
            f"{item.seconds_left:.0f}",
        )
        for item in found
    ]
    headings = ("protocol", "state", "from", "to", "leaves as from", "to", "s")
    print_table(make_console(), f"{total:,} connections", headings, rows, right=(6,))
    if found:
        make_console().print("s: how much sooner it ends than the connection that ends last", markup=False)
