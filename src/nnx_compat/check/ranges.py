"""Ranges of versions as projects write them, PEP 440, Poetry's, conda's; their union.

A range is a set of releases, as bits, and how it is written. What is written for
several environments, by markers or as alternatives, is the union: the project is
installed in each of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from . import releases

__all__ = [
    "Range",
    "either",
    "of_conda",
    "of_poetry",
    "of_requirements",
    "of_specifier",
]


@dataclass(frozen=True)
class Range:
    """A range of releases of Flax.

    Attributes:
        specifier: as it is written, ``""`` for any version.
        mask: the releases in it, as bits.
    """

    specifier: str
    mask: int


def of_specifier(specifier: SpecifierSet) -> Range:
    """The releases that a PEP 440 specifier lets in."""
    mask = releases.which(lambda v: specifier.contains(v, prereleases=True))
    return Range(str(specifier), mask)


def either(ranges: Iterable[Range]) -> Range | None:
    """The union of some ranges, ``None`` when there are none."""
    listed = list(dict.fromkeys(ranges))
    mask = 0
    for one in listed:
        mask |= one.mask
    if any(not one.specifier for one in listed):
        return Range("", mask)
    spelled = " or ".join(one.specifier for one in listed)
    return Range(spelled, mask) if listed else None


def of_requirements(lines: Iterable[str]) -> Range | None:
    """What requirements ask of Flax, ``None`` when none is about it.

    Lines with the same marker hold together, and with those that have none; lines with
    different markers are for different environments.

    Example:
        >>> from nnx_compat.check import ranges
        >>> ranges.of_requirements(["jax", "flax>=0.8", "flax<0.9"]).specifier
        '<0.9,>=0.8'
    """
    by_marker: dict[str, SpecifierSet] = {}
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if re.sub(r"[-_.]+", "-", requirement.name).lower() == "flax":
            marker = str(requirement.marker or "")
            before = by_marker.get(marker, SpecifierSet())
            by_marker[marker] = before & requirement.specifier
    everywhere = by_marker.pop("", None)
    if not by_marker:
        return None if everywhere is None else of_specifier(everywhere)
    common = everywhere if everywhere is not None else SpecifierSet()
    return either(of_specifier(one & common) for one in by_marker.values())


# -- Poetry -------------------------------------------------------------------------


def of_poetry(version: str) -> Range | None:
    """A constraint of Poetry's: ``^0.10``, ``~1.2.3``, ``>=0.8 || 1.*``.

    Example:
        >>> from nnx_compat.check import ranges
        >>> ranges.of_poetry("^0.1.2").specifier
        '<0.2,>=0.1.2'
        >>> ranges.of_poetry("^0").specifier
        '<1,>=0'
    """
    found = []
    for alternative in re.split(r"\s*\|\|?\s*", version.strip()):
        parts = re.split(r"\s*,\s*|\s+(?=[<>=!~^])", alternative.strip())
        try:
            whole = SpecifierSet(",".join(filter(None, map(_poetry_part, parts))))
        except InvalidSpecifier:
            continue
        found.append(of_specifier(whole))
    return either(found)


def _poetry_part(part: str) -> str:
    text = part.replace(" ", "")
    if text in ("*", ""):
        return ""
    if text[0] == "^" or (text[0] == "~" and text[1:2] != "="):
        return f">={text[1:]},<{_next(text)}"
    return text if text[0] in "<>=!~" else f"=={text}"


def _next(text: str) -> str:
    """The first version that ``^`` or ``~`` does not let in."""
    numbers = [int(n) for n in re.findall(r"\d+", text)[:3]]
    if text[0] == "~":
        at = min(len(numbers), 2) - 1
    else:
        # the first number that is not zero, or the last of those that are given
        nonzero = (i for i, number in enumerate(numbers) if number)
        at = next(nonzero, len(numbers) - 1)
    return ".".join(map(str, [*numbers[:at], numbers[at] + 1]))


# -- conda --------------------------------------------------------------------------


def of_conda(text: str) -> Range | None:
    """What stands behind ``flax`` in conda's environments: ``=0.10``, ``>=0.8,<0.9``.

    Example:
        >>> from nnx_compat.check import ranges
        >>> ranges.of_conda("=0.10").specifier
        '==0.10.*'
    """
    found = []
    for alternative in text.strip().split("|"):
        parts = [p.strip() for p in alternative.strip().split(",") if p.strip()]
        try:
            whole = SpecifierSet(",".join(map(_conda_part, parts)))
        except InvalidSpecifier:
            continue
        found.append(of_specifier(whole))
    return either(found)


def _conda_part(part: str) -> str:
    part = part.split()[0] if part[0] not in "<>!~" else part.replace(" ", "")
    if part.startswith("==") or part[0] in "<>!~":
        return part
    version = part.lstrip("=").split("=")[0]
    return f"=={version}" if version.endswith("*") else f"=={version}.*"
