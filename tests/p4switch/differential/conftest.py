"""The two switches. `KULVERT_DIFFERENTIAL=N` makes it N rounds of each test instead of two."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.p4switch.differential.sides import Bmv2, Ours, Side

PROGRAMS = Path(__file__).parent / "p4"
ROUNDS = int(os.environ.get("KULVERT_DIFFERENTIAL", "2"))

Sides = tuple[Side, Side]


@pytest.fixture
def sides(tmp_path: Path) -> Iterator[Sides]:
    """Ours and BMv2, new for each test: BMv2 keeps clone sessions when it is given another program."""
    if os.environ.get("KULVERT_DIFFERENTIAL_SELF"):
        pair: Sides = Ours(), Ours()  # for work on these tests where there is no BMv2
    elif shutil.which("simple_switch_grpc") is None:
        pytest.skip("simple_switch_grpc is not on the PATH: nothing to compare with")
    else:
        ours = Ours()
        try:
            pair = ours, Bmv2(tmp_path)
        except BaseException:
            ours.close()
            raise
    yield pair
    for side in pair:
        side.close()
