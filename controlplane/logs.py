"""Log lines on standard error: one line an event, as text or as JSON."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import TextIO

from controlplane.options import LogFormat


class _TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def format(self, record: logging.LogRecord) -> str:
        return " ".join(super().format(record).splitlines())


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(
            {
                "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
                "level": record.levelname.lower(),
                "logger": record.name,
                "message": record.getMessage(),
            }
        )


def set_up_logging(log_format: LogFormat, level: str, stream: TextIO | None = None) -> None:
    """Send the package's log lines to `stream`, standard error if None. With KULVERT_DEBUG=1 at debug level."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonFormatter() if log_format is LogFormat.JSON else _TextFormatter())
    logger = logging.getLogger("controlplane")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel("DEBUG" if os.environ.get("KULVERT_DEBUG") == "1" else level.upper())
