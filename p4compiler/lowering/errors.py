"""How the lowering gives something up."""

from __future__ import annotations


class Abandoned(Exception):
    """What was being lowered cannot be; the reason has been reported. Whoever goes through statements goes on with the next."""
