"""ptf's platform of veth ports: `--interface PORT@NAME` for each, as ptf's own."""

from __future__ import annotations

from typing import Any

from ptf_tests.wires import WirePort


def platform_config_update(config: dict[str, Any]) -> None:
    """ptf calls this with its configuration."""
    config["port_map"] = {(device, port): interface for device, port, interface in config["interfaces"]}
    config["dataplane"] = {"portclass": WirePort}
