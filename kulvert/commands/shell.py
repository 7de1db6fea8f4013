"""`kulvert shell`: p4runtime-shell on the running switch, in an environment of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from kulvert.commands.options import FILE


@click.command(
    "shell",
    short_help="p4runtime-shell on a running switch.",
    epilog="""\b
Examples:
  kulvert shell
  kulvert shell --switch 10.0.0.7:9559 --election-id 100   to write: the controller stands by meanwhile

At the prompt:
  table_entry["service_frontend_table"].read(lambda entry: print(entry))
  counter_entry["drop_counter"].read(lambda entry: print(entry))""",
)
@click.option("--switch", "switch_address", default="127.0.0.1:9559", show_default=True, metavar="HOST:PORT",
              help="The P4Runtime server.")  # fmt: skip
@click.option("--device-id", default=0, show_default=True, type=click.IntRange(min=0), help="P4Runtime's device id.")
@click.option("--election-id", type=click.IntRange(min=1), metavar="N",
              help="Outbid the controller with this one.  [default: none: read only, nobody is disturbed]")  # fmt: skip
@click.option("--tls-ca", type=FILE, help="PEM: the authority that signed the switch's certificate.")
@click.option("--tls-cert", type=FILE, help="PEM: a certificate of one's own, for mutual TLS.")
@click.option("--tls-key", type=FILE, help="PEM: its private key.")
@click.option("--environment", type=click.Path(file_okay=False, path_type=Path),
              help="Where p4runtime-shell is kept.  [default: ~/.cache/kulvert/p4runtime-shell]")  # fmt: skip
@click.argument("script", nargs=-1, type=click.UNPROCESSED, metavar="[-- PYTHON]")
def command(environment: Path | None, script: tuple[str, ...], **options: Any) -> None:
    """Open p4runtime-shell on a running switch, with the pipeline it has.

    The first time, an environment is made for it: it needs older packages than Kulvert. PYTHON after `--` is run instead of
    the prompt.
    """
    from kulvert.inspection.shell import run_shell

    sys.exit(run_shell(environment, " ".join(script), **options))
