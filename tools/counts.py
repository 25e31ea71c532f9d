"""Sentences of README and CHANGELOG whose numbers the facts know.

A sentence is written in its file as everywhere, and here with names in place of the
numbers; ``nox -s render`` finds it by its words, across line ends, and puts in what the
facts say. So both files are plain Markdown without marks.
"""

from __future__ import annotations

import datetime
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from nnx_compat import facts  # noqa: E402
from nnx_compat.matrix import grid  # noqa: E402

SENTENCES = (
    ("README.md", "{oldest} ({month}) to {newest}, {releases} releases."),
    ("README.md", "since {split} `split` shares the model's Variables"),
    ("README.md", "since {merge} running the merged copy changes the original"),
    ("README.md", "which was right, is an error from {model} on"),
    ("README.md", "as an attribute is refused from {lists} on"),
    ("README.md", "each release has between {least} and {most} %;"),
    ("README.md", "grid of {pairs} pairs of Flax and jax"),
    ("README.md", "works natively on {native}, and on {wider} more through us"),
    ("CHANGELOG.md", "on all {releases} releases of Flax that ship NNX"),
    ("CHANGELOG.md", "{behaviours} changes of meaning with probes"),
    ("CHANGELOG.md", "or says why not, on {releases} releases."),
)


def known() -> dict[str, str]:
    """What the facts say, by the names in ``SENTENCES``."""
    served = facts.releases()
    public = len(facts.resolved(served[-1].version))
    band = grid.counts()
    having = [len(facts.resolved(release.version)) / public for release in served]
    return {
        "oldest": served[0].version,
        "month": datetime.date.fromisoformat(served[0].date).strftime("%B %Y"),
        "newest": served[-1].version,
        "releases": str(len(served)),
        "behaviours": str(len(facts.behaviours())),
        "split": _since("split-shares-variables"),
        "merge": _since("merge-shares-variables"),
        "model": facts.name("nnx.Optimizer.update").parameters["model"][0].first,
        "lists": _since("list-of-modules-is-refused"),
        "pairs": str(band.pairs),
        "native": str(band.native),
        "wider": str(band.wider),
        "least": f"{100 * min(having):.0f}",
        "most": f"{100 * max(having):.0f}",
    }


def _since(behaviour: str) -> str:
    return facts.behaviour(behaviour).intervals[0].first


def rendered(text: str, sentences: list[str]) -> str:
    r"""The text with the numbers that the facts know.

    Raises:
        SystemExit: a sentence is not in it, or more than once.

    Example:
        >>> rendered("It runs on all\n7 releases of Flax that ship NNX.",
        ...          ["on all {releases} releases of Flax"]) != ""
        True
    """
    values = known()
    for sentence in sentences:
        pattern = ""
        for part in re.split(r"(\{\w+\}|\s)", sentence):
            if part.startswith("{"):
                pattern += rf"(?P<{part[1:-1]}>\w[\w.]*(?:\s\d{{4}})?)"
            else:
                pattern += r"\s+" if part.isspace() else re.escape(part)
        found = list(re.finditer(pattern, text))
        if len(found) != 1:
            raise SystemExit(
                f"{len(found)} times in the text: {sentence!r}\n"
                "  instead: the sentence as it is there now, in tools/counts.py"
            )
        spans = {name: found[0].span(name) for name in found[0].groupdict()}
        for name, (start, end) in sorted(spans.items(), key=lambda s: -s[1][0]):
            if text[start:end].split() != values[name].split():  # or only wrapped
                text = text[:start] + values[name] + text[end:]
    return text


def texts() -> dict[Path, str]:
    """The files, as they have to be."""
    found = {}
    for name in sorted({file for file, _ in SENTENCES}):
        text = (ROOT / name).read_text(encoding="utf-8")
        sentences = [sentence for file, sentence in SENTENCES if file == name]
        found[ROOT / name] = rendered(text, sentences)
    return found
