"""Where in the program the compiler was when it failed."""

from __future__ import annotations

from p4compiler.source import Span


def place_of_failure(error: BaseException) -> Span | None:
    """The place of the part of the program that was being worked on: it is among the variables of the innermost call that
    has one. None if no call has.
    """
    at = getattr(error, "span", None)
    if isinstance(at, Span):
        return at
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    for frame in reversed(frames):
        for value in frame.f_locals.values():
            span = value if isinstance(value, Span) else getattr(value, "span", None)
            if isinstance(span, Span) and not span.file.system:
                return span
    return None
