"""`python -m p4compiler`: the compiler as a command."""

import sys

from p4compiler.driver import main

if __name__ == "__main__":
    sys.exit(main())
