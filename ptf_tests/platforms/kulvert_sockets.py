"""ptf's platform of socket ports: `--platform-args FOLDER:COUNT` names the folder of the sockets and the number of ports."""

from __future__ import annotations

from typing import Any

from ptf_tests.sockets import SocketPort


def platform_config_update(config: dict[str, Any]) -> None:
    """ptf calls this with its configuration."""
    folder, _, count = str(config["platform_args"]).rpartition(":")
    config["port_map"] = {(0, port): f"{folder}/{port}" for port in range(int(count))}
    config["dataplane"] = {"portclass": SocketPort}
