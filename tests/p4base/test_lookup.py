"""Look-up of P4Info objects."""

from __future__ import annotations

import pytest

from p4base.lookup import P4InfoIndex, UnknownNameError
from p4base.messages import p4i


def make_index() -> P4InfoIndex:
    info = p4i.P4Info()
    info.tables.add(preamble=p4i.Preamble(id=1, name="ingress.a.t", alias="a.t"))
    info.tables.add(preamble=p4i.Preamble(id=2, name="ingress.b.t", alias="b.t"))
    info.tables.add(preamble=p4i.Preamble(id=3, name="a.t", alias="other"))
    info.controller_packet_metadata.add(preamble=p4i.Preamble(id=9, name="packet_in"))
    return P4InfoIndex(info)


def test_by_id_name_and_alias() -> None:
    index = make_index()
    assert index.tables[2].preamble.name == "ingress.b.t"
    assert index.tables["ingress.a.t"].preamble.id == 1
    assert index.tables["b.t"].preamble.id == 2
    assert index.tables.get("nothing") is None
    assert [t.preamble.id for t in index.tables] == [1, 2, 3]
    assert len(index.tables) == 3


def test_full_name_wins_over_an_alias() -> None:
    assert make_index().tables["a.t"].preamble.id == 3


def test_an_empty_alias_finds_nothing() -> None:
    assert make_index().controller_headers.get("") is None


def test_unknown_name_says_what_was_looked_for() -> None:
    with pytest.raises(UnknownNameError, match="no table 'x' in the P4Info"):
        make_index().tables["x"]
