"""`kulvert ptf`: the pipeline's packet tests, against any P4Runtime target."""

from __future__ import annotations

import sys

import click

from kulvert.failures import UserError


@click.command(
    "ptf",
    short_help="Run the pipeline's PTF tests against a target.",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("argv", nargs=-1, type=click.UNPROCESSED)
def command(argv: tuple[str, ...]) -> None:
    """Run the pipeline's PTF tests against a target."""
    sys.exit(run_ptf(list(argv)))


def run_ptf(argv: list[str]) -> int:
    """Run `python -m ptf_tests.run`; its exit status.

    Raises:
        UserError: the tests are not part of an installed wheel.
    """
    import importlib
    from pathlib import Path

    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "ptf_tests" / "run.py").is_file():
        sys.path.insert(0, str(checkout))
    try:
        runner = importlib.import_module("ptf_tests.run")
    except ModuleNotFoundError as error:
        missing = error.name or "ptf_tests"
        if missing.partition(".")[0] == "ptf_tests":
            raise UserError(
                "the PTF tests are not part of an installed package; run them from a checkout: make ptf TARGET=native"
            ) from error
        raise UserError(
            f"the PTF tests need the Python module {missing!r}", hint="pip install 'kulvert[test]' brings it"
        ) from error
    status = runner.main(argv)
    return int(status or 0)
