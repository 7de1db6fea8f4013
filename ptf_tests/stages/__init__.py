"""The tests: one file for each stage of `p4src/stages`, and `journeys` for whole ways through the pipeline."""
