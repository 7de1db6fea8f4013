"""What the garbage collector is told. A cluster is hundreds of thousands of objects in hardly any cycles."""

from __future__ import annotations

import gc

_START_THRESHOLDS = (200_000, 20, 100)
"""Looking for cycles as often as Python does by itself takes a fifth of the time of a start."""

_SETTLED_THRESHOLDS = (10_000, 20, 100)
"""Once everything is there: a millisecond at a time, so that what garbage there is does not pile up."""


def begin() -> None:
    """Before everything is read."""
    gc.set_threshold(*_START_THRESHOLDS)


def settle() -> None:
    """What a full synchronization has made stays; going through it again and again would only make pauses."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_SETTLED_THRESHOLDS)
