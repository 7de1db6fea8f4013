"""A native P4Runtime switch: BMv2 JSON to C to packets."""
