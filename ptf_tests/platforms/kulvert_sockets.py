"""ptf's platform of socket ports: `--platform-args FOLDER:COUNT:THRIFT_PORT`, the folder of the sockets, the number of ports, and where
the switch lets its ports be managed.
"""

from __future__ import annotations

import functools
from typing import Any

from ptf_tests.sockets import SocketPort


def platform_config_update(config: dict[str, Any]) -> None:
    """ptf calls this with its configuration."""
    folder, count, thrift_port = str(config["platform_args"]).rsplit(":", 2)
    config["port_map"] = {(0, port): f"{folder}/{port}" for port in range(int(count))}
    config["dataplane"] = {"portclass": functools.partial(SocketPort, thrift_port=int(thrift_port))}
