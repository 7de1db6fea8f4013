"""The controller as a whole: `run` is what `kulvert controller` calls."""

from __future__ import annotations

from controlplane.options import ControllerOptions, LogFormat, OptionsError

__all__ = ["ControllerOptions", "LogFormat", "OptionsError", "run"]


def run(options: ControllerOptions) -> int:
    """Run until SIGTERM or SIGINT (or, with `once`, until everything is written); the process's exit code.

    Raises:
        OptionsError: before anything is started.
    """
    options.check()
    raise NotImplementedError
