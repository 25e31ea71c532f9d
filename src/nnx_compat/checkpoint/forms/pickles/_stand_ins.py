"""What stands for a class, a function or an object that a pickle names: inert data.

Nothing here has a ``__reduce__``, a ``__setstate__``, a hash or a comparison of its
own, so no instruction of a file can reach code through one of them.
"""

from __future__ import annotations

__all__ = ["Global", "Made", "Refusal", "class_name"]


class Refusal(Exception):
    """A pickle asks for this, and it is never done."""


class Global:
    """A class or a function of another module, by its name; it is never looked up."""

    __slots__ = ("module", "name")

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    @property
    def path(self) -> str:
        """As ``os.system``, in printable characters, 80 at most."""
        return ascii(f"{self.module}.{self.name}")[1:81].rstrip("'")


class Made:
    """What a call in the file would have made; the call is recorded and never run.

    Args:
        function: what would have been called: a Global, a class made in the file, ...
        arguments: its positional arguments.
        keywords: its keyword arguments.
        new: whether it is an object of a class, and not what a function returns.
    """

    __slots__ = ("arguments", "function", "items", "keywords", "new", "pairs", "state")

    def __init__(
        self,
        function: object,
        arguments: tuple[object, ...] = (),
        keywords: dict[object, object] | None = None,
        *,
        new: bool = False,
    ) -> None:
        self.function = function
        self.arguments = arguments
        self.keywords = keywords or {}
        self.new = new
        self.state: object = None
        self.items: list[object] = []
        self.pairs: list[tuple[object, object]] = []

    @property
    def attributes(self) -> dict[object, object]:
        """The attributes that the file sets, those in slots included."""
        state = self.state
        if isinstance(state, dict):
            return state
        if isinstance(state, tuple) and len(state) == 2:
            found: dict[object, object] = {}
            for part in state:
                if isinstance(part, dict):
                    found.update(part)
            return found
        return {}


# where a class that the file brings along has its name
_FACTORIES = {
    "_make_skeleton_class": 1,  # of cloudpickle: (metaclass, name, bases, ...)
    "_make_skeleton_enum": 1,
    "_create_type": 1,  # of dill: (metaclass, name, bases, namespace)
    "_create_namedtuple": 0,
    "new_class": 0,  # of types, as dill spells a class of __main__: (name, bases, ...)
}


def class_name(value: object) -> str:
    """The name of the class of an object, or of a class itself; '' when unknown.

    Example:
        >>> from nnx_compat.checkpoint.forms.pickles._stand_ins import Global, Made
        >>> from nnx_compat.checkpoint.forms.pickles._stand_ins import class_name
        >>> class_name(Made(Global("flax.nnx.variablelib", "Param")))
        'Param'
    """
    while isinstance(value, Made):
        if isinstance(value.function, Global):
            at = _FACTORIES.get(value.function.name)
            if at is not None and len(value.arguments) > at:
                name = value.arguments[at]
                return name if isinstance(name, str) else ""
        value = value.function
    return value.name.rpartition(".")[2] if isinstance(value, Global) else ""
