"""What to say of a file that cannot be read."""

from __future__ import annotations


def why_unreadable(error: OSError | UnicodeDecodeError) -> str:
    """The reason why a text file was not read, for a message that names the file itself: no errno, no codec."""
    if isinstance(error, UnicodeDecodeError):
        return f"not a text file: byte {error.start} is no UTF-8"
    return error.strerror or str(error)
