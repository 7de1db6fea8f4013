"""What a program reads before it was written: warnings found by following values through parsers, controls and actions.

Needs a checked program and changes nothing. `warn` has the entry point.
"""
