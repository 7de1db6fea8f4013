"""The compiler as a command: arguments in, files out.

Errors of the program are diagnostics and exit code 1. A failure of the compiler itself is one message that names the pass and the
place and asks for a report; `KULVERT_DEBUG=1` shows the traceback.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from p4compiler.collector import without_collection
from p4compiler.diagnostics import Diagnostics, Kind
from p4compiler.nesting import room_for_nesting
from p4compiler.options import USAGE, Options, UsageError, parse_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from p4compiler.ir.program import Program

VERSION = "0.1.0"
DEBUG_VARIABLE = "KULVERT_DEBUG"


class _Stopped(Exception):
    """The diagnostics hold the reason."""


def main(argv: list[str] | None = None) -> int:
    """Compile as the arguments say; the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        options = parse_arguments(list(arguments))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.show is not None:
        print(
            USAGE if options.show == "help" else f"kulvert compile {VERSION}",
            end="" if options.show == "help" else "\n",
        )
        return 0
    return _Compilation(options).run()


class _Compilation:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._diagnostics = Diagnostics(
            limit=int(options.error_limit),
            severities=options.severities,
            default_severity=options.default_severity,
            dropped=frozenset({Kind.UNSUPPORTED_ON_TARGET} if options.validate_only else ()),
        )
        self._phase = "start"

    def run(self) -> int:
        try:
            with without_collection(), room_for_nesting():
                self._compile()
        except _Stopped:
            pass
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            self._diagnostics.error(Kind.IO, f"{where}{error.strerror or error}", None)
        except MemoryError:
            self._diagnostics.error(Kind.OVERLIMIT, "the program is too large for this machine's memory", None)
        except Exception as error:
            if not isinstance(error.__cause__ or error, RecursionError):
                return self._internal_failure(error)
            self._diagnostics.error(Kind.OVERLIMIT, f"the program is nested too deeply (met in {self._phase})", None)
        self._diagnostics.print(sys.stderr)
        if self._diagnostics.has_errors:
            print(self._diagnostics.summary(), file=sys.stderr)
            return 1
        return 0

    def _internal_failure(self, error: Exception) -> int:
        """The compiler's own fault; told apart from the program's errors, which are shown too."""
        self._diagnostics.print(sys.stderr)
        from p4compiler.failures import place_of_failure

        place = place_of_failure(error.__cause__ or error)
        where = f" at {place}" if place is not None else ""
        cause = error.__cause__
        reason = str(error) if cause is not None else f"{type(error).__name__}: {error}"
        print(
            f"internal error in {self._phase}{where}: {reason}\n"
            f"This is a fault of the compiler, not of {self._options.file}. Please report it with the program;"
            f" {DEBUG_VARIABLE}=1 shows more.",
            file=sys.stderr,
        )
        if os.environ.get(DEBUG_VARIABLE):
            raise error
        return 2

    @contextmanager
    def _in(self, phase: str) -> Iterator[None]:
        self._phase = phase
        if self._options.verbose:
            print(f"{phase} …", file=sys.stderr)
        yield
        if self._diagnostics.has_mistakes:
            raise _Stopped

    def _compile(self) -> None:
        options, diagnostics = self._options, self._diagnostics
        if options.preprocess_only:
            self._preprocess()
            return
        with self._in("parsing"):
            from p4compiler.syntax import parse_file

            tree = parse_file(options.file, options.include_dirs, options.defines, diagnostics, options.undefines)
        if options.parse_only:
            return
        with self._in("type checking"):
            from p4compiler.types.check import check_program

            checked = check_program(tree, diagnostics)
        if checked.main is None:
            self._write_empty_p4info()
        with self._in("following the data"):
            from p4compiler.dataflow.warn import warn_of_data_flow

            warn_of_data_flow(checked, diagnostics)
        if diagnostics.has_errors:
            raise _Stopped
        if options.validate_only:
            return
        self._phase = "lowering"
        from p4compiler.lowering.program import lower_program

        program = lower_program(checked, options.file, diagnostics)
        if program is None or not all(error.kind is Kind.UNSUPPORTED_ON_TARGET for error in diagnostics.errors):
            raise _Stopped
        del tree, checked  # what is done with makes room for what comes
        # The control plane's view does not depend on what the target can do.
        self._write_p4info(program)
        if diagnostics.has_errors:
            raise _Stopped
        with self._in("the passes"):
            from p4compiler.passes.pipeline import run_passes

            lowered = run_passes(program, self._dump, verify_each=bool(os.environ.get(DEBUG_VARIABLE)))
            del program
        with self._in("writing the BMv2 JSON"):
            from p4compiler.backends.bmv2.generate import generate_document

            document = generate_document(lowered, diagnostics, options.emit_externs)
            del lowered
        if diagnostics.has_errors:
            raise _Stopped
        if options.output is not None:
            _write(options.output, document.serialize().encode())

    def _preprocess(self) -> None:
        with self._in("preprocessing"):
            from p4compiler.syntax.preprocessor import Preprocessor, render

            preprocessor = Preprocessor(self._options.include_dirs, self._diagnostics)
            preprocessor.define_all(self._options.defines, self._options.undefines)
            tokens = preprocessor.run(self._options.file)
        sys.stdout.write(render(tokens))

    def _dump(self, name: str, program: Program) -> None:
        if self._options.dump_after in (name, "all"):
            from p4compiler.ir.printer import print_program

            print(f"// after {name}\n{print_program(program)}")

    def _p4info_files(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Path and format of the files for P4Info, and of those for the entries."""
        options = self._options
        return (
            _files(options.p4info_file, options.p4info_files, options.p4info_format),
            _files(options.entries_file, options.entries_files, options.p4info_format),
        )

    def _write_p4info(self, program: Program) -> None:
        infos, entries = self._p4info_files()
        if not infos and not entries:
            return
        self._phase = "writing P4Info"
        from p4compiler.backends.p4info.generate import generate_p4info
        from p4compiler.backends.p4info.output import encode

        p4info = generate_p4info(program, self._diagnostics)
        outputs = [(path, encode(p4info.message, format_)) for path, format_ in infos]
        outputs += [(path, encode(p4info.entries(), format_)) for path, format_ in entries]
        for path, data in outputs:
            _write(path, data)

    def _write_empty_p4info(self) -> None:
        """A program without `main` is a library: it has no control plane."""
        from p4compiler.backends.p4info.messages import P4Info, WriteRequest
        from p4compiler.backends.p4info.output import encode

        infos, entries = self._p4info_files()
        for path, format_ in infos:
            _write(path, encode(P4Info(None), format_))
        for path, format_ in entries:
            _write(path, encode(WriteRequest(), format_))


_SUFFIXES = {".txtpb": "text", ".txt": "text", ".json": "json", ".bin": "binary"}


def _files(single: str | None, several: str | None, format_: str) -> list[tuple[str, str]]:
    """Path and format of each file asked for.

    Raises:
        OSError: a name tells no format.
    """
    result = [] if single is None else [(single, format_.removesuffix("_protobuf"))]
    for path in (several or "").split(","):
        if path:
            suffix = os.path.splitext(path)[1]
            if suffix not in _SUFFIXES:
                raise OSError(0, "unknown kind of file; it must end in .txtpb, .txt, .json or .bin", path)
            result.append((path, _SUFFIXES[suffix]))
    return result


def _write(path: str, data: bytes) -> None:
    if path == "-":
        sys.stdout.buffer.write(data)
        return
    file = open(path, "wb")  # noqa: SIM115 - closing is what tells that the disk is full
    try:
        with file:
            file.write(data)
    except OSError as error:  # which, unlike that of opening, names no file
        if os.path.isfile(path):  # half a file is worse than none
            os.unlink(path)
        error.filename = path
        raise
