"""Tests of the pipeline that need very many packets: they drive the native switch in memory. `python -m ptf_tests.bulk` runs them."""
