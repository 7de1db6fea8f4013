"""The mutations of the contract: every row has one, each can be made, and the document says what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptf_tests.mutate.__main__ import CHECKOUT, MutationError, mutate
from ptf_tests.mutate.document import document
from ptf_tests.mutate.mutation import Mutation
from ptf_tests.mutate.mutations import MUTATIONS
from ptf_tests.mutate.rows import ROWS
from ptf_tests.mutate.worker import find_test


def test_every_row_is_broken_by_a_mutation() -> None:
    assert {row for mutation in MUTATIONS for row in mutation.rows} == set(ROWS)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_has_its_place_and_its_tests(mutation: Mutation) -> None:
    text = (CHECKOUT / mutation.path).read_text(encoding="utf-8")
    assert text.count(mutation.old) == 1, f"{mutation.path} has {text.count(mutation.old)} times: {mutation.old}"
    assert mutation.new != mutation.old and mutation.tests
    for name in mutation.tests:
        if name.startswith("pytest:"):
            assert (CHECKOUT / name.removeprefix("pytest:")).is_file()
        else:
            assert hasattr(find_test(name), "runTest")


def test_a_mutation_without_its_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.p4").write_text("once once")
    for old in ("never", "once"):
        with pytest.raises(MutationError, match=r"its text is in a.p4 [02] times"):
            mutate(Mutation("x", ("ClusterIP",), "a.p4", old, "", ("stage.Test",)), tmp_path)


def test_the_document_is_up_to_date() -> None:
    assert (CHECKOUT / "docs" / "contract.md").read_text(encoding="utf-8") == document(), (
        "write it anew: python -m ptf_tests.mutate --document docs/contract.md"
    )
