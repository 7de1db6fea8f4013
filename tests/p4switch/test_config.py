"""SetForwardingPipelineConfig and GetForwardingPipelineConfig: every action, every response type, every mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from p4base.messages import p4i, p4r
from p4switch.service import wire
from p4switch.service.errors import Code, P4Error
from tests.p4switch.harness import DEVICE_ID, Harness, table
from tests.p4switch.programs import TABLE_ID, exact_entry, make_config, make_document, make_p4info
from tests.p4switch.test_batch import everything
from tests.p4switch.test_table_entry import refusal

Set = p4r.SetForwardingPipelineConfigRequest
Get = p4r.GetForwardingPipelineConfigRequest


def get(
    switch: Harness, response_type: Get.ResponseType.ValueType = Get.ALL
) -> p4r.GetForwardingPipelineConfigResponse:
    return switch.device.get_config(Get(device_id=DEVICE_ID, response_type=response_type))


def refused(set_config: Callable[[], None]) -> tuple[Code, str]:
    with pytest.raises(P4Error) as caught:
        set_config()
    return caught.value.code, str(caught.value)


def test_get_with_every_response_type() -> None:
    switch = Harness(configured=False)
    assert not get(switch).HasField("config")
    config = make_config(cookie=77)
    switch.set_config(config=config)
    assert get(switch).config == config
    assert get(switch, Get.COOKIE_ONLY).config == p4r.ForwardingPipelineConfig(cookie=config.cookie)
    assert get(switch, Get.P4INFO_AND_COOKIE).config == p4r.ForwardingPipelineConfig(
        cookie=config.cookie, p4info=config.p4info
    )
    assert get(switch, Get.DEVICE_CONFIG_AND_COOKIE).config == p4r.ForwardingPipelineConfig(
        cookie=config.cookie, p4_device_config=config.p4_device_config
    )
    with pytest.raises(P4Error, match="no device 9"):
        switch.device.get_config(Get(device_id=9))


def test_verify_changes_nothing_and_commit_clears() -> None:
    switch = Harness()
    switch.insert(table(exact_entry(1)))
    switch.set_config(Set.VERIFY, make_config(cookie=5))
    assert not get(switch).config.HasField("cookie")
    assert len(switch.entries(TABLE_ID["exact_table"])) == 1
    switch.set_config(Set.VERIFY_AND_COMMIT, make_config(cookie=6))
    assert get(switch).config.cookie.cookie == 6
    assert switch.entries(TABLE_ID["exact_table"]) == []


def test_saved_config_takes_writes_that_are_realized_at_commit() -> None:
    switch = Harness()
    switch.insert(table(exact_entry(1)))
    switch.set_config(Set.VERIFY_AND_SAVE, make_config(cookie=5))
    assert len(list(switch.dataplane.read_entries("ingress.exact_table"))) == 1, "the device forwards as before"
    assert switch.entries(TABLE_ID["exact_table"]) == []
    switch.insert(table(exact_entry(2)), table(exact_entry(3)))
    switch.delete(table(exact_entry(3)))
    assert refusal(lambda: switch.insert(table(exact_entry(2))))[0] == Code.ALREADY_EXISTS
    switch.set_config(Set.COMMIT, with_config=False)
    assert switch.entries(TABLE_ID["exact_table"]) == [exact_entry(2)]
    assert len(list(switch.dataplane.read_entries("ingress.exact_table"))) == 1
    assert refused(lambda: switch.set_config(Set.COMMIT, with_config=False))[0] == Code.NOT_FOUND
    assert refused(lambda: switch.set_config(Set.COMMIT))[0] == Code.INVALID_ARGUMENT


def changed_config(edit: Callable[[dict[str, Any], p4i.P4Info], None]) -> p4r.ForwardingPipelineConfig:
    document, info = make_document(), make_p4info()
    edit(document, info)
    return p4r.ForwardingPipelineConfig(p4info=info, p4_device_config=json.dumps(document).encode())


def grow_exact_table(document: dict[str, Any], info: p4i.P4Info) -> None:
    document["pipelines"][0]["tables"][0]["max_size"] = 128
    info.tables[0].size = 128


def shrink_exact_table(document: dict[str, Any], info: p4i.P4Info) -> None:
    document["pipelines"][0]["tables"][0]["max_size"] = 1


def test_reconcile_keeps_the_state_or_everything_as_it_is() -> None:
    switch = Harness()
    counted = exact_entry(1)
    counted.counter_data.packet_count = 5
    default = p4r.TableEntry(table_id=TABLE_ID["acl_table"], is_default_action=True, action=counted.action)
    counter = p4r.Entity()
    counter.counter_entry.counter_id = 0x12000001
    counter.counter_entry.data.packet_count = 3
    switch.insert(table(counted), table(exact_entry(2)))
    switch.modify(table(default), counter)
    before = everything(switch)
    switch.set_config(Set.RECONCILE_AND_COMMIT, changed_config(grow_exact_table))
    assert everything(switch) == before
    code, message = refused(lambda: switch.set_config(Set.RECONCILE_AND_COMMIT, changed_config(shrink_exact_table)))
    assert code == Code.INVALID_ARGUMENT
    assert "ingress.exact_table" in message
    assert everything(switch) == before


def test_only_the_primary_sets_the_config() -> None:
    switch = Harness()
    switch.election_id = 3
    assert refused(switch.set_config)[0] == Code.PERMISSION_DENIED


def test_deprecated_envelope_of_bmv2_is_unwrapped() -> None:
    switch = Harness(configured=False)
    config = make_config()
    config.p4_device_config = wire.varint_field(1, 1) + wire.bytes_field(3, config.p4_device_config)
    switch.set_config(config=config)
    assert get(switch).config == config


def _remove(table_index: int) -> Callable[[dict[str, Any], p4i.P4Info], None]:
    return lambda document, info: document["pipelines"][0]["tables"].pop(table_index) and None


INCONSISTENT: list[tuple[str, Callable[[dict[str, Any], p4i.P4Info], Any], str]] = [
    ("table", _remove(0), "table ingress.exact_table is not in the JSON"),
    (
        "key-width",
        lambda d, i: setattr(i.tables[0].match_fields[0], "bitwidth", 40),
        "key hdr.dst of table ingress.exact_table has 40 bits in the P4Info, 48 in the JSON",
    ),
    (
        "key-kind",
        lambda d, i: setattr(i.tables[0].match_fields[0], "match_type", p4i.MatchField.LPM),
        "key hdr.dst of table ingress.exact_table is lpm in the P4Info, exact in the JSON",
    ),
    ("key-gone", lambda d, i: i.tables[0].match_fields.pop(), "hdr.port in the JSON that the P4Info lacks"),
    ("key-new", lambda d, i: d["pipelines"][0]["tables"][0]["key"].pop(), "has no key hdr.port in the JSON"),
    (
        "param-width",
        lambda d, i: setattr(i.actions[0].params[0], "bitwidth", 8),
        "parameter port of action ingress.forward has 8 bits in the P4Info, 9 in the JSON",
    ),
    (
        "params",
        lambda d, i: i.actions[0].params.pop(),
        "action ingress.forward has the parameters (port) in the P4Info",
    ),
    (
        "action",
        lambda d, i: setattr(i.actions[1].preamble, "name", "ingress.gone"),
        "action ingress.gone is not an action of table ingress.exact_table",
    ),
    ("profile", lambda d, i: d["pipelines"][0]["tables"][3].pop("action_profile"), "table ingress.balance_table"),
    (
        "selector",
        lambda d, i: d["pipelines"][0]["action_profiles"][0].pop("selector"),
        "ingress.selector is an action selector in the P4Info only",
    ),
    ("register", lambda d, i: d["register_arrays"].pop(), "register ingress.signed_register is not in the JSON"),
    ("counter", lambda d, i: setattr(i.counters[0], "size", 9), "counter ingress.counter has 9 cells in the P4Info, 8"),
    (
        "ids",
        lambda d, i: setattr(i.tables[1].preamble, "id", i.tables[0].preamble.id),
        "ingress.route_table and ingress.exact_table share the id",
    ),
    ("version", lambda d, i: d["__meta__"].update(version=[1, 0]), "version 1.0"),
    ("no-actions", lambda d, i: d.pop("actions"), "'actions' is missing"),
]


@pytest.mark.parametrize(("edit", "words"), [row[1:] for row in INCONSISTENT], ids=[row[0] for row in INCONSISTENT])
def test_inconsistent_config_is_refused_by_name(edit: Callable[[dict[str, Any], p4i.P4Info], None], words: str) -> None:
    switch = Harness()
    switch.insert(table(exact_entry(1)))
    for action in (Set.VERIFY, Set.VERIFY_AND_SAVE, Set.VERIFY_AND_COMMIT, Set.RECONCILE_AND_COMMIT):
        code, message = refused(lambda a=action: switch.set_config(a, changed_config(edit)))  # type: ignore[misc]
        assert code == Code.INVALID_ARGUMENT
        assert words in message
    assert len(switch.entries(TABLE_ID["exact_table"])) == 1


@pytest.mark.parametrize("device_config", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b"null", b"[" * 100_000])
def test_bad_device_config_is_refused(device_config: bytes) -> None:
    switch = Harness()
    config = p4r.ForwardingPipelineConfig(p4info=make_p4info(), p4_device_config=device_config)
    assert refused(lambda: switch.set_config(config=config))[0] == Code.INVALID_ARGUMENT


def test_config_without_parts() -> None:
    switch = Harness()
    assert refused(lambda: switch.set_config(with_config=False))[0] == Code.INVALID_ARGUMENT
    assert refused(lambda: switch.set_config(Set.UNSPECIFIED))[0] == Code.INVALID_ARGUMENT
    no_p4info = p4r.ForwardingPipelineConfig(p4_device_config=make_config().p4_device_config)
    assert "no p4info" in refused(lambda: switch.set_config(config=no_p4info))[1]


def test_p4info_with_unknown_fields_is_read() -> None:
    switch = Harness(configured=False)
    config = p4r.ForwardingPipelineConfig(p4_device_config=make_config().p4_device_config)
    config.p4info.ParseFromString(make_p4info().SerializeToString() + wire.bytes_field(999, b"from the future"))
    switch.set_config(config=config)
    switch.insert(table(exact_entry(1)))
