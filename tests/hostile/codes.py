"""The codes that docs/security.md promises."""

import re
from pathlib import Path

_SECURITY = Path(__file__).parents[2] / "docs/security.md"
_ROW = re.compile(r"^\| [0-9]{3} \| `([a-z0-9_]+)` \|", re.MULTILINE)


def documented() -> frozenset[str]:
    """Codes of problem details that are in the document's tables."""
    return frozenset(_ROW.findall(_SECURITY.read_text(encoding="utf-8")))
