"""The subcommands of `kulvert`, one module each. Every module has a click command named `command`, imports click alone
at its top, and what it runs only when it runs."""
