"""What the reader shows to the rules: the places where code meets NNX."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

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
    "Stored",
    "Treated",
]


@dataclass(frozen=True)
class Import:
    """A module of NNX is imported, or reached by its dotted path.

    Attributes:
        path: as in ``flax.nnx.graph``.
        by_import: whether by an import statement, and not as an attribute.
    """

    node: ast.AST
    path: str
    by_import: bool = True


@dataclass(frozen=True)
class Name:
    """A name of NNX is asked for: ``nnx.List``, ``from flax.nnx import List``.

    Attributes:
        by_import: whether an import statement asks for it.
        compat: whether it is asked of nnx_compat's namespace.
    """

    node: ast.AST
    path: str
    by_import: bool = False
    compat: bool = False


@dataclass(frozen=True)
class Call:
    """Something of NNX, or a method of one of its objects, is called.

    Attributes:
        path: what is called, ``nnx.merge`` or ``nnx.Optimizer.update``.
        arguments: what is known of the positional arguments.
        keywords: the keywords written out.
        open: whether there are ``*`` or ``**`` arguments, so that more may be given.
        owner: the object whose method is called.
        compat: whether it is reached through nnx_compat.
    """

    node: ast.Call
    path: str
    arguments: tuple[Value, ...]
    keywords: frozenset[str]
    open: bool
    owner: Value = None
    compat: bool = False


@dataclass(frozen=True)
class Attribute:
    """An attribute of an object of NNX is read, or written (``stored``).

    Attributes:
        statement: the assignment that writes it, when it writes nothing else.
        called: the call of it, when it is a method that is called at once.
    """

    node: ast.Attribute
    owner: Instance
    stored: bool = False
    statement: ast.stmt | None = None
    called: ast.Call | None = None


@dataclass(frozen=True)
class Item:
    """``owner[index]`` is read, or written, or changed in place (``operator``)."""

    node: ast.AST
    owner: Instance
    index: ast.expr | None
    stored: bool = False
    operator: str = ""
    value: ast.expr | None = None
    statement: ast.stmt | None = None


@dataclass(frozen=True)
class Stored:
    """A method assigns to ``self``: which class, which attribute, what.

    Attributes:
        value: what is assigned: the list or dict, or another expression.
        holds_modules: whether that is a plain container with a Module in it.
        appended: whether the Module comes later, by ``append``.
    """

    node: ast.AST
    owner: ClassInfo
    name: str
    value: ast.expr
    holds_modules: bool = False
    appended: bool = False


@dataclass(frozen=True)
class Class:
    """A class is defined, with arguments beside its bases."""

    node: ast.ClassDef
    owner: ClassInfo
    keywords: frozenset[str]


@dataclass(frozen=True)
class Treated:
    """The body of a function has been read: what was done in it, in order.

    Attributes:
        steps: ``("split", name of the state, written node)``, ``("change", written
            node)``, ``("use", name of the state)``, each with its place.
    """

    node: ast.AST
    steps: list[tuple[str, str, str, ast.AST]] = field(default_factory=list)


@dataclass(frozen=True)
class Refusal:
    """The module raises while it is imported.

    Attributes:
        error: the name of what it raises.
        mask: the releases on which it comes there, as bits.
    """

    node: ast.Raise
    error: str
    mask: int


Event = Refusal | Import | Name | Call | Attribute | Item | Stored | Class | Treated
