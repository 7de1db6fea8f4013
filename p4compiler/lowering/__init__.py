"""From the checked syntax tree to the IR.

The program is elaborated from `main`: parsers and controls are instantiated with their constructor arguments, everything
that can be called is inlined where it is called, structures are taken apart, constants are computed. `program.lower_program`
is the entry.
"""
