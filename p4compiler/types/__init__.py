"""Types, name resolution, compile-time evaluation and checking."""
