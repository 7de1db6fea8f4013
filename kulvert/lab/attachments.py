"""The lab's attachments file: which pod is behind which port of the switch (docs/controller.md describes the format)."""

from __future__ import annotations

from pathlib import Path

import yaml

from kulvert.lab.inventory import Inventory


def write_attachments(inventory: Inventory, path: Path) -> None:
    """Write the attachments of the lab's wires to `path`."""
    node = inventory.node
    document = {
        "node": {"port": node.port, "mac": node.mac, "addresses": [str(address) for address in node.addresses]},
        "pods": [
            {"namespace": pod.namespace, "name": pod.name, "port": pod.port, "mac": pod.mac} for pod in inventory.pods
        ],
    }
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
