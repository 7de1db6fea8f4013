"""Addresses as the pipeline holds them: 128-bit numbers, IPv4 as IPv4-mapped IPv6 (docs/pipeline.md, "Addresses").

The Kubernetes API lets odd spellings through (leading zeros, white space, IPv4-mapped IPv6). They are
normalised where only one reading exists and refused, with AddressError, where there are several.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import NamedTuple

ADDRESS_BITS = 128
ADDRESS_MASK = (1 << 128) - 1
_MAPPED = 0xFFFF << 32
_MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")


class AddressError(ValueError):
    """The text is not an address, prefix or MAC. `str()` says why, quoting it."""


class Prefix(NamedTuple):
    """An address range: the number of its first address and its length in bits, 0 to 128.

    Ordered by first address and then by length, so that a prefix sorts before everything inside it.
    """

    address: int
    length: int

    def __str__(self) -> str:
        if self.is_ipv4:
            return f"{format_address(self.address)}/{self.length - 96}"
        return f"{ipaddress.IPv6Address(self.address)}/{self.length}"

    @property
    def is_ipv4(self) -> bool:
        """Whether it is an IPv4 range. An IPv6 one never holds IPv4 addresses, whatever their 128-bit form says."""
        return self.length >= 96 and is_ipv4(self.address)

    def contains(self, address: int) -> bool:
        return (address ^ self.address) >> (ADDRESS_BITS - self.length) == 0 and self.is_ipv4 == is_ipv4(address)

    def covers(self, other: Prefix) -> bool:
        return (
            self.length <= other.length
            and (other.address ^ self.address) >> (ADDRESS_BITS - self.length) == 0
            and self.is_ipv4 == other.is_ipv4
        )

    def split(self) -> tuple[Prefix, ...]:
        """Ranges that hold the same addresses and, as 128-bit numbers, no IPv4 ones: itself, or for `::/0` and the like 96 smaller ones."""
        if self.length >= 96 or (IPV4.address ^ self.address) >> (ADDRESS_BITS - self.length) != 0:
            return (self,)
        return tuple(
            Prefix((IPV4.address ^ (1 << (ADDRESS_BITS - length))) & prefix_mask(length), length)
            for length in range(self.length + 1, 97)
        )


IPV4 = Prefix(_MAPPED, 96)
"""All of IPv4."""


def host_prefix(address: int) -> Prefix:
    """The prefix that holds this one address."""
    return Prefix(address, ADDRESS_BITS)


def is_ipv4(address: int) -> bool:
    return address >> 32 == 0xFFFF


def parse_address(text: str) -> int:
    """The address in `text`, surrounded by white space or not; IPv4-mapped IPv6 counts as IPv4.

    Raises:
        AddressError: also for IPv4 with leading zeros other than a lone 0, which some read as octal.
    """
    text = text.strip()
    try:  # nearly always, and ten times as fast; as strict as ipaddress is
        return _MAPPED | int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")
    except (OSError, ValueError):
        pass
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        raise AddressError(f"{text!r} is not an IP address") from None
    if isinstance(parsed, ipaddress.IPv4Address):
        return _MAPPED | int(parsed)
    if parsed.scope_id is not None:
        raise AddressError(f"{text!r} has a zone, which means nothing here")
    return int(parsed)


def parse_prefix(text: str) -> Prefix:
    """The range in `text` (`10.0.0.0/8`); host bits are cleared, as Kubernetes does.

    Raises:
        AddressError
    """
    address_text, slash, length_text = text.strip().partition("/")
    if not slash or not length_text.isdigit() or not length_text.isascii():
        raise AddressError(f"{text!r} is not an address range (CIDR)")
    address = parse_address(address_text)
    offset = 0 if ":" in address_text else 96
    length = int(length_text) + offset
    if length > ADDRESS_BITS or (is_ipv4(address) and length < 96):
        raise AddressError(f"{text!r} is not an address range (CIDR): the length does not fit")
    return Prefix(address & prefix_mask(length), length)


def prefix_mask(length: int) -> int:
    """The number whose first `length` of 128 bits are set."""
    return ADDRESS_MASK ^ (ADDRESS_MASK >> length)


def format_address(address: int) -> str:
    if is_ipv4(address):
        return str(ipaddress.IPv4Address(address & 0xFFFFFFFF))
    return str(ipaddress.IPv6Address(address))


def parse_mac(text: str) -> int:
    """The MAC address in `text` (`02:00:00:00:00:01`) as a 48-bit number. Raises AddressError."""
    text = text.strip()
    if not _MAC.fullmatch(text):
        raise AddressError(f"{text!r} is not a MAC address")
    return int(text.replace(":", "").replace("-", ""), 16)


def format_mac(mac: int) -> str:
    return mac.to_bytes(6, "big").hex(":")
