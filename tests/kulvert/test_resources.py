"""Data files are found in a checkout and in an installed package, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from kulvert import resources
from kulvert.resources import ResourceError, ResourceKind, resource_dir


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package beside a folder of somebody else's."""
    package = tmp_path / "site-packages" / "kulvert"
    (package / "data" / "templates").mkdir(parents=True)
    (package.parent / "templates").mkdir()
    monkeypatch.setattr(resources, "_PACKAGE", package)
    return package


@pytest.mark.parametrize("kind", ["p4src", "templates", "targets"])
def test_this_checkout_has_them_all(kind: ResourceKind) -> None:
    assert any(resource_dir(kind).iterdir())


def test_an_installed_package_has_its_own(package: Path) -> None:
    assert resource_dir("templates") == package / "data" / "templates"


def test_a_checkout_wins(package: Path) -> None:
    (package.parent / "pyproject.toml").touch()
    assert resource_dir("templates") == package.parent / "templates"


def test_what_is_missing_is_told(package: Path) -> None:
    with pytest.raises(ResourceError, match="Kulvert's p4src files are missing"):
        resource_dir("p4src")
