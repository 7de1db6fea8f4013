"""The hash algorithms that BMv2 knows, against published check values."""

from __future__ import annotations

import pytest

from p4switch.codegen.algorithms import Crc, crc_of
from p4switch.dataplane import DataplaneError
from p4switch.native import NativeDataplane
from tests.p4switch.bmv2_builder import Document, hexstr, ref

TEXT = b"123456789"
LONG = b"Nobody inspects the spammish repetition"
# The catalogue of parametrised CRC algorithms gives the CRC of "123456789".
CHECKS = {
    "crc_8": 0xF4,
    "crc_8_darc": 0x15,
    "crc_8_i_code": 0x7E,
    "crc_8_itu": 0xA1,
    "crc_8_maxim": 0xA1,
    "crc_8_rohc": 0xD0,
    "crc_8_wcdma": 0x25,
    "crc_16": 0xBB3D,
    "crc16": 0xBB3D,
    "crc16_custom": 0xBB3D,
    "crc_16_buypass": 0xFEE8,
    "crc_16_dds_110": 0x9ECF,
    "crc_16_dect": 0x007E,
    "crc_16_dnp": 0xEA82,
    "crc_16_en_13757": 0xC2B7,
    "crc_16_genibus": 0xD64E,
    "crc_16_maxim": 0x44C2,
    "crc_16_mcrf4xx": 0x6F91,
    "crc_16_riello": 0x63D0,
    "crc_16_t10_dif": 0xD0DB,
    "crc_16_teledisk": 0x0FB3,
    "crc_16_usb": 0xB4C8,
    "x_25": 0x906E,
    "xmodem": 0x31C3,
    "modbus": 0x4B37,
    "kermit": 0x2189,
    "crc_ccitt_false": 0x29B1,
    "crcCCITT": 0x29B1,
    "crc_aug_ccitt": 0xE5CC,
    "crc_32": 0xCBF43926,
    "crc32": 0xCBF43926,
    "crc32_custom": 0xCBF43926,
    "crc_32_bzip2": 0xFC891918,
    "crc_32c": 0xE3069283,
    "crc_32d": 0x87315576,
    "crc_32_mpeg": 0x0376E6E7,
    "posix": 0x765E7680,
    "crc_32q": 0x3010BF7F,
    "jamcrc": 0x340BC6D9,
    "xfer": 0xBD0BE338,
    "crc_64_we": 0x62EC59E3F1A4F00A,
    "poly_0x11021_init_0xffff_not_rev_xout_0xffff": 0xD64E,
    "poly_0x18005": 0xBB3D,
    "xxh64": 0x8CB841DB40E6AE83,
}
SIZE = 1 << 63  # of the range that a hash is brought into


def hashing(algorithms: list[str], size: int) -> Document:
    """A program whose packets are `size` bytes of input, then a result of 64 bits for each algorithm."""
    document = Document({"input": [("data", 8 * size)], "output": [(f"r{i}", 64) for i in range(len(algorithms))]})
    document.extra["calculations"] = [
        {"name": f"hash_{i}", "id": i, "algo": algorithm, "input": [ref("input", "data")]}
        for i, algorithm in enumerate(algorithms)
    ]
    document.action(
        "compute",
        [],
        [
            {
                "op": "modify_field_with_hash_based_offset",
                "parameters": [
                    ref("output", f"r{i}"),
                    hexstr(0),
                    {"type": "calculation", "value": f"hash_{i}"},
                    hexstr(SIZE),
                ],
            }
            for i in range(len(algorithms))
        ],
    )
    document.table("all", "exact", [], [0])
    return document


def results(dataplane: NativeDataplane, data: bytes, count: int) -> list[int]:
    ((_, frame),) = dataplane.inject(1, data + bytes(8 * count))
    return [int.from_bytes(frame[len(data) + 8 * i :][:8], "big") for i in range(count)]


@pytest.fixture(scope="module")
def plane() -> NativeDataplane:
    return NativeDataplane()


def test_check_values(plane: NativeDataplane) -> None:
    plane.load(hashing(list(CHECKS), len(TEXT)).encode())
    found = dict(zip(CHECKS, results(plane, TEXT, len(CHECKS)), strict=True))
    assert found == {name: value % SIZE for name, value in CHECKS.items()}


def test_longer_than_a_lane(plane: NativeDataplane) -> None:
    plane.load(hashing(["xxh64"], len(LONG)).encode())
    assert results(plane, LONG, 1) == [0xFBCEA83C8A378BF1 % SIZE]


def test_parameters_change_and_are_forgotten_at_the_next_load(plane: NativeDataplane) -> None:
    program = hashing(["crc16_custom", "toeplitz"], 12).encode()
    plane.load(program)
    flow = bytes.fromhex("420995bba18e64500aea06e6")  # of Microsoft's verification suite for receive side scaling
    key = "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa"
    before = results(plane, flow, 2)
    plane.set_crc_parameters("hash_0", 0x1021, 0xFFFF, 0, data_reflected=False, remainder_reflected=False)
    plane.set_toeplitz_key("hash_1", bytes.fromhex(key))
    after = results(plane, flow, 2)
    assert after[0] != before[0]
    assert (before[1], after[1]) == (0, 0x51CCC178)
    plane.load(program)
    assert results(plane, flow, 2) == before
    with pytest.raises(DataplaneError, match=r"hash_1.*5 bytes"):
        plane.set_toeplitz_key("hash_1", b"12345")
    with pytest.raises(DataplaneError, match="'hash_9'"):
        plane.set_toeplitz_key("hash_9", bytes(4))


def test_round_robin_counts_calls_and_the_consistent_one_inputs(plane: NativeDataplane) -> None:
    plane.load(hashing(["round_robin", "round_robin_consistent"], 1).encode())
    assert [results(plane, data, 2) for data in (b"a", b"b", b"a", b"c")] == [[0, 0], [1, 1], [2, 0], [3, 2]]


@pytest.mark.parametrize("name", ["crc_17", "poly_", "poly_0x11", "poly_0x1zz", "poly_0x107_lsb", "md5"])
def test_unknown_algorithms_are_refused_by_name(plane: NativeDataplane, name: str) -> None:
    assert crc_of(name) is None
    with pytest.raises(DataplaneError, match=f"hash_0.*{name}"):
        plane.load(hashing([name], 1).encode())


def test_p4_14_spelling() -> None:
    assert crc_of("poly_0x104c11db7_init_0xffffffff_xout_0x1") == Crc(32, 0x04C11DB7, 0xFFFFFFFF, 1, True)
