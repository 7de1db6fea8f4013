"""The command line, as p4c-bm2-ss takes it."""

from __future__ import annotations

from dataclasses import dataclass, field

from p4compiler.diagnostics import ERRORS_ONLY, Kind, Severity, closest, is_kind_of_p4c, kind_named

USAGE = """\
usage: kulvert compile [options] FILE.p4

Compiles a P4_16 program for the v1model architecture. Takes the arguments of p4c-bm2-ss.

output
  -o FILE                          write the BMv2 JSON to FILE
  --p4runtime-files FILES          write P4Info to the comma-separated FILES; the format goes by the
                                   name: .txtpb (or .txt) text, .json, .bin
  --p4runtime-file FILE, --p4runtime-format {text,json,binary}
  --p4runtime-entries-files FILES, --p4runtime-entries-file FILE
                                   write the program's table entries as a P4Runtime WriteRequest
  --p4v {16,p4-16}, --std p4-16    the language version (only P4_16 is understood)
  --emit-externs                   take over externs unknown to v1model, for a switch with a module for them
  -a, --arch v1model, -b, --target bmv2
                                   the only architecture and target

preprocessor
  -I DIR                           search DIR for included files
  -D NAME[=VALUE], -U NAME         define, undefine a macro
  -E                               print the preprocessed text only

only looking, for a program of any architecture
  --parse-only                     check the syntax
  --validate                       check everything that does not depend on the target

messages
  --Werror[=KIND], --Wdisable[=KIND], --Wwarn[=KIND], --Winfo[=KIND]
                                   make warnings of a kind (or of several, with commas; or of all)
                                   errors, nothing, warnings, information
  --maxErrorCount N                stop after N errors
  -v, --verbose                    say what is being done
  -T SPEC                          taken, without effect

for developers
  --dump-after PASS                print the IR after a pass ('all': after each)
  --version, --help
"""

_WITH_VALUE = {
    "-o": "output",
    "--p4runtime-file": "p4info_file",
    "--p4runtime-files": "p4info_files",
    "--p4runtime-format": "p4info_format",
    "--p4runtime-entries-file": "entries_file",
    "--p4runtime-entries-files": "entries_files",
    "--std": "language",
    "--p4v": "language",
    "--arch": "architecture",
    "-a": "architecture",
    "--target": "target",
    "-b": "target",
    "--dump-after": "dump_after",
    "--maxErrorCount": "error_limit",
}
_IGNORED_WITH_VALUE = frozenset(
    {"-T", "--top4", "--dump", "--passes", "--excludeFrontendPasses", "--excludeMidendPasses"}
)
_IGNORED = frozenset({"--ndebug", "--parser-inline-opt", "--doNotEmitIncludes", "--disable-annotations", "--nocpp"})
_REFUSED = {
    "--toJSON": "the intermediate representation of p4c cannot be written; --dump-after PASS shows this compiler's own",
    "--fromJSON": "the intermediate representation of p4c cannot be read",
    "--pp": "pretty-printing is not supported",
}
_WARNINGS: dict[str, Severity | None] = {
    "--Werror": Severity.ERROR,
    "--Wdisable": None,
    "--Wwarn": Severity.WARNING,
    "--Winfo": Severity.INFO,
}
_OPTIONS = (
    *(
        "-o",
        "-a",
        "-b",
        "-I",
        "-D",
        "-U",
        "-E",
        "-v",
        "-T",
        "--verbose",
        "--parse-only",
        "--validate",
        "--help",
        "--version",
        "--emit-externs",
    ),
    *_WITH_VALUE,
    *_IGNORED_WITH_VALUE,
    *_IGNORED,
    *_REFUSED,
    *_WARNINGS,
)
LANGUAGES = frozenset({"16", "1.2", "p4-16", "p4_16", "p4-1.2"})
FORMATS = frozenset({"text", "json", "binary", "text_protobuf"})


class UsageError(Exception):
    """The command line cannot be understood."""


@dataclass(slots=True)
class Options:
    file: str = ""
    output: str | None = None
    p4info_file: str | None = None
    p4info_files: str | None = None
    p4info_format: str = "text"
    entries_file: str | None = None
    entries_files: str | None = None
    language: str = "p4-16"
    architecture: str = "v1model"
    target: str = "bmv2"
    dump_after: str | None = None
    error_limit: str = "20"
    include_dirs: list[str] = field(default_factory=list)
    defines: list[str] = field(default_factory=lambda: ["__TARGET_BMV2__"])
    """Macros, beginning with the one by which programs know that they are compiled for BMv2."""
    undefines: list[str] = field(default_factory=list)
    preprocess_only: bool = False
    parse_only: bool = False
    validate_only: bool = False
    emit_externs: bool = False
    verbose: bool = False
    show: str | None = None
    """`help` or `version`: say that and do nothing."""
    severities: dict[Kind, Severity | None] = field(default_factory=dict)
    """What warnings of a kind become; None: nothing is said."""
    default_severity: Severity | None = Severity.WARNING
    """What those of the other kinds become."""


def parse_arguments(argv: list[str]) -> Options:
    """The options of a command line without the program's name.

    Raises:
        UsageError: with a message for the user.
    """
    options = Options()
    position = 0

    def value_of(name: str, inline: str | None) -> str:
        nonlocal position
        if inline is not None:
            return inline
        position += 1
        if position >= len(argv):
            raise UsageError(f"{name} needs a value")
        return argv[position]

    while position < len(argv):
        argument = argv[position]
        name, equals, rest = argument.partition("=") if argument.startswith("--") else (argument, "", "")
        inline = rest if equals else None
        if name in _WARNINGS:
            _warnings(options, name, inline)
        elif name in _WITH_VALUE:
            setattr(options, _WITH_VALUE[name], value_of(name, inline))
        elif name in _REFUSED:
            raise UsageError(f"{name}: {_REFUSED[name]}")
        elif name in _IGNORED_WITH_VALUE:
            value_of(name, inline)
        elif argument[:2] in ("-I", "-D", "-U"):
            target = {"-I": options.include_dirs, "-D": options.defines, "-U": options.undefines}[argument[:2]]
            target.append(value_of(argument, argument[2:] or None))
        elif name in ("-h", "--help"):
            options.show = "help"
        elif name == "--version":
            options.show = "version"
        elif name == "--emit-externs":
            options.emit_externs = True
        elif name == "-E":
            options.preprocess_only = True
        elif name == "--parse-only":
            options.parse_only = True
        elif name == "--validate":
            options.validate_only = True
        elif name in ("-v", "--verbose"):
            options.verbose = True
        elif name not in _IGNORED:
            if argument.startswith("-") and argument != "-":
                hint = closest(name, _OPTIONS)
                raise UsageError(f"unknown option {argument}" + (f"; did you mean '{hint}'?" if hint else ""))
            if options.file:
                raise UsageError(f"only one program can be compiled at a time, not {options.file} and {argument}")
            options.file = argument
        position += 1
    _check(options)
    return options


def _warnings(options: Options, name: str, kinds: str | None) -> None:
    severity = _WARNINGS[name]
    if kinds is None:
        if severity in (Severity.ERROR, None):  # there is nothing that --Wwarn and --Winfo could concern
            options.default_severity = severity
        return
    for text in kinds.split(","):
        kind = kind_named(text)
        if kind is None and not is_kind_of_p4c(text):
            hint = closest(text, [known.value for known in Kind])
            raise UsageError(
                f"{name}: there is no kind '{text}' of messages" + (f"; did you mean '{hint}'?" if hint else "")
            )
        if kind in ERRORS_ONLY and severity is not Severity.ERROR:
            raise UsageError(f"{name}: '{text}' is a kind of errors, which stay errors")
        if kind is not None:
            options.severities[kind] = severity


def _check(options: Options) -> None:
    if options.show is not None:
        return
    if not options.file:
        raise UsageError("no program is given")
    if options.language.lower() not in LANGUAGES:
        raise UsageError(f"only P4_16 is understood, not {options.language}")
    if options.architecture != "v1model":
        raise UsageError(f"the only architecture is v1model, not {options.architecture}")
    if options.target not in ("bmv2", "simple_switch", "bmv2-simple_switch"):
        raise UsageError(f"the only target is bmv2, not {options.target}")
    if options.p4info_format not in FORMATS:
        raise UsageError(f"--p4runtime-format is one of text, json, binary, not {options.p4info_format}")
    if not options.error_limit.isdigit():
        raise UsageError(f"--maxErrorCount needs a number, not {options.error_limit}")
