"""The back ends: each sees only the IR."""
