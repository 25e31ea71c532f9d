"""The band: on which pairs of Flax and jax NNX works. Imports neither of the two.

``record.jsonl`` has a line for each pair that was measured by ``nox -s band``: with
which companions, and what the probes said natively, through the drop-in line (``from
nnx_compat import nnx``) and after ``install()``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from .forms import BESIDES_NNX, PROBES, forms

__all__ = ["BESIDES_NNX", "PROBES", "RECORD", "WAYS", "digest", "forms", "read"]

RECORD = Path(__file__).parent / "record.jsonl"
WAYS = ("native", "drop-in", "install")


def read(file: Path = RECORD) -> list[dict[str, Any]]:
    """The lines of a record, by release and jax."""
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def digest(flax: str) -> str:
    """A digest of the probes as they are run natively on a release."""
    found = hashlib.sha256(json.dumps(forms(flax)).encode())
    for name in ("probes.py", "run.py"):
        found.update(Path(__file__).with_name(name).read_bytes())
    return found.hexdigest()[:16]
