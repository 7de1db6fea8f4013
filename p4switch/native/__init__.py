"""The native data plane: compiles generated C with the machine's compiler and runs it in this process."""

from p4switch.native.dataplane import NativeDataplane

__all__ = ["NativeDataplane"]
