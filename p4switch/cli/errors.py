"""A command that cannot be carried out."""


class CommandError(Exception):
    """What the user typed is wrong. `str()` says what; `kind` is how simple_switch_CLI begins such a line."""

    def __init__(self, message: str, kind: str = "Error") -> None:
        super().__init__(message)
        self.kind = kind
