"""The secret that a fresh switch is given: the key of the pipeline's hash (docs/pipeline.md, `hash_key_table`).

It is the default action of a table without a key, and is drawn anew for every pipeline that is pushed: a switch that has connections
keeps the one that they were placed by.
"""

from __future__ import annotations

import secrets

from p4base import bytestring
from p4base.lookup import P4InfoIndex
from p4base.messages import p4r

HASH_KEY_TABLE = "hash_key_table"
_WORD_BITS = 64


def draw_secrets(index: P4InfoIndex) -> list[tuple[int, bytes]]:
    """The update of the default entry that holds a new secret; none if the pipeline has no place for one."""
    return draw_default(index, HASH_KEY_TABLE)


def draw_default(index: P4InfoIndex, name: str) -> list[tuple[int, bytes]]:
    """The update that gives the default action of a table without a key other parameters, drawn by chance; none if there is no such table."""
    table = index.tables.get(name)
    if table is None or table.const_default_action_id:
        return []
    action = index.actions[table.action_refs[0].id]
    entity = p4r.Entity()
    entity.table_entry.table_id = table.preamble.id
    entity.table_entry.is_default_action = True
    call = entity.table_entry.action.action
    call.action_id = action.preamble.id
    for param in action.params:
        bits = min(param.bitwidth, _WORD_BITS)
        call.params.add(param_id=param.id, value=bytestring.encode(secrets.randbits(bits)))
    return [(int(p4r.Update.MODIFY), entity.SerializeToString())]
