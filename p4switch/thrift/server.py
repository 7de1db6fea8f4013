"""All of BMv2's services for one switch."""

from __future__ import annotations

from p4switch.thrift.connection import ThriftServer
from p4switch.thrift.management import StandardService
from p4switch.thrift.replication import Replication, ReplicationService, SwitchService
from p4switch.thrift.state import SwitchState


def make_server(state: SwitchState, host: str, port: int) -> ThriftServer:
    """A server that listens already and answers after `start`.

    Raises:
        OSError: the address cannot be had.
    """
    replication = Replication(state.dataplane)
    state.on_reset.append(replication.clear)
    server = ThriftServer(
        (host, port),
        {
            "standard": StandardService(state),
            "simple_pre": ReplicationService(state, replication),
            "simple_pre_lag": ReplicationService(state, replication),
            "simple_switch": SwitchService(state, replication),
        },
    )
    state.thrift_port = server.port
    return server
