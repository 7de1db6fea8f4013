"""Where Kulvert's data files are: the P4 sources, the templates and the target files.

In a checkout they lie beside the packages (`p4src/`, `templates/`, `targets/`); in an installed wheel they travel
inside this package (`kulvert/data/…`). A checkout wins, so that an edited source is what gets compiled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

ResourceKind = Literal["p4src", "templates", "targets"]

_PACKAGE = Path(__file__).resolve().parent


class ResourceError(Exception):
    """The data files are missing: the installation is incomplete. `str()` is a sentence for the user."""


def resource_dir(kind: ResourceKind) -> Path:
    """The folder that holds the data files of that kind.

    Raises:
        ResourceError: neither the checkout nor the installed package has it.
    """
    places = (_PACKAGE.parent / kind, _PACKAGE / "data" / kind)
    for place in places:
        if place.is_dir() and any(place.iterdir()):
            return place
    looked = " nor ".join(str(place) for place in places)
    raise ResourceError(f"Kulvert's {kind} files are missing: found neither {looked}")
