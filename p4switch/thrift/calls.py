"""What all calls share: the switch, and where the data plane's sentences go, as Thrift's errors carry none."""

from __future__ import annotations

import logging

from p4switch.thrift.attached import IdleTimeouts, MeterRates
from p4switch.thrift.state import SwitchState

log = logging.getLogger("p4switch.thrift")


class Calls:
    def __init__(self, state: SwitchState) -> None:
        self.state = state
        self.meters = MeterRates(state.dataplane)
        self.idle = IdleTimeouts(state.dataplane)

    @staticmethod
    def log_refusal(error: Exception) -> None:
        """The reason in words, for the log: the client hears a code alone."""
        log.warning("refused: %s", error)
