"""Where Kulvert's data files are: the P4 sources, the templates and the target files.

In a checkout they lie beside the packages (`p4src/`, `templates/`, `targets/`); in an installed wheel they travel
inside this package (`kulvert/data/…`). A checkout wins, so that an edited source is what gets compiled; it is known by its
pyproject.toml, since a folder named `templates` beside an installed package may be anybody's.
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
    checkout, packaged = _PACKAGE.parent, _PACKAGE / "data" / kind
    if (checkout / "pyproject.toml").is_file() and (checkout / kind).is_dir():
        return checkout / kind
    if packaged.is_dir():
        return packaged
    raise ResourceError(f"Kulvert's {kind} files are missing: there is no {packaged}; the installation is incomplete")
