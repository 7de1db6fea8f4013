"""The P4 sources, the page that describes them and what is derived from them by hand say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kulvert.resources import resource_dir
from kulvert.targets import Sizes
from ptf_tests.drop_reasons import DropReason, parse_drop_reasons

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "pipeline.md").read_text(encoding="utf-8")
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted(resource_dir("p4src").rglob("*.p4"))}
TABLE = re.compile(
    r"^    table (\w+) \{\n        key = \{\n(.*?)        \}\n        actions = \{\n(.*?)        \}", re.M | re.S
)


def _tables_of_the_sources() -> dict[str, tuple[list[str], set[str]]]:
    """Table name to key names, selector fields left out, and actions."""
    tables = {}
    for text in SOURCES.values():
        for name, key, actions in TABLE.findall(text):
            if name.startswith("sctp_"):
                continue  # constants of arithmetic, whose entries are in the source
            keys = re.findall(r"@name\(\"(\w+)\"\)", key)
            tables[name] = keys, set(re.findall(r"^\s+(\w+);", actions, re.M))
    return tables


def _tables_of_the_page() -> dict[str, tuple[list[str], set[str]]]:
    tables = {}
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 4 and re.fullmatch(r"`\w+_table`", cells[0]):
            keys = re.findall(r"`(\w+)` [ELTR]", cells[1].partition(";")[0])
            actions = set(re.findall(r"`(\w+)\([^`]*\)`", cells[2]))
            tables[cells[0].strip("`")] = keys, actions
    return tables


def test_the_page_has_every_table_with_its_keys_and_actions() -> None:
    sources, page = _tables_of_the_sources(), _tables_of_the_page()
    assert len(sources) == 25
    assert page.keys() == sources.keys()
    for name, (keys, actions) in sources.items():
        assert page[name][0] == keys, name
        assert page[name][1] == actions, name


def test_every_table_has_its_size_in_the_target_files() -> None:
    sized = {name for name in Sizes.__dataclass_fields__ if name.endswith("_table")}
    assert sized == set(_tables_of_the_sources())


def test_drop_reasons_have_the_same_names_and_numbers_everywhere() -> None:
    in_p4 = parse_drop_reasons(resource_dir("p4src") / "drop_reasons.p4")
    assert in_p4 == {reason.name: reason.value for reason in DropReason}
    used = set(re.findall(r"drop_reason_t\.(\w+)", "".join(SOURCES.values())))
    assert used == in_p4.keys(), "a reason that nothing uses, or one that is not declared"
    for name in set(re.findall(r"`([A-Z]+_[A-Z_]+)`", PAGE)) & {*in_p4, *PAGE.split()}:
        assert name in in_p4


def test_drop_reasons_are_refused_from_any_other_file(tmp_path: Path) -> None:
    path = tmp_path / "other.p4"
    path.write_text("enum bit<8> colour_t { RED = 1 }\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no drop_reason_t"):
        parse_drop_reasons(path)


def test_every_drop_reason_has_a_packet_test() -> None:
    folder = Path(__file__).resolve().parents[2] / "ptf_tests" / "stages"
    tested = set(re.findall(r"DropReason\.(\w+)", "".join(path.read_text("utf-8") for path in folder.glob("*.py"))))
    assert {reason.name for reason in DropReason} - tested == {"NONE"}


def test_the_powers_for_sctp_are_those_of_crc32c() -> None:
    """x^8 to n modulo CRC32c's polynomial: what n bytes of zeros make of a CRC that has just begun with the highest bit."""
    text = SOURCES[resource_dir("p4src") / "stages" / "sctp.p4"]
    found: dict[tuple[str, int], int] = {}
    for name, low in (("low", 2), ("high", 8)):
        start = text.index(f"table sctp_{name}_power_table")
        entries = re.findall(r"(\d+): set_power\((0x[0-9a-f]+)\);", text[start : text.index("\n    }\n", start)])
        assert [int(number) for number, _ in entries] == list(range(64))
        found |= {(name, int(number) << low): int(value, 16) for number, value in entries}
    register = 1 << 31
    powers = []
    for _ in range(63 << 8 | 1):
        powers.append(register)
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    assert found == {key: powers[key[1]] for key in found}
