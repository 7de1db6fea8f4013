"""What is measured, against what: `python -m bench.run`."""
