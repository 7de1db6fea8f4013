"""The pipeline's hash of a five-tuple (p4src/hash.p4) with the program's own key, and flows that collide in it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator

from ptf_tests.packets import Side, address_number

_MODULUS = 1 << 64
_KEY = (
    *(0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F),
    *(0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3, 0x589965CC75374CC3, 0x1D8E4E27C47D124F, 0xEB44ACCAB455D165),
)
_START = 0x2545F4914F6CDD1D


def flow_digest(src: Side, dst: Side, protocol: int) -> int:
    """`digest_of_flow`: 64 bits."""
    words = [*_address_words(src.address), *_address_words(dst.address), src.port << 16 | dst.port, protocol]
    keyed = [word + key for word, key in zip(words, _KEY, strict=True)]
    return (_START + sum(one * other for one, other in zip(keyed[::2], keyed[1::2], strict=True))) % _MODULUS


def place(digest: int, set_bits: int) -> tuple[int, int]:
    """The connection set and the fingerprint."""
    return digest >> (64 - set_bits), digest >> (32 - set_bits) & 0xFFFFFFFF | 1


def flows_of_one_set(src: str, dst: str, protocol: int, set_bits: int) -> Iterator[tuple[Side, Side]]:
    """Flows of set 0, whose answers all belong to other sets, each to its own."""
    answers = {0}
    for flow, answer in _flows_of_first_set(src, dst, protocol, set_bits):
        if answer not in answers:
            answers.add(answer)
            yield flow


def flows_within_one_set(src: str, dst: str, protocol: int, set_bits: int) -> Iterator[tuple[Side, Side]]:
    """Flows of set 0, whose answers belong to set 0 as well."""
    return (flow for flow, answer in _flows_of_first_set(src, dst, protocol, set_bits) if answer == 0)


def _flows_of_first_set(src: str, dst: str, protocol: int, set_bits: int) -> Iterator[tuple[tuple[Side, Side], int]]:
    """Flows of set 0, each with the set of its answers."""
    width = _MODULUS >> set_bits
    for port in range(1024, 65536):
        digest = flow_digest(Side(src, port), Side(dst, 1), protocol)
        step = protocol + _KEY[9]
        found = _first_in_range(step, -digest % _MODULUS, width)
        if found is None or found >= 65535:
            continue
        flow = Side(src, port), Side(dst, 1 + found)
        yield flow, place(flow_digest(flow[1], flow[0], protocol), set_bits)[0]


def twin_by_ports(wanted: int, set_bits: int, src: str, dst: str, protocol: int) -> tuple[Side, Side]:
    """A flow from `src` or an address near it with the set and the fingerprint of the digest `wanted`, given by its ports."""

    def flow(address: str, ports: int) -> tuple[Side, Side]:
        return Side(address, ports >> 16), Side(dst, ports & 0xFFFF)

    return _twin(wanted, set_bits, protocol, src, flow, lambda address: protocol + _KEY[9])


def twin_by_address(
    wanted: int, set_bits: int, near: str, protocol: int, ends: Callable[[str], tuple[Side, Side]], *, is_source: bool
) -> tuple[Side, Side]:
    """The same with given ports, and an IPv6 address with the upper half of `near` instead."""

    def flow(address: str, low_word: int) -> tuple[Side, Side]:
        number = int(ipaddress.IPv6Address(address)) >> 32 << 32 | low_word
        return ends(str(ipaddress.IPv6Address(number)))

    key = _KEY[2 if is_source else 6]
    return _twin(wanted, set_bits, protocol, near, flow, lambda address: _address_words(address)[2] + key)


def affinity_digest(client: str, affinity_id: int) -> int:
    """What `find_affinity` places a client of a Service port by: 64 bits."""
    words = [word + key for word, key in zip(_address_words(client), _KEY, strict=False)]
    port = (affinity_id + _KEY[4]) * _KEY[5]
    return (_START + words[0] * words[1] + words[2] * words[3] + port) % _MODULUS


def affinity_twin(client: str, affinity_id: int, set_bits: int, near: str) -> str:
    """An IPv6 address with the set and the fingerprint that a client has in the table of session affinity."""
    free_bits = 29 - set_bits  # below the set and the fingerprint
    low = affinity_digest(client, affinity_id) >> free_bits << free_bits
    for address in _addresses_near(near):
        upper = int(ipaddress.IPv6Address(address)) >> 32 << 32
        at_zero = affinity_digest(str(ipaddress.IPv6Address(upper)), affinity_id)
        word = _first_in_range(_address_words(address)[2] + _KEY[2], (low - at_zero) % _MODULUS, 1 << free_bits)
        if word is not None and word < 1 << 32:
            return str(ipaddress.IPv6Address(upper | word))
    raise AssertionError(f"no twin near {near}")


def _twin(
    wanted: int,
    set_bits: int,
    protocol: int,
    near: str,
    flow: Callable[[str, int], tuple[Side, Side]],
    step: Callable[[str], int],
) -> tuple[Side, Side]:
    """The digest is linear in the last word, so that of each address one can be found or there is none."""
    free_bits = 33 - set_bits  # below the set and the fingerprint
    low = wanted >> free_bits << free_bits
    for address in _addresses_near(near):
        at_zero = flow_digest(*flow(address, 0), protocol)
        word = _first_in_range(step(address), (low - at_zero) % _MODULUS, 1 << free_bits)
        if word is not None and word < 1 << 32:
            found = flow(address, word)
            assert place(flow_digest(*found, protocol), set_bits) == place(wanted, set_bits)
            return found
    raise AssertionError(f"no twin near {near}")


def _addresses_near(address: str) -> Iterator[str]:
    parsed = ipaddress.ip_address(address)
    shift = 0 if parsed.version == 4 else 32
    for number in range(20000):
        yield str(type(parsed)(int(parsed) + (number << shift)))


def _first_in_range(step: int, low: int, width: int) -> int | None:
    """The smallest x for which `step * x` modulo 2^64 lies in the `width` numbers from `low` on."""
    if low + width > _MODULUS:
        return 0  # the range goes round, and 0 is in it
    return _first_multiple(step % _MODULUS, _MODULUS, low, low + width - 1)


def _first_multiple(step: int, modulus: int, low: int, high: int) -> int | None:
    if low == 0:
        return 0
    if step == 0:
        return None
    if 2 * step > modulus:
        return _first_multiple(modulus - step, modulus, modulus - high, modulus - low)
    x = -(-low // step)
    if x * step <= high:
        return x
    rounds = _first_multiple(-modulus % step, step, low % step, high % step)
    return None if rounds is None else -(-(low + modulus * rounds) // step)


def _address_words(address: str) -> list[int]:
    number = address_number(address)
    return [number >> shift & 0xFFFFFFFF for shift in (96, 64, 32, 0)]
