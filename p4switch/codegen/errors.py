"""What the generator refuses."""

from __future__ import annotations

from p4switch.bmv2.errors import JsonError


class UnsupportedError(JsonError):
    """The program is well-formed but uses something that is not implemented; the message names it and its place."""
