"""Addresses as 128-bit numbers, and the odd spellings that the API lets through."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.addresses import (
    AddressError,
    Prefix,
    format_address,
    format_mac,
    parse_address,
    parse_mac,
    parse_prefix,
)


@given(st.ip_addresses())
def test_an_address_survives(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    number = parse_address(str(address))
    if isinstance(address, ipaddress.IPv4Address):
        assert number == 0xFFFF << 32 | int(address)
        assert format_address(number) == str(address)
    elif address.ipv4_mapped is None:
        assert number == int(address)
        assert format_address(number) == str(address)


@pytest.mark.parametrize(
    ("text", "same"), [(" 10.0.0.1\n", "10.0.0.1"), ("::ffff:10.0.0.1", "10.0.0.1"), ("FD00:0::1", "fd00::1")]
)
def test_one_reading_is_taken(text: str, same: str) -> None:
    assert parse_address(text) == parse_address(same)


@pytest.mark.parametrize("text", ["010.0.0.1", "10.0.0", "", "fe80::1%eth0", "None", "1.2.3.4/32", "10.0.0.256"])
def test_what_has_none_or_several_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    "text", ["10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/x", "::ffff:1.2.3.4/64"]
)
def test_bad_prefixes(text: str) -> None:
    with pytest.raises(AddressError):
        parse_prefix(text)


def test_prefixes() -> None:
    assert parse_prefix("10.1.2.3/16") == parse_prefix("10.1.0.0/16") == Prefix(parse_address("10.1.0.0"), 112)
    assert str(parse_prefix("10.1.2.3/16")) == "10.1.0.0/16" and str(parse_prefix("fd00::1/8")) == "fd00::/8"
    assert parse_prefix("10.0.0.0/8").covers(parse_prefix("10.1.0.0/16"))
    assert not parse_prefix("::/0").contains(parse_address("10.0.0.1"))


@given(st.integers(0, 95), st.integers(0, (1 << 128) - 1), st.integers(0, (1 << 32) - 1))
def test_a_split_prefix_holds_the_same_ipv6_addresses_and_no_ipv4(length: int, address: int, ipv4: int) -> None:
    mapped = 0xFFFF << 32
    prefix = Prefix(mapped >> (128 - length) << (128 - length), length)
    parts = prefix.split()

    def within(part: Prefix, number: int) -> bool:  # as a table of 128-bit keys has it
        return (part.address ^ number) >> (128 - part.length) == 0

    inside = prefix.address | address >> length
    assert sum(within(part, inside) for part in parts) == (inside >> 32 != 0xFFFF)
    assert not any(within(part, mapped | ipv4) for part in parts)


def test_macs() -> None:
    assert format_mac(parse_mac("02-00-AA-00-00-01")) == "02:00:aa:00:00:01"
    for text in ("02:00:00:00:00", "02:00:00:00:00:0g", "020000000001"):
        with pytest.raises(AddressError):
            parse_mac(text)
