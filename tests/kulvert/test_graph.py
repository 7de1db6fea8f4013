"""`kulvert graph`: the formats, both Graphviz, and what is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kulvert.graphviz import draw_svg
from tests.kulvert.commands import assert_clear, run_kulvert
from tests.p4compiler.programs import v1model

SMALL = 'digraph { a [label="ä <&>"]; subgraph cluster_x { b [shape=record, label="{t | left\\l}"]; } a -> b; }'


@pytest.mark.parametrize("installed", [True, False], ids=["dot", "wheel"])
def test_svg_with_and_without_graphviz(installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if installed and shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed here")
    if not installed:
        monkeypatch.setenv("PATH", "/nowhere")
    root = ElementTree.fromstring(draw_svg(SMALL))
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"ä <&>", "t"} <= texts


def test_our_own_pipeline(tmp_path: Path) -> None:
    out = tmp_path / "node.dot"
    result = run_kulvert(["graph", "--target", "native", "-o", str(out)])
    assert result.returncode == 0, result.stderr
    text = out.read_text(encoding="utf-8")
    assert "parse_ipv4" in text and "node_ingress" in text and text.endswith("}\n")


def test_formats_and_parts(tmp_path: Path) -> None:
    program = tmp_path / "p.p4"
    program.write_text(v1model("apply { m.x = 1; }"), encoding="utf-8")
    dot = run_kulvert(["graph", "--only", "control", str(program)])
    assert dot.returncode == 0 and "cluster_ingress" in dot.stdout and "cluster_parser" not in dot.stdout
    svg = tmp_path / "p.svg"
    assert run_kulvert(["graph", "-o", str(svg), str(program)]).returncode == 0
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")


def test_mistakes(tmp_path: Path) -> None:
    bad = tmp_path / "bad.p4"
    bad.write_text(v1model("apply { m.x = nobody; }"), encoding="utf-8")
    assert_clear(run_kulvert(["graph", str(bad)]), "bad.p4:", "nobody", "does not compile")
    assert_clear(run_kulvert(["graph", str(tmp_path / "missing.p4")]), "missing.p4")
    assert_clear(run_kulvert(["graph"]), "--target")
    assert_clear(run_kulvert(["graph", "--target", "nativ"]), "nativ")
    assert_clear(run_kulvert(["graph", "--target", "small", "-o", str(tmp_path / "a.png")]), ".png")
    assert not (tmp_path / "a.png").exists()
