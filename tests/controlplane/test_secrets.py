"""The secret of the hash: another one for every push, none where the pipeline has no place for it."""

from __future__ import annotations

from controlplane.p4rt.secrets import HASH_KEY_TABLE, draw_secrets
from p4base.lookup import P4InfoIndex
from p4base.messages import p4i, p4r
from tests.controlplane.pipeline import make_p4info


def _with_hash_key() -> p4i.P4Info:
    info = make_p4info()
    action = info.actions.add()
    action.preamble.id, action.preamble.name, action.preamble.alias = (1 << 24) + 999, "set_hash_key", "set_hash_key"
    for number in (1, 2):
        action.params.add(id=number, name=f"word_{number}", bitwidth=64)
    table = info.tables.add(size=1)
    table.preamble.id, table.preamble.name, table.preamble.alias = (2 << 24) + 999, HASH_KEY_TABLE, HASH_KEY_TABLE
    table.action_refs.add(id=action.preamble.id)
    return info


def test_every_pipeline_gets_a_secret_of_its_own() -> None:
    index = P4InfoIndex(_with_hash_key())
    ((kind, data),), ((_, other),) = draw_secrets(index), draw_secrets(index)
    assert kind == p4r.Update.MODIFY
    one = p4r.Entity.FromString(data)
    assert one.table_entry.is_default_action and not one.table_entry.match
    assert [param.param_id for param in one.table_entry.action.action.params] == [1, 2]
    assert data != other


def test_no_secret_without_a_place_for_it() -> None:
    assert draw_secrets(P4InfoIndex(make_p4info())) == []
    info = _with_hash_key()
    info.tables[-1].const_default_action_id = (1 << 24) + 999
    assert draw_secrets(P4InfoIndex(info)) == []
