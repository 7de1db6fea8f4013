"""A P4_16 compiler: P4 source to BMv2 JSON and P4Info."""
