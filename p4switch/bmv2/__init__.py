"""The BMv2 JSON: its document as written, the typed model made from it, and the checks in between."""
