"""`kulvert connections`: the registers of the connection table, in the layout that `p4src/stages/connections.p4` describes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import islice

import msgspec
from rich.console import Console

from controlplane.addresses import format_address, is_ipv4
from controlplane.p4rt.connection import Target
from kulvert.inspection.present import make_console, print_json_list
from kulvert.inspection.registers import Register
from kulvert.inspection.switch import Switch
from kulvert.inspection.trace import Place

TAGS = "connection_tags"
RECORDS = "connection_records"
TICK_SECONDS = (1 << 20) / 1_000_000
_WORDS = 4
_TICKS = (1 << 28) - 1
_HALF_CIRCLE = 1 << 27
_BATCH = 1000
_DENSE_SHARE = 64
"""From one entry in so many words of the records, all of them are read at once."""

_ROW = "{:8} {:16} {:<46} {:<46} {:>8}  {}"
_HEADINGS = ("protocol", "state", "from", "to", "s", "translated to")

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
        expires=tag >> 32 & _TICKS,
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


def join(entry: Entry, peer: Entry | None, newest: int) -> TrackedConnection:
    """A connection from its two entries, `entry` the opener's. `newest` is the latest `expires` of the table."""
    is_paired = peer is not None and peer.peer == entry.slot
    translated = peer if is_paired and entry.is_translated else None
    return TrackedConnection(
        protocol=PROTOCOLS.get(entry.protocol, str(entry.protocol)),
        state=STATES.get(entry.state, str(entry.state)),
        source=_end(entry.src_addr, entry.l4_sport),
        destination=_end(entry.dst_addr, entry.l4_dport),
        translated_source="" if translated is None else _end(translated.dst_addr, translated.l4_dport),
        translated_destination="" if translated is None else _end(translated.src_addr, translated.l4_sport),
        endpoint_id=entry.endpoint_id,
        seconds_left=round(-(newest - entry.expires & _TICKS) * TICK_SECONDS, 1),
    )


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


class ConnectionTable:
    """The connection table of a running switch, read as far as is asked for. Raises UserError: it has none, or does not give it."""

    def __init__(self, switch: Switch) -> None:
        self._records = Register(switch, RECORDS)
        self._tags = dict(Register(switch, TAGS).occupied())
        self._newest = _newest([tag >> 32 & _TICKS for tag in self._tags.values()])

    def __len__(self) -> int:
        """Entries; a connection has two."""
        return len(self._tags)

    def connections(self, places: Sequence[Place] = ()) -> Iterator[TrackedConnection]:
        """Those that all of the places have a part in, in the order of the table."""
        slots = iter(self._tags)
        is_dense = len(self._tags) * _DENSE_SHARE >= self._records.size
        seen: set[int] = set()
        while True:
            batch = self._tags if is_dense else list(islice(slots, _BATCH))
            entries = self._read(list(batch))
            peers = {entry.peer for entry in entries.values()} - entries.keys()
            entries |= self._read([slot for slot in peers if slot in self._tags])
            for slot in batch:
                entry = entries[slot]
                if slot in seen or not self._is_first(entry, entries):
                    continue
                peer = entries.get(entry.peer)
                seen |= {slot, entry.peer}
                both = [entry] if peer is None else [entry, peer]
                if all(has_part(place, both) for place in places):
                    yield self._join(entry, peer)
            if is_dense or not batch:
                return

    def _read(self, slots: Sequence[int]) -> dict[int, Entry]:
        words = self._records.cells([slot * _WORDS + word for slot in slots for word in range(3)])
        return {
            slot: decode_entry(slot, self._tags[slot], [words.get(slot * _WORDS + word, 0) for word in range(3)])
            for slot in slots
        }

    def _is_first(self, entry: Entry, entries: Mapping[int, Entry]) -> bool:
        """Whether it stands for its connection: the opener's direction; the other one only if that is gone."""
        if not entry.is_reply:
            return True
        peer = entries.get(entry.peer)
        return peer is None or peer.peer != entry.slot

    def _join(self, entry: Entry, peer: Entry | None) -> TrackedConnection:
        return join(entry, peer, self._newest)


def has_part(place: Place, entries: Sequence[Entry]) -> bool:
    """Whether a connection with these entries has to do with a place: its address, and its port if one is given, on one side of one."""
    for entry in entries:
        if place.protocol in ("", PROTOCOLS.get(entry.protocol)):
            ends = ((entry.src_addr, entry.l4_sport), (entry.dst_addr, entry.l4_dport))
            if any(address in place.addresses and place.port in (0, port) for address, port in ends):
                return True
    return False


def print_connections(target: Target, places: Sequence[Place], limit: int, output: str) -> None:
    """Print them as they are found, at most `limit` if that is not 0. Raises UserError."""
    waiting = Console(stderr=True).status("reading the connection table")
    with Switch(target) as switch:
        with waiting if sys.stderr.isatty() else nullcontext():
            table = ConnectionTable(switch)
        found = table.connections(places)
        if output == "json":
            print_json_list(islice(found, limit or None))
            return
        rows = 0
        print(_ROW.format(*_HEADINGS).rstrip())
        for item in islice(found, limit or None):
            rows += 1
            cells = (item.protocol, item.state, item.source, item.destination)
            translated = f"{item.translated_source} > {item.translated_destination}" if item.translated_source else ""
            print(_ROW.format(*cells, f"{item.seconds_left:.0f}", translated).rstrip())
        is_more = bool(limit) and next(found, None) is not None
    console = make_console()
    console.print(
        f"{rows:,} connections"
        + (" and more (--limit)" if is_more else "")
        + f"; the table has {len(table):,} entries, two each",
        markup=False,
    )
    if rows:
        console.print("s: how much sooner it ends than the connection that ends last", markup=False)
