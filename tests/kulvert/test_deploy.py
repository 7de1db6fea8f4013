"""deploy/: what a cluster is given is well-formed, hangs together, asks for no more than the code uses, and is what the command takes."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane.config import load_config
from controlplane.kube import events
from controlplane.kube.objects import RESOURCES
from kulvert.commands.controller import _is_given, command, make_options
from kulvert.targets import target_names
from p4switch.options import parse_args

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
KUSTOMIZATIONS = sorted(DEPLOY.rglob("kustomization.yaml"))
OVERLAYS = [path.parent for path in KUSTOMIZATIONS if path.parent.parent.name == "overlays"]


def documents(path: Path) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all(path.read_text()) if item is not None]


def resources(folder: Path) -> Iterator[dict[str, Any]]:
    """The objects of a kustomization and of those it is built on, before patches."""
    (kustomization,) = documents(folder / "kustomization.yaml")
    for name in kustomization.get("resources", []):
        path = folder / name
        if path.is_dir():
            yield from resources(path)
        else:
            yield from documents(path)


def merged(folder: Path) -> dict[str, Any]:
    """The DaemonSet's pod spec, patched: maps are merged, lists of named things by name."""
    (kustomization,) = documents(folder / "kustomization.yaml")
    bases = [folder / name for name in kustomization.get("resources", []) if (folder / name).is_dir()]
    found: dict[str, Any] = {}
    for base in bases:
        found = merged(base)
    for obj in resources(folder) if not bases else ():
        if obj["kind"] == "DaemonSet":
            found = obj["spec"]["template"]["spec"]
    for patch in kustomization.get("patches", []):
        (value,) = documents(folder / patch["path"])
        found = merge(found, value["spec"]["template"]["spec"])
    return found


def merge(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {
            key: merge(below.get(key), above.get(key)) if key in above else below[key] for key in {**below, **above}
        }
    if isinstance(below, list) and isinstance(above, list) and all(isinstance(item, dict) for item in [*below, *above]):
        by_name = {item["name"]: item for item in below}
        for item in above:
            by_name[item["name"]] = merge(by_name.get(item["name"]), item)
        return list(by_name.values())
    return above if above is not None else below


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.yaml")), ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_file_is_yaml_with_kinds_and_is_used(path: Path) -> None:
    found = documents(path)
    assert found and all(item.get("apiVersion") and item.get("kind") for item in found)
    (kustomization,) = documents(path.parent / "kustomization.yaml")
    used = {"kustomization.yaml", *kustomization.get("resources", [])}
    used |= {patch["path"] for patch in kustomization.get("patches", [])}
    used |= {name for generator in kustomization.get("configMapGenerator", []) for name in generator["files"]}
    assert path.name in used


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: str(path.parent.relative_to(DEPLOY)))
def test_a_kustomization_names_files_that_are_there_and_patches_what_is_there(path: Path) -> None:
    (kustomization,) = documents(path)
    for name in kustomization.get("resources", []):
        assert (path.parent / name).exists(), name
    named = {(item["kind"], item["metadata"]["name"]) for item in resources(path.parent)}
    for patch in kustomization.get("patches", []):
        assert (patch["target"]["kind"], patch["target"]["name"]) in named
        (value,) = documents(path.parent / patch["path"])
        assert (value["kind"], value["metadata"]["name"]) == (patch["target"]["kind"], patch["target"]["name"])


def test_rbac_is_exactly_what_the_code_uses() -> None:
    granted: set[tuple[str, str, str]] = set()
    for item in resources(DEPLOY / "base"):
        if item["kind"] == "ClusterRole":
            for rule in item["rules"]:
                assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
                granted |= {(g, r, v) for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"]}
    used = {
        (resource.api_version.rpartition("/")[0], resource.plural, verb)
        for resource in RESOURCES.values()
        for verb in ("list", "watch")
    }
    methods = set(re.findall(r'\.write\(\s*"(\w+)"', Path(events.__file__).read_text()))
    used |= {("", "events", {"POST": "create", "PATCH": "patch"}[method]) for method in methods}
    assert granted == used
    assert set(re.findall(r'_send\(self._api, "(\w+)"', (ROOT / "controlplane/kube/apiserver.py").read_text())) == {
        "GET"
    }


@pytest.mark.parametrize("folder", [DEPLOY / "base", *OVERLAYS], ids=lambda folder: folder.name)
def test_the_containers_are_given_arguments_that_the_commands_take(folder: Path) -> None:
    spec = merged(folder)
    containers = {item["name"]: item for item in [*spec["containers"], *spec.get("initContainers", [])]}
    name, *argv = containers["controller"]["args"]
    assert name == "controller"
    (kustomization,) = documents(folder / "kustomization.yaml")
    has_config = any("controller.yaml" in item["files"] for item in kustomization.get("configMapGenerator", []))
    config = (folder if has_config else DEPLOY / "base") / "controller.yaml"
    argv[argv.index("--config") + 1] = str(config)
    context = command.make_context("controller", argv)
    values = {key: value for key, value in context.params.items() if key not in ("config", "target")}
    options = make_options(
        config, {**values, "node_name": "worker-1"}, {key for key in values if _is_given(context, key)}
    )
    assert options.in_cluster and options.node_name == "worker-1"
    options.settings()
    if "switch" in containers:
        name, *argv = containers["switch"]["args"]
        switch = parse_args(argv)
        assert name == "switch" and switch.address == options.switch_address


@pytest.mark.parametrize("folder", [DEPLOY / "base", *OVERLAYS], ids=lambda folder: folder.name)
def test_the_pod_is_small_in_rights_and_its_parts_fit(folder: Path) -> None:
    spec = merged(folder)
    volumes = {item["name"] for item in spec["volumes"]}
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        context = container["securityContext"]
        assert context["capabilities"]["drop"] == ["ALL"] and context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"] and not context.get("privileged")
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        assert container["resources"]["limits"]["memory"]
    (controller,) = spec["containers"]
    assert controller["securityContext"]["runAsNonRoot"] and "add" not in controller["securityContext"]["capabilities"]
    config = load_config(DEPLOY / "base" / "controller.yaml")
    ports = {item["name"]: item["containerPort"] for item in controller["ports"]}
    assert config["healthz_bind_address"].endswith(f":{ports['healthz']}")
    assert config["metrics_bind_address"].endswith(f":{ports['metrics']}")
    assert {probe["httpGet"]["path"] for key, probe in controller.items() if key.endswith("Probe")} == {
        "/livez",
        "/readyz",
    }
    mounts = [mount["mountPath"] for mount in controller["volumeMounts"]]
    assert str(config["control_socket"].parent) in mounts


def test_the_container_file_copies_what_is_there_and_builds_a_target_that_is() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists(), name
    (target,) = re.findall(r"kulvert build --target (\w+)", text)
    assert target in target_names()
    stages = set(re.findall(r"^FROM \S+ AS (\w+)$", text, re.MULTILINE))
    images = {
        container["image"].removeprefix("kulvert-")
        for folder in [DEPLOY / "base", *OVERLAYS]
        for container in [*merged(folder)["containers"], *merged(folder).get("initContainers", [])]
    }
    assert images <= stages


def test_kustomize_itself_takes_the_overlays() -> None:
    tool = shutil.which("kustomize") or shutil.which("kubectl")
    if tool is None:
        pytest.skip("neither kustomize nor kubectl is on the PATH")
    for folder in OVERLAYS:
        argv = [tool, "build" if tool.endswith("kustomize") else "kustomize", str(folder)]
        run = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
        assert run.returncode == 0, run.stderr
        kinds = [item["kind"] for item in yaml.safe_load_all(run.stdout)]
        assert kinds.count("DaemonSet") == 1 and "ConfigMap" in kinds


def test_the_operators_document_names_only_commands_and_flags_that_there_are() -> None:
    from kulvert.cli import COMMANDS

    text = (ROOT / "docs" / "operations.md").read_text()
    assert set(re.findall(r"(?<!-n )kulvert (\w+)", text)) <= set(COMMANDS)
    flags = {flag for parameter in command.params for flag in parameter.opts}
    for flag in ("--hostname-override", "--cluster-cidr", "--nodeport-addresses", "--masquerade-all"):
        assert flag in text and flag in flags
    metrics = (ROOT / "controlplane" / "metrics.py").read_text()
    for name in re.findall(r"`(kulvert_\w+)", text):
        assert f'"{name}"' in metrics, name
