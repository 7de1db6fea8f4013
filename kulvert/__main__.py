"""`python -m kulvert` is the `kulvert` command."""

from kulvert.cli import main

if __name__ == "__main__":
    main()
