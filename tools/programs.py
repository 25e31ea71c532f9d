"""Small programs as people write them, by chance: what ``fuzz.py`` gives to ``fix``.

A program is an import of NNX in one of its forms and a few scenes of ``programs.txt``,
each of which prints what it computes. There, ``⟨a¦b⟩`` stands for one of the two, ``@``
for the number of the scene, so that none meets the names of another, and the name of a
part for that part.
"""

from __future__ import annotations

import random
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

__all__ = ["programs"]

_CHOICE = re.compile("⟨([^⟨⟩]*)⟩")
_FILE = Path(__file__).with_name("programs.txt")
#: A part, which a line that names it stands for: the file has ``%PART`` ahead of it.
_PART = re.compile("^%([A-Z]+)\n", re.MULTILINE)
_SCENES = (
    "VARIABLES", "READ", "SUBSCRIPTS", "LAYER", "TRAINING", "TRAINING", "STATE",
    "CONTAINERS", "TRANSFORMS", "OTHERS", "OTHERS",
)  # fmt: skip


def programs(count: int, seed: int) -> Iterator[str]:
    """Programs that print what they compute; the same ones for the same seed.

    Args:
        count: how many.
        seed: of the chance.
    """
    listed = _PART.split(_FILE.read_text(encoding="utf-8"))[1:]
    parts = {k: v.removesuffix("\n") for k, v in zip(*[iter(listed)] * 2, strict=True)}
    chance = random.Random(seed)
    for _ in range(count):
        yield _program(parts, chance)


def _program(parts: dict[str, str], chance: random.Random) -> str:
    head = _chosen("HEAD", parts, chance)
    some = range(chance.choice((1, 1, 2, 3)))
    scenes = "\n".join(_scene(parts, chance, number) for number in some)
    form = chance.randrange(6)
    if form == 0:  # in a function of the script, whose names no `global` reaches
        scenes = re.sub(r"^ *global .*\n", "", scenes, flags=re.MULTILINE)
        body = textwrap.indent(scenes, "    ")
        scenes = f"def main():\n{body}\n\nif __name__ == '__main__':\n    main()\n"
    text = f"{head}\n{scenes}"
    if " as n\n" in text:
        text = re.sub(r"\bnnx\.", "n.", text)
    if form == 1:
        text = text.replace("    ", "\t")
    if form == 2:
        text = text.replace("\n", "\r\n")
    return text


def _scene(parts: dict[str, str], chance: random.Random, number: int) -> str:
    """A scene; its ``@`` are its number, but for those of decorators."""
    text = _chosen(chance.choice(_SCENES), parts, chance)
    return re.sub(r"(?<=[^\W\d])@", str(number), text).strip("\n") + "\n"


def _chosen(text: str, parts: dict[str, str], chance: random.Random) -> str:
    """A text with its parts put in, and one of each of its choices."""
    for _ in range(3):  # a part in a part in a scene
        text = re.sub(r"\b[A-Z]+\b", lambda m: parts.get(m[0], m[0]), text)
    while found := _CHOICE.search(text):
        one = chance.choice(found[1].split("¦"))
        text = text[: found.start()] + one + text[found.end() :]
    return text
