"""The P4Runtime protobuf messages, in one place.

The generated code comes from finsy, the only package on PyPI whose P4Runtime code is current
(the `p4runtime` package's is refused by protobuf >= 4). No gRPC is imported here; see `p4base.rpc`.
"""

from finsy.proto import p4d, p4i, p4r, p4t, rpc_code, rpc_status

__all__ = ["p4d", "p4i", "p4r", "p4t", "rpc_code", "rpc_status"]
