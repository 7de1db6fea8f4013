"""The P4Runtime protobuf messages, in one place.

The generated code comes from finsy, the only package on PyPI whose P4Runtime code is current
(the `p4runtime` package's is refused by protobuf >= 4). No gRPC is imported here; see `p4base.rpc`.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec


@contextmanager
def _packages_alone(*names: str) -> Iterator[None]:
    """While this lasts, modules of these packages are imported without what the packages themselves import.

    finsy's own `__init__` brings its client with asyncio, gRPC and gNMI, which takes longer than everything else that a switch needs
    to start. Afterwards the packages can be imported as ever.
    """
    made = []
    for name in names:
        if name not in sys.modules:
            spec = find_spec(name)
            assert spec is not None
            sys.modules[name] = module_from_spec(spec)
            made.append(name)
    try:
        yield
    finally:
        for name in made:
            del sys.modules[name]


with _packages_alone("finsy", "finsy.proto"):
    from finsy.proto.google.rpc import code_pb2 as rpc_code
    from finsy.proto.google.rpc import status_pb2 as rpc_status
    from finsy.proto.p4.config.v1 import p4info_pb2 as p4i
    from finsy.proto.p4.config.v1 import p4types_pb2 as p4t
    from finsy.proto.p4.v1 import p4data_pb2 as p4d
    from finsy.proto.p4.v1 import p4runtime_pb2 as p4r
    from finsy.proto.stratum1 import p4_role_config_pb2 as stratum

__all__ = ["p4d", "p4i", "p4r", "p4t", "rpc_code", "rpc_status", "stratum"]
