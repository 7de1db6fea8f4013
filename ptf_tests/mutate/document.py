"""The table of the contract: rows, the tests that watch them, and the mutations that the tests notice."""

from __future__ import annotations

from ptf_tests.mutate.mutations import MUTATIONS
from ptf_tests.mutate.rows import ROWS

_HEAD = """# The contract, row by row

What Kubernetes asks of the data plane, and from "into a tunnel" on what the network itself asks ([pipeline.md](pipeline.md)); the tests that
watch each row, and how the row was broken to see that they do. Written by
`python -m ptf_tests.mutate --document docs/contract.md`; a test keeps it up to date. `make mutate` breaks all of it again, in copies of the sources.

Beside these, the random flows of `ptf_tests/bulk/flows.py` compare everything at once with a model of the contract.

| row | asked | tests | broken by |
|---|---|---|---|
"""


def document() -> str:
    """The table as Markdown."""
    lines = []
    for row, rule in ROWS.items():
        mine = [mutation for mutation in MUTATIONS if row in mutation.rows]
        tests = dict.fromkeys(test.removeprefix("pytest:") for mutation in mine for test in mutation.tests)
        shown = ", ".join(f"`{test}`" for test in tests)
        broken = "; ".join(mutation.name for mutation in mine)
        lines.append(f"| {row} | {rule} | {shown} | {broken} |")
    return _HEAD + "\n".join(lines) + "\n"
