"""Is every row of the contract tested? Small mutations of the sources, each of which a test must notice. `python -m ptf_tests.mutate` makes them."""
