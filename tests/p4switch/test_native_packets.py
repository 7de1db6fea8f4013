"""What becomes of packets: parsing, errors, checksums, header stacks, registers, and every way out of the pipeline."""

from __future__ import annotations

import queue
import struct
from collections.abc import Iterator

import pytest

from p4switch.dataplane import Counter, Dataplane, DataplaneError, Status
from p4switch.native import NativeDataplane
from tests.p4switch.compiled import compile_file, compiled
from tests.p4switch.differential.conftest import PROGRAMS

DST, SRC = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"
CPU = 64


@pytest.fixture(scope="module")
def module_dataplane() -> Iterator[NativeDataplane]:
    dataplane = NativeDataplane(cpu_port=CPU)
    yield dataplane
    dataplane.close()


@pytest.fixture
def dataplane(module_dataplane: NativeDataplane) -> NativeDataplane:
    module_dataplane.load(compiled("packets"))
    for group in (5, 6):
        module_dataplane.set_multicast_group(group, [])
    module_dataplane.set_clone_session(3, [])
    return module_dataplane


def checksum(header: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(*, options: bytes = b"", ttl: int = 64, protocol: int = 253, version: int = 4, good: bool = True) -> bytes:
    head = bytes([version << 4 | 5 + len(options) // 4, 0]) + b"\0\x40\0\1\0\0" + bytes([ttl, protocol])
    rest = bytes([10, 0, 0, 1, 10, 0, 0, 2]) + options
    value = checksum(head + b"\0\0" + rest)
    return head + (value if good else value ^ 1).to_bytes(2, "big") + rest


def ether(kind: int, payload: bytes) -> bytes:
    return DST + SRC + kind.to_bytes(2, "big") + payload


def command(what: int, argument: int = 0, result: int = 0) -> bytes:
    return bytes([what, argument]) + result.to_bytes(2, "big")


def order(what: int, argument: int = 0, payload: bytes = b"payload") -> bytes:
    return ether(0x88B5, command(what, argument) + payload)


def test_a_frame_that_is_not_parsed_leaves_as_it_came(dataplane: NativeDataplane) -> None:
    for frame in (ether(0x1234, b"x" * 46), ether(0x1234, b"") + b"y" * 8986):
        assert dataplane.inject(4, frame) == [(1, frame)]


def test_options_pass_and_the_checksum_is_updated(dataplane: NativeDataplane) -> None:
    for options in (b"", b"\1\2\3\4", bytes(range(40))):
        frame = ether(0x800, ipv4(options=options, protocol=17) + b"rest")
        assert dataplane.inject(0, frame) == [(1, ether(0x800, ipv4(options=options, protocol=17, ttl=63) + b"rest"))]


def test_a_wrong_checksum_is_seen(dataplane: NativeDataplane) -> None:
    ((port, _),) = dataplane.inject(0, ether(0x800, ipv4(good=False, protocol=17)))
    assert port == 3


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"\0" * 13, id="Ethernet too short"),
        pytest.param(ether(0x800, ipv4()[:19]), id="IPv4 too short"),
        pytest.param(ether(0x800, ipv4(options=b"abcd")[:-1]), id="options too short"),
        pytest.param(ether(0x800, ipv4(version=5)), id="verify fails"),
        pytest.param(ether(0x9100, b"\0\2\0\2\0\2\0\2"), id="stack full"),
        pytest.param(ether(0x9100, b"\0\3"), id="lookahead past the end"),
    ],
)
def test_a_parser_error_does_not_drop(dataplane: NativeDataplane, frame: bytes) -> None:
    ((port, out),) = dataplane.inject(0, frame)
    assert port == 2
    if len(frame) >= 14:
        assert out[6:12] == b"\0\0\0\0\0\x09"
        assert len(out) == len(frame)


def test_ranges_in_select_need_both_fields(dataplane: NativeDataplane) -> None:
    for ttl, protocol, parsed in ((64, 253, True), (1, 253, False), (64, 17, False)):
        out = dataplane.inject(0, ether(0x800, ipv4(ttl=ttl, protocol=protocol) + command(1)))
        assert (out == []) is parsed, "only a parsed command drops the packet"


def test_tags_are_pushed_and_popped(dataplane: NativeDataplane) -> None:
    tags = ether(0x9100, b"\0\x0a\0\x0d")
    assert dataplane.inject(0, tags + command(7)) == [(1, ether(0x9100, b"\0\x0d") + command(7))]
    assert dataplane.inject(0, tags + command(6)) == [(1, ether(0x9100, b"\0\x0e\0\x0a\0\x0d") + command(6))]
    three = ether(0x9100, b"\0\x0a\0\x0c\0\x0f") + command(6)
    assert dataplane.inject(0, three) == [(1, ether(0x9100, b"\0\x0e\0\x0a\0\x0c") + command(6))]


def test_registers_hold_and_compare_wide_keys(dataplane: NativeDataplane) -> None:
    results = [dataplane.inject(0, order(5))[0][1][16:18] for _ in range(3)]
    assert results == [b"\0\2", b"\0\1", b"\0\1"]
    key = int.from_bytes(DST + SRC + b"\x88\xb5", "big") << 88 | 0x0123456789ABCDEF
    values = dataplane.read_register("ingress.keys", None)
    assert sorted(set(values)) == [0, key]
    dataplane.write_register("ingress.keys", values.index(key), 0)
    assert dataplane.inject(0, order(5))[0][1][16:18] == b"\0\2"


def test_an_index_out_of_range_touches_nothing(dataplane: NativeDataplane) -> None:
    before = dataplane.read_register("ingress.keys", None)
    assert len(dataplane.inject(1, order(8, 200))) == 1
    assert dataplane.read_register("ingress.keys", None) == before
    assert sum(counter.packets for counter in dataplane.read_counter("ingress.seen", None)) == 1


def test_counters_count_packets_and_bytes(dataplane: NativeDataplane) -> None:
    for _ in range(3):
        dataplane.inject(2, order(0))
    assert dataplane.read_counter("ingress.seen", 2) == [Counter(3, 3 * len(order(0)))]
    dataplane.write_counter("ingress.seen", None, Counter(0, 0))
    assert set(dataplane.read_counter("ingress.seen", None)) == {Counter(0, 0)}
    with pytest.raises(DataplaneError, match="no index 4: its size is 4"):
        dataplane.read_counter("ingress.seen", 4)


def test_mark_to_drop(dataplane: NativeDataplane) -> None:
    assert dataplane.inject(0, order(1)) == []


def test_multicast_replicates_with_its_instances(dataplane: NativeDataplane) -> None:
    assert dataplane.inject(0, order(2, 5)) == [], "an unknown group swallows the packet"
    dataplane.set_multicast_group(5, [(7, 1), (8, 2), (7, 3)])
    out = dataplane.inject(0, order(2, 5))
    assert [(port, frame[16:18]) for port, frame in out] == [(7, b"\0\1"), (8, b"\0\2"), (7, b"\0\3")]
    assert all(frame.endswith(b"payload") for _, frame in out)


def test_a_clone_goes_in_front_and_can_be_cut(dataplane: NativeDataplane) -> None:
    assert len(dataplane.inject(0, order(3, 3))) == 1, "a session that does not exist clones nothing"
    dataplane.set_clone_session(3, [(9, 0)], truncate=20)
    (clone_port, clone), (port, original) = dataplane.inject(0, order(3, 3))
    assert (clone_port, port) == (9, 1)
    assert clone == (order(3, 3)[:16] + b"\0\xc1" + b"payload")[:20]
    assert original == order(3, 3)


def test_resubmit_and_recirculate_keep_their_fields(dataplane: NativeDataplane) -> None:
    for what in (4, 10):
        ((port, frame),) = dataplane.inject(0, order(what, 5))
        assert (port, frame[16:18]) == (1, b"\0\5")


def test_truncate_cuts_the_whole_packet(dataplane: NativeDataplane) -> None:
    assert dataplane.inject(0, order(9, 20)) == [(1, order(9, 20)[:20])]


def test_a_truncated_packet_goes_round_whole(module_dataplane: NativeDataplane) -> None:
    """As in BMv2: only what leaves is cut."""
    module_dataplane.load(compile_file(PROGRAMS / "paths.p4")[0])
    recirculate, cut, rounds = 0x10, 0x01, 1
    order = bytes([recirculate | cut, 0, 0, rounds, 0, 0, 14, 0, 0, 0, 0, 1])
    frame = order + bytes(40)
    ((port, out),) = module_dataplane.inject(0, frame)
    assert (port, len(out)) == (1, 14)
    assert out[12] == 1, "the second round has written in what was cut off"


def test_packets_to_and_from_the_controller(dataplane: NativeDataplane) -> None:
    arrived: queue.Queue[bytes] = queue.Queue()
    dataplane.on_packet_in(arrived.put)
    dataplane.set_multicast_group(6, [(CPU, 0)])
    dataplane.packet_out(order(2, 6))
    assert arrived.get(timeout=100)[:14] == order(2, 6)[:14]


def test_the_protocol_of_the_seam_is_kept(dataplane: NativeDataplane) -> None:
    seam: Dataplane = dataplane  # checked by mypy
    assert seam.ports() == []


def test_errors_name_the_object() -> None:
    dataplane = NativeDataplane()
    with pytest.raises(DataplaneError, match="no pipeline is loaded"):
        dataplane.inject(0, b"x")
    with pytest.raises(DataplaneError, match="interface 'nonesuch0' does not exist") as caught:
        dataplane.add_port(1, "nonesuch0")
    assert caught.value.status in (Status.NOT_FOUND, Status.FAILED_PRECONDITION)
    dataplane.close()
    with pytest.raises(DataplaneError, match="closed"):
        dataplane.load(b"{}")
    dataplane.close()
