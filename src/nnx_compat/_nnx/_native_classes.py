"""Classes that stand in for Flax's own, where what Flax makes is an instance of both.

A class here derives from Flax's where it can, so its objects are instances of Flax's
class. The reverse takes a metaclass: an ``nnx.Rngs`` that Flax's code has made has to
be an instance of the ``nnx.Rngs`` of the drop-in namespace as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..revisions import nnx

if TYPE_CHECKING:
    Metaclass = Any  # mypy takes no computed type as a metaclass, unless it knows none
else:
    Metaclass = type


def standing_in_for(
    native: type | None, metaclass: Metaclass | None = None
) -> Metaclass:
    """The metaclass of a class that is used in the place of one of Flax's.

    What is an instance of Flax's class is an instance of it, and a subclass a subclass.
    Its own subclasses are classes like any other.

    Args:
        native: Flax's class, or None where it has none: then there is nothing to add.
        metaclass: to derive from, for a class that does not derive from Flax's; by
            default the metaclass of Flax's class.

    Example:
        >>> class Old: ...
        >>> class New(Old, metaclass=standing_in_for(Old)): ...
        >>> class Newer(New): ...
        >>> isinstance(Old(), New), isinstance(Old(), Newer)
        (True, False)
    """
    if native is None:
        return metaclass or type(nnx.Module)
    flax_class, inherited = native, metaclass or type(native)

    class StandIn(inherited):  # type: ignore[misc, valid-type]
        def __instancecheck__(cls, instance: object) -> bool:
            # not by the type alone: a tracer may be an instance of nnx.Variable
            return super().__instancecheck__(instance) or (
                stands_in(cls) and isinstance(instance, flax_class)
            )

        def __subclasscheck__(cls, subclass: type) -> bool:
            # by __mro__: an ABC, as Flax's class is on some releases, asks its
            # subclasses, and this is one of them
            bases = subclass.__mro__
            return cls in bases or (stands_in(cls) and flax_class in bases)

    def stands_in(cls: type) -> bool:
        """Whether it is the class itself, and none that derives from it."""
        return not any(isinstance(base, StandIn) for base in cls.__bases__)

    return StandIn
