"""Makes an environment for p4runtime-shell, once, and runs it on a switch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from kulvert.failures import UserError, report

REQUIREMENTS = ("p4runtime-shell==0.0.6", "setuptools<81")
"""The shell wants protobuf below 3.21, whose generated code needs no newer setuptools than that."""

_READY = ".ready"

_START = """
import sys
import p4runtime_sh.shell as shell
from p4runtime_sh.utils import UserError
script = sys.argv.pop(1)
failures = []
def run_script(user_ns, **rest):
    try:
        exec(compile(script, "<kulvert shell>", "exec"), user_ns)
    except BaseException as error:  # raised again below: the shell's threads end only when its main function does
        failures.append(error)
if script:
    shell.start_ipython = run_script
try:
    shell.main()
    if failures:
        raise failures[0]
except UserError as error:
    sys.exit(str(error))
"""


def run_shell(
    environment: Path | None,
    script: str,
    *,
    switch_address: str,
    device_id: int,
    election_id: int | None,
    tls_ca: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
) -> int:
    """The shell's exit status. Raises UserError: its environment cannot be made."""
    folder = environment or _cache() / "p4runtime-shell"
    python = prepare(folder)
    election = election_id or 0
    arguments = ["--grpc-addr", switch_address, "--device-id", str(device_id)]
    arguments += ["--election-id", f"{election >> 64},{election & (1 << 64) - 1}"]
    if tls_ca is not None:
        arguments += ["--ssl", "--cacert", str(tls_ca)]
        arguments += [
            item
            for flag, path in (("--cert", tls_cert), ("--private-key", tls_key))
            if path
            for item in (flag, str(path))
        ]
    variables = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    return subprocess.run([python, "-c", _START, script, *arguments], env=variables, check=False).returncode


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kulvert"


def prepare(folder: Path) -> str:
    """The Python that has p4runtime-shell, made if it is not there; unfinished ones are made anew. Raises UserError."""
    python = folder / "bin" / "python"
    ready = folder / _READY
    if ready.is_file() and ready.read_text() == "\n".join(REQUIREMENTS) and python.exists():
        return str(python)
    report(f"making an environment for p4runtime-shell in {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        venv.create(folder, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"cannot make an environment in {folder}: {error}") from None
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS]
    result = subprocess.run(command, stdout=sys.stderr, check=False)
    if result.returncode:
        raise UserError(f"p4runtime-shell could not be installed into {folder}; pip says above why")
    ready.write_text("\n".join(REQUIREMENTS))
    return str(python)
