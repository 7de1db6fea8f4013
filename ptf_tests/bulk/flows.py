"""Random flows in random clusters, each packet judged by the model of the contract."""

from __future__ import annotations

from ptf import testutils

from ptf_tests.bulk.base import BulkTest
from ptf_tests.model.drive import Disagreement, every
from ptf_tests.model.scenarios import FLOWS, scenario


class RandomFlowsKeepTheContract(BulkTest):
    """Random Services, endpoints, policies and packets: whatever becomes of a packet is what the contract allows."""

    def runTest(self) -> None:
        self.cluster.withdraw()
        first, wanted = int(testutils.test_param_get("seed")), int(testutils.test_param_get("flows"))
        seeds = range(first, first + -(-wanted // FLOWS))
        try:
            flows = every(self.node, map(scenario, seeds))
        except Disagreement as found:
            self.fail(str(found))
        self.assertGreaterEqual(flows, wanted)
