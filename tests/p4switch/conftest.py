"""The device under test, once over the data plane in memory and once over the native one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from p4switch.dataplane import PortStats
from p4switch.native import NativeDataplane
from tests.p4switch.harness import Harness


class PortedNativeDataplane(NativeDataplane):
    """The native data plane with ports that need no interface behind them: the tests send no packets."""

    def __init__(self) -> None:
        super().__init__(cpu_port=510)
        self._names: dict[int, str] = {}

    def add_port(self, port: int, interface: str) -> None:
        self._names[port] = interface

    def ports(self) -> Sequence[PortStats]:
        return [PortStats(port, name, True, 0, 0, 0, 0, 0, 0) for port, name in self._names.items()]


@pytest.fixture(scope="session")
def native_dataplane() -> Iterator[PortedNativeDataplane]:
    dataplane = PortedNativeDataplane()
    yield dataplane
    dataplane.close()


@pytest.fixture(params=["memory", "native"])
def switch(request: pytest.FixtureRequest) -> Harness:
    """A device with the test program, its tables empty."""
    if request.param == "memory":
        return Harness()
    return Harness(dataplane=request.getfixturevalue("native_dataplane"))
