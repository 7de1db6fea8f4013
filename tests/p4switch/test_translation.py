"""Types that the controller calls by strings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from p4base.messages import p4i, p4r
from p4switch.dataplane import Dataplane
from p4switch.service.errors import Code, P4Error
from p4switch.service.translation import StringMap
from tests.p4switch.harness import Harness, received, table
from tests.p4switch.programs import TABLE_ID, acl_entry, exact_entry, make_config, make_document
from tests.p4switch.test_table_entry import refusal


def strings_config(**changes: Any) -> p4r.ForwardingPipelineConfig:
    """The test program, with ports of a type that is translated."""
    config = make_config()
    info = config.p4info
    new_type = info.type_info.new_types["port_t"]
    new_type.translated_type.uri = "example.org/port"
    new_type.translated_type.sdn_string.SetInParent()
    new_type.annotations.append('@p4runtime_translation_mappings({{"flood", 500}, {"none", 0x1ff}})')

    def translate(item: p4i.MatchField | p4i.Action.Param | p4i.ControllerPacketMetadata.Metadata) -> None:
        item.type_name.name = "port_t"
        item.bitwidth = 0

    for each in info.tables:
        for field in each.match_fields:
            if field.name == "hdr.port":
                translate(field)
    for action in info.actions:
        for param in action.params:
            if param.name == "port":
                translate(param)
    for header in info.controller_packet_metadata:
        for item in header.metadata:
            if item.name in ("ingress_port", "egress_port"):
                translate(item)
    document = make_document()
    fields = {"in": [("ingress_port", 9), ("reason", 16), ("pad", 7)], "out": [("egress_port", 9), ("pad", 7)]}
    for i, (name, widths) in enumerate(fields.items(), 20):
        document["header_types"].append({"name": f"{name}_t", "id": i, "fields": [[f, w, False] for f, w in widths]})
    document.update(changes)
    config.p4_device_config = json.dumps(document).encode()
    return config


@pytest.fixture
def strings(switch: Harness) -> Harness:
    switch.set_config(config=strings_config())
    return switch


def named_entry(dst: int, port: bytes, out: bytes) -> p4r.TableEntry:
    entry = exact_entry(dst)
    entry.match[1].exact.value = port
    entry.action.action.params[0].value = out
    return entry


def test_strings_are_read_back_as_they_were_written(strings: Harness) -> None:
    entries = [named_entry(1, b"uplink", b"flood"), named_entry(2, b"7", b"uplink"), named_entry(3, b"uplink", b"12")]
    strings.insert(*(table(entry) for entry in entries))
    found = strings.entries(TABLE_ID["exact_table"])
    assert sorted(e.SerializeToString() for e in found) == sorted(e.SerializeToString() for e in entries)
    assert strings.read(table(entries[0])) == [table(entries[0])]
    assert strings.read(table(named_entry(1, b"unheard of", b"1"))) == []
    packed = {entry.match.value[6:] for entry in strings.dataplane.read_entries("ingress.exact_table")}
    assert (7).to_bytes(2, "big") in packed
    assert len(packed) == 2
    strings.delete(*(table(entry) for entry in entries))


def test_an_optional_field_may_be_a_string(strings: Harness) -> None:
    entry = acl_entry()
    entry.match.add(field_id=4).optional.value = b"uplink"
    strings.insert(table(entry), table(acl_entry(11)))
    found = strings.entries(TABLE_ID["acl_table"])
    assert {bytes(m.optional.value) for e in found for m in e.match if m.field_id == 4} == {b"uplink"}


def test_packets_carry_strings(strings: Harness) -> None:
    dataplane: Dataplane = strings.dataplane
    strings.device._packet_in(((7 << 23) | (3 << 7)).to_bytes(4, "big") + b"payload")
    (message,) = received(strings.client)
    assert [(m.metadata_id, m.value) for m in message.packet.metadata][:2] == [(1, b"7"), (2, b"\x03")]
    packet = p4r.PacketOut(payload=b"x")
    packet.metadata.add(metadata_id=1, value=b"flood")
    assert strings.device._pipeline().packet_out.encode(packet)[:2] == (500 << 7).to_bytes(2, "big")
    assert dataplane.ports() is not None


@pytest.mark.parametrize(
    ("port", "words"), [(b"600", "does not fit in 9 bits"), (b"500", "is called 'flood'"), (b"\xff\xfe", "UTF-8")]
)
def test_bad_strings(strings: Harness, port: bytes, words: str) -> None:
    code, message = refusal(lambda: strings.insert(table(named_entry(1, port, b"1"))))
    assert code == Code.INVALID_ARGUMENT
    assert "ingress.exact_table" in message and "hdr.port" in message and words in message


def test_numbers_run_out() -> None:
    names = StringMap("small_t", [("zero", 0)])
    assert [names.number(text, 2) for text in (b"a", b"1", b"b", b"zero", b"a")] == [3, 1, 2, 0, 3]
    with pytest.raises(P4Error) as caught:
        names.number(b"d", 2)
    assert caught.value.code == Code.RESOURCE_EXHAUSTED
    assert names.string(2) == b"b"
    assert names.string(9) == b"9"


def test_a_controller_header_that_the_program_lacks_has_no_bytes(switch: Harness) -> None:
    """A P4Info may declare a header that no parser extracts and no deparser emits: nothing tells its fields' widths."""
    switch.set_config(config=strings_config(header_types=make_document()["header_types"]))
    pipeline = switch.device._pipeline()
    assert pipeline.packet_in.decode(b"frame") == p4r.PacketIn(payload=b"frame")
    assert pipeline.packet_out.encode(p4r.PacketOut(payload=b"frame")) == b"frame"
