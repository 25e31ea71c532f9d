"""What the checker knows of a value without running anything.

Only what is plain is known: a module, a name of NNX, an instance of a class, what a
function of the project returns. Everything else is ``None``, and nothing is ever said
about it. What comes together from several places is joined (joining.py).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from .syntax import FunctionNode
from .touched import Part, Touched, parts, touched
from .turns import Reader, Turn

if TYPE_CHECKING:
    from .program import Unit

__all__ = [
    "ARRAY", "Arrays", "Bound", "ClassInfo", "Container", "Dotted", "FLAT_STATE",
    "Function",
    "Instance", "Keys", "Local", "Made", "NOTHING", "Partial", "Several",
    "Transformed", "UNCLEAR", "Value", "instance", "known",
]  # fmt: skip

#: What arrays of jax are instances of here.
ARRAY = "jax.Array"
#: What ``flat_state`` of a State gives an instance of: a dict, or a sequence.
FLAT_STATE = "nnx.State.flat_state"
#: Whether there is an array in something, ``""`` where that is not known.
Arrays = Literal["some", "none", ""]


@dataclass(frozen=True)
class Dotted:
    """A module, or what a dotted path names: ``jax.tree.map``, ``nnx.Param``.

    Attributes:
        path: NNX is always ``nnx``, by whichever path it was imported.
        compat: whether it was reached through ``nnx_compat``, which has it everywhere.
        star: whether ``import *`` brought it, so that using the name is what may fail.
    """

    path: str
    compat: bool = False
    star: bool = False


@dataclass(frozen=True)
class Local:
    """A module of the project that is checked."""

    unit: Unit


@dataclass(frozen=True)
class Instance:
    """An object of a class.

    Attributes:
        kind: the class: a path as ``nnx.Param``, or one of the project's own.
        attribute: whether it was read from an attribute of a Module, where the oldest
            releases give the array.
        compat: whether its class was reached through ``nnx_compat``.
        origin: of a state or a graphdef, the node that was split.
        written: of a state or an Optimizer, how the node that it came from is written.
        filtered: of a state, whether filters chose what is in it.
        gradient: whether it is what ``nnx.grad`` gave.
        streams: of a Rngs, the names of its streams, where they are plain.
        arrays: whether it holds an array, for what it was made with.
        mapped: whether it has keys for each layer: of a Module that a mapped function
            made of them, and of a Rngs.
        shared: whether ``merge`` put Variables from outside of a traced function in it.
    """

    kind: str | ClassInfo
    attribute: bool = False
    compat: bool = False
    origin: Value = None
    written: str = ""
    filtered: bool = False
    gradient: bool = False
    streams: frozenset[str] | None = None
    arrays: Arrays = ""
    mapped: bool = False
    shared: bool = False


@dataclass(frozen=True)
class Made:
    """What calling something outside of NNX gave: ``optax.masked(...)``.

    Attributes:
        path: of what was called.
        node: the call.
    """

    path: str
    node: ast.Call = field(compare=False)


@dataclass(eq=False)
class ClassInfo:
    """A class of the project.

    Attributes:
        name: as it is written.
        bases: its bases, as far as they are known.
        assigned: what is assigned to attributes of its instances; ``None`` where that
            is unclear.
        decorated: what its decorated methods stand for.
        methods: the functions that its body defines.
        own: every name that the class body defines.
        given: every attribute that its methods give its instances.
        making: the methods that run while an instance is made.
        made_with: the attributes that those assign.
        emptied: the attributes that ``__init__`` sets to a constant first: in which
            line, and whether it sets them to nothing else.
        told: the attributes that it says are data.
        named_like: what the names begin and end with of those that are put together.
        fields: the annotated names of the body, in order.
        made_of_fields: whether its constructor takes its fields (a dataclass).
        is_tree: whether its instances are pytrees of jax, whose fields are leaves.
        static: the fields that are no leaves.
        one_of: of a class that stands for several, those.
        pytree: False when the class says ``pytree=False``.
        asks_for_pytree: whether it says ``experimental_pytree``.
        above: what ``super()`` is an instance of in its methods.
        turn: what is being read.
        is_searched: whether what its methods give has been looked for.
        users: what has asked which bases it has, and what its definition says.
        askers: what has asked for each of its members; for all of them, below ``""``.
    """

    name: str
    bases: tuple[Value, ...] = ()
    assigned: dict[str, Value] = field(default_factory=dict)
    decorated: dict[str, Value] = field(default_factory=dict)
    methods: dict[str, Function] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)
    making: set[str] = field(default_factory=set)
    made_with: set[str] = field(default_factory=set)
    emptied: dict[str, tuple[int, bool]] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    named_like: set[tuple[str, str]] = field(default_factory=set)
    fields: list[str] = field(default_factory=list)
    made_of_fields: bool = False
    is_tree: bool = False
    static: set[str] = field(default_factory=set)
    one_of: tuple[ClassInfo, ...] = ()
    pytree: bool = True
    asks_for_pytree: bool = False
    above: ClassInfo | None = None
    is_searched: bool = False
    turn: Turn = field(default_factory=Turn)
    users: set[Reader] = field(default_factory=set)
    askers: dict[str, set[Reader]] = field(default_factory=dict)
    _line: _Line | None = field(default=None, init=False)
    _below: set[ClassInfo] = field(default_factory=set, init=False)
    _heirs: dict[ClassInfo, None] = field(default_factory=dict, init=False)
    _heir_users: set[Reader] = field(default_factory=set, init=False)

    def derive(self, bases: tuple[Value, ...]) -> set[Reader]:
        """Note which bases it has; what has to be read again for that."""
        if bases == self.bases:
            return set()
        self.bases = bases
        for one in self._below:
            one._line = None
        return self.concerned()

    def concerned(self) -> set[Reader]:
        """What has asked for it, or for a class that derives from it."""
        return self.users.union(*(one.users for one in self._below))

    def said(self) -> tuple[int, ...]:
        """How much its definition has said so far, beside the values of members."""
        return (
            self.made_of_fields + self.is_tree, len(self.own), len(self.given),
            len(self.made_with), len(self.told), len(self.named_like),
        )  # fmt: skip

    def inherit(self, heir: ClassInfo) -> set[Reader]:
        """Note a class that derives from it; what has to be read again for that."""
        if heir in self._heirs:
            return set()
        self._heirs[heir] = None
        return self._heir_users

    @property
    def heirs(self) -> tuple[ClassInfo, ...]:
        """The classes of the project that derive from it."""
        self.turn.note(self._heir_users)
        return tuple(self._heirs)

    @property
    def attributes(self) -> dict[str, Value]:
        """Everything that is assigned to attributes of its instances."""
        self.turn.note(self.asking(""))
        return self.assigned

    def asking(self, name: str) -> set[Reader]:
        """What has asked for a member, or for any (``""``)."""
        return self.askers.setdefault(name, set())

    def changed(self, name: str) -> set[Reader]:
        """What has to be read again when a member changes."""
        return self.asking(name) | self.asking("")

    def native(self) -> str:
        """The path of the class of NNX it derives from, ``""`` when that is unclear."""
        return next((p for one in self.ancestors() for p in _native(one)), "")

    def complete(self) -> bool:
        """Whether all of its bases are known, so that it has no other member."""
        return all(
            isinstance(base, ClassInfo)
            or (isinstance(base, Dotted) and _adds_nothing(base.path))
            for one in self.ancestors()
            if isinstance(one, ClassInfo)
            for base in one.bases
        )

    def ancestors(self) -> tuple[Value, ...]:
        """It and its bases, theirs too, each once: near ones first."""
        return self._lineage().all

    def families(self) -> tuple[ClassInfo, ...]:
        """The classes of the project among them."""
        return self._lineage().own

    def _lineage(self) -> _Line:
        self.turn.note(self.users)
        if self._line is None:
            line = tuple(self._ancestors())
            self._line = _Line(line, tuple(o for o in line if isinstance(o, ClassInfo)))
            for one in self._line.own:
                one._below.add(self)
        return self._line

    def _ancestors(self) -> Iterator[Value]:
        seen, waiting = set[int](), list[Value]([self])
        while waiting:
            one = waiting.pop(0)
            if isinstance(one, ClassInfo):
                if id(one) in seen:
                    continue
                seen.add(id(one))
                waiting[:0] = one.bases
            yield one

    def attribute(self, name: str) -> tuple[bool, Value]:
        """Whether it, or a base in the project, has this attribute; and what it is."""
        for one in self.families():
            self.turn.note(one.asking(name))
            if (found := known(one.assigned.get(name))) is not None:
                return True, found
            if name in one.methods:
                return True, one.methods[name]
            if name in one.own or name in one.assigned or name in one.given:
                return True, None
        return False, None

    def method(self, name: str) -> Function | None:
        """The function that a method is, where a class of the project defines it."""
        found = (one.methods[name] for one in self.families() if name in one.methods)
        return next(found, None)

    def init_fields(self) -> list[str]:
        """The fields that a constructor made of fields takes, in order."""
        found = dict[str, None]()
        for one in reversed(list(self.families())):
            found.update(dict.fromkeys(one.fields))
        return list(found)


class _Line(NamedTuple):
    """A class and its bases, and those of them that are of the project."""

    all: tuple[Value, ...]
    own: tuple[ClassInfo, ...]


def _native(base: Value) -> Iterator[str]:
    if isinstance(base, Dotted) and base.path.startswith("nnx."):
        yield base.path


def _adds_nothing(path: str) -> bool:
    return path.startswith("nnx.") or path in _HARMLESS


#: Bases that add no method that NNX has.
_HARMLESS = (
    "object", "typing.Generic", "abc.ABC", "typing.Protocol", "typing.NamedTuple",
)  # fmt: skip


@dataclass(eq=False)
class Function:
    """A function of the project, and what is known of what goes in and comes out.

    Attributes:
        node: its definition.
        unit: the file that defines it.
        annotated: what its annotation says it returns.
        returned: what its ``return`` statements give.
        passed: what calls in the project give to its parameters.
        owner: of a method, its class.
        yields: whether a call gives something to loop over.
        traced: the transform that runs it, so that what is outside is of another
            trace; ``jit`` before others.
        turn: what is being read.
        users: what has asked what it gives.
    """

    node: FunctionNode | ast.Lambda
    unit: Unit | None = None
    annotated: Value = None
    returned: Value = None
    passed: dict[str, Value] = field(default_factory=dict)
    owner: ClassInfo | None = None
    yields: bool = False
    traced: str = ""
    turn: Turn = field(default_factory=Turn)
    users: set[Reader] = field(default_factory=set)
    _touched: dict[str, Touched] = field(default_factory=dict, init=False)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The nodes in it that can do something with an object."""
        return parts(self.node)

    def touches(self, name: str) -> Touched:
        """What it does with the object that has this name in it."""
        found = self._touched.get(name)
        if found is None:
            found = self._touched[name] = touched(self.parts, name)
        return found

    @property
    def returns(self) -> Value:
        """What a call gives."""
        self.turn.note(self.users)
        if self.yields or isinstance(self.node, ast.AsyncFunctionDef):
            return None
        return known(self.returned) or self.annotated


@dataclass(frozen=True)
class Bound:
    """A method of an instance."""

    function: Function
    owner: Instance


@dataclass(frozen=True)
class Transformed:
    """What a transform gives for a function: ``nnx.jit(f)``, ``nnx.grad(f)``.

    Attributes:
        path: of the transform.
        inner: the function.
        node: the call, or the decorator.
        compat: whether the transform was reached through ``nnx_compat``.
        split: whether ``nnx.split_rngs`` is around it.
    """

    path: str
    inner: Value
    node: ast.expr = field(compare=False)
    compat: bool = False
    split: bool = False


@dataclass(frozen=True)
class Partial:
    """``functools.partial(f, ...)``, or a transform without its function."""

    inner: Value
    arguments: tuple[Value, ...]
    keywords: tuple[tuple[str, Value], ...]
    node: ast.expr = field(compare=False)


Container = Literal["list", "dict", "set", "tuple", ""]


@dataclass(frozen=True)
class Several:
    """A tuple, or a list, of known length or of one kind throughout.

    Attributes:
        items: those that are listed.
        rest: what all others are.
        container: what it is in Python, ``""`` where that is not known.
        held: what came into a list, one by one, whatever ``rest`` makes of it.
        passed: whether a parameter brought it, so that it may as well be empty.
    """

    items: tuple[Value, ...]
    rest: Value = None
    container: Container = ""
    held: tuple[Value, ...] = ()
    passed: bool = False

    def item(self, index: int) -> Value:
        """What is at an index: the listed items first, then the rest."""
        return self.items[index] if index < len(self.items) else self.rest

    def all(self) -> Iterator[Value]:
        """Everything that is known of its items."""
        yield from self.items
        yield self.rest

    def each(self) -> tuple[Value, ...]:
        """What is in it, each kind for itself where that is known."""
        rest = () if self.rest is None else (self.rest,)
        return self.held or (*self.items, *rest)


@dataclass(frozen=True)
class Keys:
    """A dict with keys that are written out.

    Attributes:
        items: what is under each key.
        rest: what is under all others.
        plain: whether it is a dict of Python's, and no container of NNX.
        passed: whether a parameter brought it, so that it may as well be empty.
    """

    items: tuple[tuple[str, Value], ...] = ()
    rest: Value = None
    plain: bool = True
    passed: bool = False

    def get(self, key: str) -> Value:
        """What is under a key."""
        return dict(self.items).get(key, self.rest)

    def all(self) -> Iterator[Value]:
        """Everything that is known of its values."""
        yield from (value for _, value in self.items)
        yield self.rest


@dataclass(frozen=True)
class _Unclear:
    """Different things came together: nothing is said of it, and nothing is added."""


@dataclass(frozen=True)
class _Nothing:
    """The constant ``None``: what comes together with it may be something else."""


UNCLEAR = _Unclear()
NOTHING = _Nothing()

Value = (
    Dotted | Local | Instance | Made | ClassInfo | Function | Bound | Transformed
    | Partial | Several | Keys | _Unclear | _Nothing | None
)  # fmt: skip


def known(value: Value) -> Value:
    """The value, ``None`` where nothing can be said of it."""
    return None if isinstance(value, (_Unclear, _Nothing)) else value


def instance(called: Value) -> Instance | None:
    """What calling a class gives, ``None`` for what is not certainly a class."""
    if isinstance(called, ClassInfo):
        return Instance(called)
    if not isinstance(called, Dotted) or not called.path.startswith("nnx."):
        return None
    path = called.path.removeprefix("nnx.metrics.").removeprefix("nnx.")
    name = called.path.rpartition(".")[2]
    if name[:1].isupper() and "." not in path:
        return Instance(called.path, compat=called.compat)
    return None
