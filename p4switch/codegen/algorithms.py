"""The hash algorithms that BMv2 knows by name, and which C computes each.

Plain ones are functions of bytes. Those with parameters or a state have a `kv_hash_state` for each calculation, which the
runtime may change. CRCs are named as in the catalogue that BMv2 takes its names from, or spelled out in P4_14's way
("poly_0x18005_init_0xffff_not_rev_xout_0x1").
"""

from __future__ import annotations

from dataclasses import dataclass

from p4switch.bmv2 import model

PLAIN = {
    "crc32": "crc32",
    "crc16": "crc16",
    "crcCCITT": "crcCCITT",
    "csum16": "csum16",
    "cksum16": "csum16",
    "xor16": "xor16",
    "xor32": "xor32",
    "identity": "identity",
    "xxh64": "xxh64",
}
_WITH_STATE = {
    "toeplitz": "KV_HASH_TOEPLITZ",
    "round_robin": "KV_HASH_ROUND_ROBIN",
    "round_robin_consistent": "KV_HASH_ROUND_ROBIN_CONSISTENT",
}


@dataclass(frozen=True, slots=True)
class Crc:
    """A cyclic redundancy check of `width` bits; `reflected` input bytes and result."""

    width: int
    polynomial: int
    initial: int
    final_xor: int
    reflected: bool


CRCS = {
    "crc8_custom": Crc(8, 0x07, 0x00, 0x00, False),
    "crc16_custom": Crc(16, 0x8005, 0x0000, 0x0000, True),
    "crc32_custom": Crc(32, 0x04C11DB7, 0xFFFFFFFF, 0xFFFFFFFF, True),
    "crc64_custom": Crc(64, 0x1B, 0, 0, True),
    "crc_8": Crc(8, 0x07, 0x00, 0x00, False),
    "crc_8_darc": Crc(8, 0x39, 0x00, 0x00, True),
    "crc_8_i_code": Crc(8, 0x1D, 0xFD, 0x00, False),
    "crc_8_itu": Crc(8, 0x07, 0x00, 0x55, False),
    "crc_8_maxim": Crc(8, 0x31, 0x00, 0x00, True),
    "crc_8_rohc": Crc(8, 0x07, 0xFF, 0x00, True),
    "crc_8_wcdma": Crc(8, 0x9B, 0x00, 0x00, True),
    "crc_16": Crc(16, 0x8005, 0x0000, 0x0000, True),
    "crc_16_buypass": Crc(16, 0x8005, 0x0000, 0x0000, False),
    "crc_16_dds_110": Crc(16, 0x8005, 0x800D, 0x0000, False),
    "crc_16_dect": Crc(16, 0x0589, 0x0000, 0x0001, False),
    "crc_16_dnp": Crc(16, 0x3D65, 0x0000, 0xFFFF, True),
    "crc_16_en_13757": Crc(16, 0x3D65, 0x0000, 0xFFFF, False),
    "crc_16_genibus": Crc(16, 0x1021, 0xFFFF, 0xFFFF, False),
    "crc_16_maxim": Crc(16, 0x8005, 0x0000, 0xFFFF, True),
    "crc_16_mcrf4xx": Crc(16, 0x1021, 0xFFFF, 0x0000, True),
    "crc_16_riello": Crc(16, 0x1021, 0xB2AA, 0x0000, True),
    "crc_16_t10_dif": Crc(16, 0x8BB7, 0x0000, 0x0000, False),
    "crc_16_teledisk": Crc(16, 0xA097, 0x0000, 0x0000, False),
    "crc_16_usb": Crc(16, 0x8005, 0xFFFF, 0xFFFF, True),
    "x_25": Crc(16, 0x1021, 0xFFFF, 0xFFFF, True),
    "xmodem": Crc(16, 0x1021, 0x0000, 0x0000, False),
    "modbus": Crc(16, 0x8005, 0xFFFF, 0x0000, True),
    "kermit": Crc(16, 0x1021, 0x0000, 0x0000, True),
    "crc_ccitt_false": Crc(16, 0x1021, 0xFFFF, 0x0000, False),
    "crc_aug_ccitt": Crc(16, 0x1021, 0x1D0F, 0x0000, False),
    "crc_32": Crc(32, 0x04C11DB7, 0xFFFFFFFF, 0xFFFFFFFF, True),
    "crc_32_bzip2": Crc(32, 0x04C11DB7, 0xFFFFFFFF, 0xFFFFFFFF, False),
    "crc_32c": Crc(32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, True),
    "crc_32d": Crc(32, 0xA833982B, 0xFFFFFFFF, 0xFFFFFFFF, True),
    "crc_32_mpeg": Crc(32, 0x04C11DB7, 0xFFFFFFFF, 0x00000000, False),
    "posix": Crc(32, 0x04C11DB7, 0x00000000, 0xFFFFFFFF, False),
    "crc_32q": Crc(32, 0x814141AB, 0x00000000, 0x00000000, False),
    "jamcrc": Crc(32, 0x04C11DB7, 0xFFFFFFFF, 0x00000000, True),
    "xfer": Crc(32, 0x000000AF, 0x00000000, 0x00000000, False),
    "crc_64": Crc(64, 0x1B, 0, 0, True),
    "crc_64_we": Crc(64, 0x42F0E1EBA9EA3693, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF, False),
    "crc_64_jones": Crc(64, 0xAD93D23594C935A9, 0xFFFFFFFFFFFFFFFF, 0x0000000000000000, True),
}


def crc_of(algorithm: str) -> Crc | None:
    """The CRC that `algorithm` names or spells out; None if it does neither."""
    return CRCS.get(algorithm) or _spelled(algorithm)


def _spelled(text: str) -> Crc | None:
    """P4_14's spelling: the polynomial with its leading one, then init, xout and not_rev in any order."""
    words = text.split("_")
    values = {"init": 0, "xout": 0}
    polynomial, reflected = "", True
    while words:
        word = words.pop(0)
        if word == "not" and words[:1] == ["rev"]:
            reflected = False
            words.pop(0)
        elif word in ("poly", "init", "xout") and words:
            value = words.pop(0)
            if word == "poly":
                polynomial = value
                continue
            try:
                values[word] = int(value, 16)
            except ValueError:
                return None
        else:
            return None
    digits = polynomial.removeprefix("0x1")
    width = 4 * len(digits)
    if digits == polynomial or width not in (8, 16, 32, 64):
        return None
    try:
        number = int(digits, 16)
    except ValueError:
        return None
    ones = (1 << width) - 1
    return Crc(width, number, values["init"] & ones, values["xout"] & ones, reflected)


def is_known(algorithm: str) -> bool:
    return algorithm in PLAIN or algorithm in _WITH_STATE or crc_of(algorithm) is not None


@dataclass(frozen=True, slots=True)
class HashWithState:
    """A calculation (or "selector PROFILE") whose hash has parameters or a state."""

    key: str
    kind: str
    crc: Crc | None


def hashes_with_state(program: model.Program) -> list[HashWithState]:
    """All of them, in the runtime's numbering."""
    used = [(item.name, item.algorithm) for item in program.calculations.values()]
    used += [
        (f"selector {profile.name}", profile.selector.algorithm)
        for profile in program.profiles.values()
        if profile.selector is not None
    ]
    found: list[HashWithState] = []
    for key, algorithm in used:
        if algorithm in PLAIN:
            continue
        if algorithm in _WITH_STATE:
            found.append(HashWithState(key, _WITH_STATE[algorithm], None))
        else:
            found.append(HashWithState(key, "KV_HASH_CRC", crc_of(algorithm)))
    return found
