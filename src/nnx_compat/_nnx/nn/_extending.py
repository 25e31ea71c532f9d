"""Layers that take what the layer they derive from takes, and more."""

from __future__ import annotations

import inspect
import re
from typing import Any, TypeVar

L = TypeVar("L", bound=type)

#: What a docstring says of an argument: a line and those that are indented below it.
_ENTRY = re.compile(r"^ {4}(\w+): .*(?:\n {8}.*)*", re.MULTILINE)
#: A line of arguments to be copied from the base class: ``{dtype} {rngs}``.
_COPIED = re.compile(r"^ {4}\{\w+\}(?: \{\w+\})*$", re.MULTILINE)


def extending(layer: L) -> L:
    """Write out what a layer leaves to the class that it derives from.

    In the docstring ``{dtype} {rngs}`` becomes what the base class says of these
    arguments, and ``{usual}`` all that it says of others. In the signature of the
    constructor ``**usual`` becomes the parameters of the one in the base class, all in
    the order of the docstring.
    """
    base: Any = layer.__base__
    document, usual = inspect.cleandoc(layer.__doc__ or ""), _entries(base.__doc__)
    said = {*_entries(document), *re.findall(r"\{(\w+)\}", document)}

    def written_out(match: re.Match[str]) -> str:
        names: list[str] = re.findall(r"\w+", match[0])
        if names == ["usual"]:
            names = [name for name in usual if name not in said]
        return "\n".join(usual[name] for name in names)

    layer.__doc__ = _COPIED.sub(written_out, document)
    constructor: Any = vars(layer).get("__init__")
    if constructor is not None:
        order = {name: place for place, name in enumerate(_entries(layer.__doc__))}
        signature = inspect.signature(constructor)
        parameters = {**inspect.signature(base.__init__).parameters}
        parameters |= signature.parameters
        del parameters["usual"]
        shown = sorted(
            parameters.values(), key=lambda p: (p.kind, order.get(p.name, -1))
        )
        constructor.__signature__ = signature.replace(parameters=shown)
    return layer


def _entries(document: str | None) -> dict[str, str]:
    text = inspect.cleandoc(document or "")
    return {match[1]: match[0] for match in _ENTRY.finditer(text)}
