"""What the checker knows of a value without running anything.

Only what is plain is known: a module, a name of NNX, an instance of a class that is
called by its name. Everything else is ``None``, and nothing is ever said about it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .syntax import FunctionNode

__all__ = [
    "ClassInfo",
    "Dotted",
    "Function",
    "Instance",
    "Several",
    "Value",
    "element",
    "instance",
]


@dataclass(frozen=True)
class Dotted:
    """A module, or what a dotted path names: ``jax.tree.map``, ``nnx.Param``.

    Attributes:
        path: NNX is always ``nnx``, by whichever path it was imported.
        compat: whether it was reached through ``nnx_compat``, which has it everywhere.
    """

    path: str
    compat: bool = False


@dataclass(frozen=True)
class Instance:
    """An object of a class.

    Attributes:
        kind: the class: a path as ``nnx.Param``, or one of the checked file's own.
        attribute: whether it was read from an attribute of a Module, where the oldest
            releases give the array.
        compat: whether its class was reached through ``nnx_compat``.
        origin: of a state or a graphdef, the node that was split.
        written: of a state or an Optimizer, how the node that it came from is written.
        filtered: of a state, whether filters chose what is in it.
    """

    kind: str | ClassInfo
    attribute: bool = False
    compat: bool = False
    origin: Value = None
    written: str = ""
    filtered: bool = False


@dataclass(eq=False)
class ClassInfo:
    """A class of the checked file.

    Attributes:
        name: as it is written.
        bases: its bases, as far as they are known.
        attributes: what methods assign to ``self``; ``None`` where that is unclear.
        own: every name that the class body defines.
        pytree: False when the class says ``pytree=False``.
    """

    name: str
    bases: tuple[Value, ...] = ()
    attributes: dict[str, Value] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    pytree: bool = True

    def native(self) -> str:
        """The path of the class of NNX it derives from, ``""`` when that is unclear."""
        found = ""
        for base in self.bases:
            if isinstance(base, Dotted) and base.path.startswith("nnx."):
                found = found or base.path
            elif isinstance(base, ClassInfo) and base.native():
                found = found or base.native()
            elif not (isinstance(base, Dotted) and base.path in _HARMLESS):
                return ""
        return found

    def attribute(self, name: str) -> tuple[bool, Value]:
        """Whether it, or a base in the file, has this attribute; and what it is."""
        if name in self.attributes:
            return True, self.attributes[name]
        if name in self.own:
            return True, None
        for base in self.bases:
            if isinstance(base, ClassInfo):
                has, value = base.attribute(name)
                if has:
                    return True, value
        return False, None


#: Bases that add no method that NNX has.
_HARMLESS = ("object", "typing.Generic", "abc.ABC", "typing.Protocol")


@dataclass(eq=False)
class Function:
    """A function of the checked file, and what its annotation says it returns."""

    node: FunctionNode
    returns: Value = None


@dataclass(frozen=True)
class Several:
    """A tuple, or a list, of known length or of one kind throughout."""

    items: tuple[Value, ...]
    rest: Value = None

    def item(self, index: int) -> Value:
        """What is at an index: the listed items first, then the rest."""
        return self.items[index] if index < len(self.items) else self.rest


Value = Dotted | Instance | ClassInfo | Function | Several | None


def instance(called: Value) -> Instance | None:
    """What calling a class gives, ``None`` for what is not certainly a class."""
    if isinstance(called, ClassInfo):
        return Instance(called)
    if not isinstance(called, Dotted) or not called.path.startswith("nnx."):
        return None
    name = called.path.rpartition(".")[2]
    if name[:1].isupper() and called.path.count(".") == 1:
        return Instance(called.path, compat=called.compat)
    return None


def element(value: Value) -> Value:
    """What a loop over a value yields, when that is one kind throughout."""
    return value.rest if isinstance(value, Several) and not value.items else None
