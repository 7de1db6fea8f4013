"""Live connections that are to be looked at anew when policies have changed (docs/pipeline.md, `policy_generation_table`).

A switch judges a connection again with its next packet once the policies' generation is another one than the connection's. So after
every change of what policy depends on, the generation is drawn anew: any number will do that no connection of before has.
"""

from __future__ import annotations

from controlplane.p4rt.secrets import draw_default
from p4base.lookup import P4InfoIndex

GENERATION_TABLE = "policy_generation_table"

POLICY_TABLES = (
    "egress_policy_table",
    "ingress_policy_table",
    "source_pod_table",
    "destination_pod_table",
    "source_identity_table",
    "destination_identity_table",
)
"""What the verdict of policy depends on."""


def policy_containers(index: P4InfoIndex) -> frozenset[int]:
    """The ids of those of POLICY_TABLES that the pipeline has."""
    return frozenset(table.preamble.id for name in POLICY_TABLES if (table := index.tables.get(name)) is not None)


def draw_generation(index: P4InfoIndex) -> list[tuple[int, bytes]]:
    """The update that makes a new generation; none if the pipeline cannot revalidate."""
    return draw_default(index, GENERATION_TABLE)
