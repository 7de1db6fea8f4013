"""The compiler as a command: arguments, files, messages, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from p4compiler import driver
from p4compiler.ir.program import Program
from p4compiler.options import UsageError, parse_arguments
from tests.p4compiler.programs import v1model

GOOD = v1model(
    "action a(bit<8> v) { m.x = v; } table t { key = { m.x : exact; } actions = { a; } } apply { t.apply(); }"
)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "good.p4"
    path.write_text(GOOD, encoding="utf-8")
    return path


def test_writes_what_is_asked_for(program: Path, tmp_path: Path) -> None:
    files = [
        tmp_path / name for name in ("out.json", "out.p4info.txtpb", "out.p4info.json", "out.p4info.bin", "e.txtpb")
    ]
    arguments = ["--arch", "v1model", "--std", "p4-16", "-o", str(files[0])]
    arguments += ["--p4runtime-files", ",".join(map(str, files[1:4])), "--p4runtime-entries-files", str(files[4])]
    assert driver.main([*arguments, str(program)]) == 0
    assert json.loads(files[0].read_text())["pipelines"][0]["init_table"] == "MyIngress.t"
    assert "MyIngress.t" in files[1].read_text()
    assert json.loads(files[2].read_text())["tables"]
    assert b"MyIngress.t" in files[3].read_bytes()
    assert files[4].read_text().startswith("# proto-file: p4/v1/p4runtime.proto")


def test_an_error_names_the_place_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.p4"
    path.write_text(v1model("apply { m.x = nobody; }"), encoding="utf-8")
    assert driver.main([str(path), "-o", str(tmp_path / "out.json")]) == 1
    said = capsys.readouterr().err
    assert f"{path}:" in said and "error[" in said and "^" in said and "Traceback" not in said
    assert not (tmp_path / "out.json").exists()


def test_what_only_the_target_refuses_still_has_a_p4info(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "odd.p4"
    path.write_text(GOOD.replace("a; } }", "a; } }\n register<bool>(4) r;"), encoding="utf-8")
    info = tmp_path / "out.txtpb"
    assert driver.main([str(path), "-o", str(tmp_path / "out.json"), "--p4runtime-files", str(info)]) == 1
    assert "error[target-error]" in capsys.readouterr().err
    assert "MyIngress.r" in info.read_text() and not (tmp_path / "out.json").exists()


def test_files_that_cannot_be(program: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert driver.main([str(tmp_path / "missing.p4")]) == 1
    assert "missing.p4" in capsys.readouterr().err
    assert driver.main([str(program), "-o", str(tmp_path / "no" / "such" / "folder.json")]) == 1
    assert "folder.json" in capsys.readouterr().err
    assert driver.main([str(program), "--p4runtime-files", str(tmp_path / "out.yaml")]) == 1
    assert "out.yaml" in capsys.readouterr().err


def test_preprocess_only(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert driver.main([str(program), "-E", "-DX=1"]) == 0
    assert "control MyIngress" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "source", "code"),
    [
        ("--parse-only", "const bit<8> a = b;", 0),
        ("--parse-only", "const bit<8> a = ;", 1),
        ("--validate", "package other(); other() main;", 0),
        ("--validate", "const bit<8> a = b;", 1),
    ],
)
def test_only_looks(option: str, source: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "any.p4"
    path.write_text(source)
    assert driver.main([option, "-o", str(tmp_path / "out.json"), str(path)]) == code
    assert not (tmp_path / "out.json").exists()
    assert ("error[" in capsys.readouterr().err) is bool(code)


@pytest.mark.parametrize("name", ["lower-program", "synthesize-actions"])
def test_dump_after(name: str, program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert driver.main([str(program), "--dump-after", name]) == 0
    out = capsys.readouterr().out
    assert out.count("// after ") == 1 and f"// after {name}" in out


def test_warnings_can_be_silenced_or_made_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "warned.p4"
    path.write_text(v1model("apply { clone_preserving_field_list(CloneType.I2E, 1, 9); }"), encoding="utf-8")
    assert driver.main([str(path)]) == 0
    assert "warning[invalid]" in capsys.readouterr().err
    assert driver.main([str(path), "--Wdisable=invalid"]) == 0
    assert capsys.readouterr().err == ""
    assert driver.main([str(path), "--Werror"]) == 1
    assert "error[invalid]" in capsys.readouterr().err


def test_a_fault_of_the_compiler_is_told_apart(
    program: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Program:
        raise ValueError("the wheels came off")

    monkeypatch.setattr("p4compiler.lowering.program.lower_program", broken)
    assert driver.main([str(program)]) == 2
    said = capsys.readouterr().err
    assert "internal error in lowering" in said and "the wheels came off" in said and "Please report" in said
    assert "Traceback" not in said
    monkeypatch.setenv(driver.DEBUG_VARIABLE, "1")
    with pytest.raises(ValueError, match="wheels"):
        driver.main([str(program)])


def test_a_fault_of_the_compiler_has_a_place(
    program: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from p4compiler.lowering.statements import StatementLowering

    def broken(self: object, statement: object) -> None:
        raise KeyError("nothing there")

    monkeypatch.setattr(StatementLowering, "_assignment", broken)
    assert driver.main([str(program)]) == 2
    place = f"{program}:13:22"
    assert program.read_text(encoding="utf-8").split("\n")[12][21:].startswith("m.x = v;")
    assert f"internal error in lowering at {place}: KeyError: 'nothing there'" in capsys.readouterr().err


def test_unknown_externs_are_taken_over_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "extern.p4"
    declarations = (
        "extern box { box(bit<8> size, string label); void put(in bit<8> v); } extern void poke(inout bit<8> v);"
    )
    path.write_text(v1model('box(3, "b") b; apply { b.put(m.x + 1); poke(m.y); }', declarations), encoding="utf-8")
    out = tmp_path / "out.json"
    assert driver.main([str(path), "-o", str(out)]) == 1
    assert "error[target-error]" in capsys.readouterr().err
    assert driver.main([str(path), "-o", str(out), "--emit-externs"]) == 0
    document = json.loads(out.read_text())
    (instance,) = document["extern_instances"]
    assert (instance["name"], instance["type"]) == ("MyIngress.b", "box")
    assert [(a["name"], a["type"], a["value"]) for a in instance["attribute_values"]] == [
        ("size", "hexstr", "0x3"),
        ("label", "string", "b"),
    ]
    calls = [p["op"] for action in document["actions"] for p in action["primitives"]]
    assert calls == ["assign", "_box_put", "poke"]


def test_inlining_without_end_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    functions = "bit<8> f0(in bit<8> x) { return x + 1; }\n" + "\n".join(
        f"bit<8> f{i}(in bit<8> x) {{ bit<8> t = f{i - 1}(x); return t + f{i - 1}(t); }}" for i in range(1, 40)
    )
    path = tmp_path / "many.p4"
    path.write_text(v1model("apply { m.x = f39(m.x); }", functions), encoding="utf-8")
    assert driver.main([str(path)]) == 1
    assert "error[overlimit]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no program"),
        (["a.p4", "b.p4"], "one program"),
        (["--nonsense", "a.p4"], "--nonsense"),
        (["-o"], "needs a value"),
        (["--std", "p4-14", "a.p4"], "P4_16"),
        (["--arch", "psa", "a.p4"], "v1model"),
        (["--toJSON", "a.p4"], "--dump-after"),
        (["--p4runtime-format", "xml", "a.p4"], "xml"),
        (["--maxErrorCount", "many", "a.p4"], "many"),
        (["--Wdisable=unusd", "a.p4"], "did you mean 'unused'"),
        (["--Wdisable=type-error", "a.p4"], "stay errors"),
        (["--p4runtime-fils", "x", "a.p4"], "did you mean '--p4runtime-file'"),
    ],
)
def test_arguments_that_make_no_sense(arguments: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_arguments(arguments)
    assert driver.main(arguments) == 1


def test_arguments_as_p4c_takes_them() -> None:
    options = parse_arguments(
        ["-Idir", "-I", "other", "-DA=1", "-D", "B", "-UC", "--p4v", "16", "-b", "bmv2", "--Wdisable", "-v",
         "--parser-inline-opt", "-T", "x:3", "--emit-externs", "--p4runtime-format=json", "p.p4"]
    )  # fmt: skip
    assert (
        options.include_dirs == ["dir", "other"] and options.defines[-2:] == ["A=1", "B"] and options.undefines == ["C"]
    )
    assert (
        options.default_severity is None
        and options.verbose
        and options.file == "p.p4"
        and options.p4info_format == "json"
    )


def test_warnings_become_what_the_options_say(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = program.read_text(encoding="utf-8")
    program.write_text(text + "const bit<8> forgotten = 256;", encoding="utf-8")

    def said(*options: str) -> tuple[int, set[str]]:
        code = driver.main([str(program), *options])
        heads = [
            line.split(": ")[1] for line in capsys.readouterr().err.split("\n") if "p4:" in line and "note" not in line
        ]
        return code, set(heads)

    assert said() == (0, {"warning[unused]", "warning[overflow]"})
    assert said("--Winfo=unused") == (0, {"info[unused]", "warning[overflow]"})
    assert said("--Werror", "--Wwarn=unused,overflow") == (0, {"warning[unused]", "warning[overflow]"})
    assert said("--Wdisable", "--Winfo=overflow") == (0, {"info[overflow]"})
    assert said("--Werror=unused", "--Wdisable=unused") == (0, {"warning[overflow]"})
    assert said("--Werror") == (1, {"error[unused]", "error[overflow]"})


def test_the_module_is_a_command_and_loads_no_protobuf(program: Path) -> None:
    """Protobuf would take longer to load than most programs take to compile."""
    script = (
        "import sys; from p4compiler.driver import main; code = main(sys.argv[1:]);"
        " print([name for name in ('google.protobuf', 'grpc', 'finsy', 'click') if name in sys.modules]); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(program), "-o", "/dev/null", "--p4runtime-files", str(program) + ".txtpb"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and done.stdout == "[]\n", done.stderr
    version = subprocess.run(
        [sys.executable, "-m", "p4compiler", "--version"], capture_output=True, text=True, check=True
    )
    assert driver.VERSION in version.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_with_the_file(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert driver.main(["-o", "/dev/full", str(program)]) == 1
    assert "error[io]: /dev/full: No space left on device" in capsys.readouterr().err
    assert Path("/dev/full").exists(), "only a regular file is taken away"
