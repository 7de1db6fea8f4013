"""IR to P4Info (P4Runtime specification, "P4Info message"): `generate.generate_p4info`, then `output.encode`."""
