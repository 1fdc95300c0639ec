"""Texts of a page in the least room; its script unpacks them when they are asked for."""

import base64
import gzip
import json
from typing import Any


def packed(value: Any) -> str:
    """A value as JSON, gzip, base64; equal values give equal text."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, default=str)
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
