"""simple_switch: the switch with BMv2's Thrift calls, without P4Runtime."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from p4switch.main import run as run_switch


def run(argv: Sequence[str]) -> int:
    """Run with simple_switch's arguments, until a signal stops it. Returns the exit status."""
    return run_switch(argv, simple=True)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
