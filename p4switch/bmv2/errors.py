"""What a BMv2 JSON is refused for."""

from __future__ import annotations

from p4switch.dataplane import DataplaneError, Status

NO_MODULES = "v1model has no such thing, and BMv2's modules in C++ (--load-modules) cannot be loaded"
"""What else there is to say of an extern that somebody wrote for BMv2."""


class JsonError(DataplaneError):
    """The BMv2 JSON is malformed, refers to something it does not define, or asks for something unsupported.

    The message starts with the object: "table 'MyIngress.route': ...".
    """

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(Status.INVALID_ARGUMENT, f"{where}: {problem}")
        self.where = where
        self.problem = problem
