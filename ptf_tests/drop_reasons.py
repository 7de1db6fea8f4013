"""The drop reasons by name: `drop_reason_t` of p4src/drop_reasons.p4. A unit test compares the two."""

from __future__ import annotations

import re
from enum import IntEnum
from pathlib import Path

_MEMBER = re.compile(r"^\s*([A-Z][A-Z0-9_]*)\s*=\s*(\d+)\s*,?", re.MULTILINE)


class DropReason(IntEnum):
    """Why the pipeline dropped a packet; the index of `drop_counter`."""

    NONE = 0
    MALFORMED = 1
    UNSUPPORTED_ETHER_TYPE = 2
    UNKNOWN_PORT = 3
    FOREIGN_MAC = 4
    NEIGHBOR_UNKNOWN = 5
    NEIGHBOR_UNSUPPORTED = 6
    BAD_IPV4_CHECKSUM = 7
    MARTIAN = 8
    MULTICAST = 9
    FRAGMENT = 10
    EXTENSION_HEADER = 11
    SPOOFED_ADDRESS = 12
    SPOOFED_MAC = 13
    NOT_IN_CONNECTION = 14
    STALE_CONNECTION = 15
    SERVICE_REJECTED = 16
    SERVICE_PORT_REJECTED = 17
    SERVICE_DROPPED = 18
    EGRESS_POLICY = 19
    INGRESS_POLICY = 20
    NO_ROUTE = 21
    TTL_EXCEEDED = 22
    CONNECTIONS_FULL = 23
    CONNECTION_CONFLICT = 24
    SOURCE_RANGE = 25
    NO_LOCAL_ENDPOINT = 26
    MASQUERADE_EXHAUSTED = 27
    NO_MASQUERADE_ADDRESS = 28
    UNANSWERED_LIMIT = 29
    UNRELATED_ERROR = 30
    TOO_BIG = 31
    FRAGMENT_WITHOUT_FIRST = 32
    FRAGMENT_OVERLAP = 33
    UNKNOWN_TUNNEL = 34
    CONGESTED = 35


def parse_drop_reasons(path: Path) -> dict[str, int]:
    """Name to number of the members of `drop_reason_t`.

    Raises:
        ValueError: the file does not hold the enumeration.
    """
    text = path.read_text(encoding="utf-8")
    start = text.find("enum bit<8> drop_reason_t")
    if start < 0:
        raise ValueError(f"{path}: no drop_reason_t")
    return {name: int(number) for name, number in _MEMBER.findall(text[start : text.index("\n}", start)])}
