"""What the reader shows to the rules: the places where code meets NNX."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from .syntax import FunctionNode, Located
from .values import ClassInfo, Instance, Value

__all__ = [
    "Attribute",
    "Call",
    "Class",
    "Event",
    "Import",
    "Item",
    "Name",
    "Refusal",
    "Step",
    "Stored",
    "Treated",
]


@dataclass(frozen=True)
class Event:
    """Something that a rule may have to say something about.

    Attributes:
        node: where it is.
        compat: whether NNX is reached through nnx_compat there.
    """

    node: Located
    compat: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class _Reached(Event):
    """Something is reached by a dotted path.

    Attributes:
        path: as in ``flax.nnx.graph``, or ``nnx.List``.
        by_import: whether by an import statement, and not as an attribute.
    """

    path: str
    by_import: bool = False

    @property
    def error(self) -> str:
        """The exception that it is where it is not there."""
        return "ImportError" if self.by_import else "AttributeError"


@dataclass(frozen=True)
class Import(_Reached):
    """A module of NNX is imported, or reached by its dotted path."""


@dataclass(frozen=True)
class Name(_Reached):
    """A name of NNX is used: ``nnx.List``, ``from flax.nnx import List``."""


@dataclass(frozen=True)
class Call(Event):
    """Something of NNX, or a method of one of its objects, is called.

    Attributes:
        path: what is called, ``nnx.merge`` or ``nnx.Optimizer.update``.
        arguments: what is known of the positional arguments.
        keywords: the keywords written out.
        open: whether there are ``*`` or ``**`` arguments, so that more may be given.
        owner: the object whose method is called.
    """

    node: ast.Call
    path: str
    arguments: tuple[Value, ...]
    keywords: frozenset[str]
    open: bool
    owner: Value = None

    def given(self, *parameters: str) -> int:
        """How many arguments are given, of which keywords are among these."""
        return len(self.arguments) + len(self.keywords.intersection(parameters))


@dataclass(frozen=True)
class Attribute(Event):
    """An attribute of an object of NNX is read, or written (``stored``).

    Attributes:
        owner: the object.
        statement: the assignment that writes it, when it writes nothing else.
        called: the call of it, when it is a method that is called at once.
    """

    node: ast.Attribute
    owner: Instance
    stored: bool = False
    statement: ast.Assign | ast.AugAssign | None = None
    called: ast.Call | None = None


@dataclass(frozen=True)
class Item(Event):
    """``owner[index]`` is read, or written, or changed in place (``operator``).

    Attributes:
        owner: the object.
        index: ``None`` where the object itself is changed in place, ``owner += x``.
        operator: ``"Add"`` and so on, the class of it in ``ast``.
        value: what is assigned.
        statement: the assignment that writes it, when it writes nothing else.
    """

    node: ast.expr | ast.AugAssign
    owner: Instance
    index: ast.expr | None
    stored: bool = False
    operator: str = ""
    value: ast.expr | None = None
    statement: ast.Assign | ast.AugAssign | None = None


@dataclass(frozen=True)
class Stored(Event):
    """A method assigns to ``self``: which class, which attribute, what.

    Attributes:
        owner: the class.
        name: of the attribute.
        value: what is assigned: the list or dict, or another expression.
        holds_modules: whether that is a plain container with a Module in it.
        appended: whether the Module comes later, by ``append``.
    """

    owner: ClassInfo
    name: str
    value: ast.expr
    holds_modules: bool = False
    appended: bool = False


@dataclass(frozen=True)
class Class(Event):
    """A class is defined, with arguments beside its bases."""

    owner: ClassInfo
    keywords: frozenset[str]


class Step(NamedTuple):
    """Something that a function does with a state, or with the model it came from.

    Attributes:
        kind: a state is ``split`` from a model, a name is bound to something else
            (``bind``), a model is changed in place (``change``), a state is used.
        name: of the state; for ``change``, of the variable that leads to the model.
        written: for ``split``, how the model is written.
        node: where it is.
    """

    kind: Literal["split", "bind", "change", "use"]
    name: str
    written: str
    node: ast.expr


@dataclass(frozen=True)
class Treated(Event):
    """The body of a function has been read: what was done in it, in order."""

    node: FunctionNode
    steps: list[Step] = field(default_factory=list)


@dataclass(frozen=True)
class Refusal(Event):
    """The module raises while it is imported.

    Attributes:
        error: the name of what it raises.
        mask: the releases on which it comes there, as bits.
    """

    node: ast.Raise
    error: str
    mask: int
