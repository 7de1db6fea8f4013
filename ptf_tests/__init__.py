"""PTF packet tests of the pipeline, on any P4Runtime target. `python -m ptf_tests.run --help` says how to run them."""
