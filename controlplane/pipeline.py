"""The compiled pipeline that the switch must run: its P4Info, its device config, and the cookie that names the pair."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
from google.protobuf import text_format
from google.protobuf.message import DecodeError

from p4base.lookup import P4InfoIndex
from p4base.messages import p4i, p4r


class PipelineError(ValueError):
    """The pipeline's files cannot be used. `str()` names the file."""


class Pipeline(msgspec.Struct, frozen=True):
    """What is pushed to a switch whose cookie differs."""

    index: P4InfoIndex
    config: p4r.ForwardingPipelineConfig

    @property
    def cookie(self) -> int:
        return self.config.cookie.cookie


def load_pipeline(p4info: Path, device_config: Path) -> Pipeline:
    """Read the two files. The cookie is a hash of their contents, so equal pipelines are never pushed twice.

    Raises:
        PipelineError
    """
    try:
        data = p4info.read_bytes()
        device = device_config.read_bytes()
    except OSError as error:
        raise PipelineError(f"cannot read the pipeline: {error}") from None
    config = p4r.ForwardingPipelineConfig(p4_device_config=device)
    try:
        if p4info.suffix in (".txt", ".txtpb", ".textproto", ".pbtxt"):
            text_format.Parse(data.decode(), config.p4info, allow_unknown_field=True)
        else:
            config.p4info.ParseFromString(data)
    except (text_format.ParseError, DecodeError, UnicodeDecodeError) as error:
        raise PipelineError(f"{p4info} is not a P4Info: {error}") from None
    if not config.p4info.tables:
        raise PipelineError(f"{p4info} is not a P4Info: it has no tables")
    canonical: p4i.P4Info = config.p4info
    digest = hashlib.sha256(canonical.SerializeToString(deterministic=True) + b"\0" + device).digest()
    config.cookie.cookie = int.from_bytes(digest[:8], "big") or 1
    return Pipeline(P4InfoIndex(canonical), config)
