"""What the reader shows to the rules: the places where code meets NNX."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from .syntax import FunctionNode, Located
from .values import Arrays, ClassInfo, Instance, Transformed, Value

__all__ = [
    "Asked",
    "Attribute",
    "Call",
    "Captured",
    "Class",
    "Event",
    "Flattened",
    "Import",
    "Item",
    "Kind",
    "Mapped",
    "Name",
    "OfTransformed",
    "Operated",
    "Outside",
    "Refusal",
    "Step",
    "Stored",
    "Subscripted",
    "Treated",
    "UNCOUNTED",
    "Unknown",
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
        by_name: whether by a name that ``import *`` brought.
    """

    path: str
    by_import: bool = False
    by_name: bool = False

    @property
    def error(self) -> str:
        """The exception that it is where it is not there."""
        if self.by_name:
            return "NameError"
        return "ImportError" if self.by_import else "AttributeError"


@dataclass(frozen=True)
class Import(_Reached):
    """A module of NNX is imported, or reached by its dotted path."""


@dataclass(frozen=True)
class Name(_Reached):
    """A name of NNX is used: ``nnx.List``, ``from flax.nnx import List``."""


@dataclass(frozen=True)
class Outside(_Reached):
    """A name of flax outside of NNX is used: ``flax.typing.Dtype``."""


@dataclass(frozen=True)
class Call(Event):
    """Something of NNX, or a method of one of its objects, is called.

    Attributes:
        path: what is called, ``nnx.merge`` or ``nnx.Optimizer.update``.
        arguments: what is known of the positional arguments.
        keywords: the keywords written out.
        open: whether there are ``*`` or ``**`` arguments, so that more may be given.
        owner: the object whose method is called, or that is called itself.
        named: what is known of the keyword arguments.
        meshless: whether nothing in the program speaks of a mesh.
    """

    node: ast.Call
    path: str
    arguments: tuple[Value, ...]
    keywords: frozenset[str]
    open: bool
    owner: Value = None
    named: Mapping[str, Value] = field(default_factory=dict)
    meshless: bool = False

    def argument(self, index: int, name: str) -> Value:
        """What is known of an argument, by its place or its name."""
        if index < len(self.arguments):
            return self.arguments[index]
        return self.named.get(name)

    def given(self, *parameters: str) -> int:
        """How many arguments are given, of which keywords are among these."""
        return len(self.arguments) + len(self.keywords.intersection(parameters))


@dataclass(frozen=True)
class Unknown(Event):
    """A method of an object that nothing is known of is called with gradients.

    Attributes:
        method: its name.
        position: that of the argument that ``nnx.grad`` gave.
    """

    node: ast.Call
    method: str
    position: int


@dataclass(frozen=True)
class Flattened(Event):
    """An object is taken apart: by ``split``, by an Optimizer, by a transform.

    Attributes:
        value: what is known of it.
        path: of what takes it apart.
    """

    node: ast.expr
    value: Value
    path: str


@dataclass(frozen=True)
class Mapped(Event):
    """A function is mapped over an object: ``nnx.scan(f, in_axes=...)(model, x)``.

    Attributes:
        value: what is known of the object.
        path: of the transform.
        axis: how the axes of the object are written, ``None`` where they are not.
        split: whether ``nnx.split_rngs`` is around it.
        gives: what the function gives.
    """

    node: ast.expr
    value: Value
    path: str
    axis: ast.expr | None
    split: bool
    gives: Value


@dataclass(frozen=True)
class Attribute(Event):
    """An attribute of an object of NNX is read, or written (``stored``).

    Attributes:
        owner: the object.
        statement: the assignment that writes it, when it writes nothing else.
        called: the call of it, when it is a method that is called at once.
        sure: whether it is certainly not an attribute that the class sets itself.
    """

    node: ast.Attribute
    owner: Instance
    stored: bool = False
    statement: ast.Assign | ast.AugAssign | None = None
    called: ast.Call | None = None
    sure: bool = True


@dataclass(frozen=True)
class OfTransformed(Event):
    """An attribute of what a transform gave is read: ``nnx.jit(f).lower``."""

    node: ast.Attribute
    owner: Transformed


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
class Captured(Event):
    """A traced function changes an object from outside of it, by running it.

    Attributes:
        owner: the object.
        sure: whether running it certainly changes it, whatever the program says of the
            mode in which its layers run.
        jitted: whether it comes from outside of a ``jit``.
    """

    node: ast.Call
    owner: Instance
    sure: bool
    jitted: bool


@dataclass(frozen=True)
class Operated(Event):
    """A Variable is used as its array: ``x @ w``, ``-w``, ``jnp.sum(w)``.

    Attributes:
        owner: the Variable.
    """

    node: ast.expr
    owner: Instance


@dataclass(frozen=True)
class Subscripted(Event):
    """A class of NNX is given types in brackets: ``nnx.Optimizer[Model]``.

    Attributes:
        path: of the class.
    """

    path: str


@dataclass(frozen=True)
class Stored(Event):
    """A method assigns to ``self``: which class, which attribute, what.

    Attributes:
        owner: the class.
        name: of the attribute.
        value: what is assigned: the list or dict, or another expression.
        holds_modules: whether that is a plain container with a Module in it.
        appended: whether the Module comes later, by ``append``.
        known: what is known of what is assigned.
        in_init: whether it is assigned while the instance is made.
        arrays: of a plain container, whether there is an array in it.
        emptied: whether it comes in the place of None, or of another constant.
    """

    owner: ClassInfo
    name: str
    value: ast.expr
    holds_modules: bool = False
    appended: bool = False
    known: Value = None
    in_init: bool = True
    arrays: Arrays = ""
    emptied: bool = False


@dataclass(frozen=True)
class Class(Event):
    """A class is defined.

    Attributes:
        owner: the class.
        keywords: the arguments beside its bases.
        own_init: whether it has an ``__init__`` that does not call that of its base.
        assigned: the attributes that it assigns.
        nones: those of them that are None.
        handed_on: whether the arguments are those that ``__init_subclass__`` hands to
            that of its base.
    """

    owner: ClassInfo
    keywords: frozenset[str]
    own_init: bool = False
    assigned: frozenset[str] = frozenset()
    nones: frozenset[str] = frozenset()
    handed_on: bool = False


@dataclass(frozen=True)
class Asked(Event):
    """It is asked which class something is of: ``issubclass(kind, nnx.Param)``.

    Attributes:
        path: of the class of NNX that is asked about, or of an instance of it.
        classes: the paths of the classes that it is held against.
    """

    node: ast.Call
    path: str
    classes: tuple[str, ...]


Kind = Literal["split", "merge", "bind", "change", "run", "use"]


class Step(NamedTuple):
    """Something that a function does with a state, or with the model it came from.

    Attributes:
        kind: a state is ``split`` from a model, a model is put together by ``merge``
            (``written`` is the state), a name is bound to something else
            (``bind``), a model is changed in place (``change``) or by being called
            (``run``), a state is used.
        name: of the state; for ``change``, of the variable that leads to the model.
        written: for ``split``, how the model is written.
        node: where it is.
    """

    kind: Kind
    name: str
    written: str
    node: ast.expr


@dataclass(frozen=True)
class Treated(Event):
    """A body has been read, of a function or the module: what it did, in order."""

    node: FunctionNode | ast.Module  # type: ignore[assignment]
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


#: Events that are about more than one place where code meets NNX.
UNCOUNTED = (
    Asked, Captured, Class, Flattened, Mapped, Operated, Outside, Refusal, Treated,
    Unknown,
)  # fmt: skip
