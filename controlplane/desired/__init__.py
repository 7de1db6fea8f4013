"""Kubernetes state to P4Runtime entities: pure, incremental, in the P4Info's names. No I/O, no clocks, no ids, no bytes."""
