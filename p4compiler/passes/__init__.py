"""Passes over the IR, one a file. `pipeline.PASSES` is their order; `pipeline.run_passes` goes through it."""
