"""The P4Runtime gRPC stub and servicer. Kept apart from `p4base.messages` so that pure code never imports grpc."""

from finsy.proto import p4r_grpc

__all__ = ["p4r_grpc"]
