"""Runs the instructions of a pickle over inert data: it records, and never calls.

Why not a subclass of ``pickle.Unpickler`` with a careful ``find_class``: an unpickler
calls what ``find_class`` answers, asks objects for ``__setstate__``, ``append``,
``extend`` and ``__dict__``, looks up ``copyreg``'s extension registry, and hashes
whatever a file uses as a key; each of these has to be closed, on every CPython. Here it
is the other way round: ``pickletools.genops`` (documented; it only parses) gives the
instructions one by one, and the table at the end says what each does to a list. What
is not in the table is refused.
"""

from __future__ import annotations

import io
import mmap
import pickletools
from collections.abc import Callable
from typing import IO, cast

from ....errors import CheckpointFormError, UnsafePickleError, kind_of
from ._known import KNOWN, build
from ._stand_ins import Global, Made, Refusal

__all__ = ["load"]


def load(stream: mmap.mmap | io.BytesIO, place: object) -> tuple[object, int]:
    """The inert content of one pickle, and how many instructions made it.

    Args:
        stream: at the pickle's first byte; left behind its last. Of these two, ``read``
            allocates no more than there is; that of a file allocates what it is asked.
        place: what to call it in an error.

    Raises:
        CheckpointFormError: it is cut off or damaged.
        UnsafePickleError: it asks for what is never done.
    """
    machine = _Machine()
    position, count = stream.tell(), 0
    try:
        for instruction, argument, at in pickletools.genops(cast("IO[bytes]", stream)):
            count += 1
            position = position if at is None else at
            step = _STEPS.get(instruction.name)
            if step is None:
                raise Refusal(f"{instruction.name}{_NEVER.get(instruction.name, '')}")
            step(machine, argument)
    except Refusal as refusal:
        raise UnsafePickleError(
            f"{place} asks for {refusal}; that is never done, and nothing was run",
            instead="do not unpickle it; ask where it comes from",
            otherwise="nc.checkpoint.save, where the arrays are",
        ) from None
    except _BROKEN as error:
        raise CheckpointFormError(
            f"{place} is damaged at byte {position}: {_cause(error)}",
            instead="a copy of the file that is whole",
        ) from None
    if len(machine.stack) != 1 or machine.marks:
        raise CheckpointFormError(
            f"{place} is damaged: it ends at byte {position} in the middle of a value",
            instead="a copy of the file that is whole",
        )
    return machine.stack[0], count


_BROKEN = (ValueError, TypeError, IndexError, KeyError, OverflowError, MemoryError)
_NEVER = {
    "PERSID": " (a persistent id): its data is outside of the file",
    "BINPERSID": " (a persistent id): its data is outside of the file",
    "NEXT_BUFFER": " (an out-of-band buffer): its data is outside of the file",
    "READONLY_BUFFER": " (an out-of-band buffer): its data is outside of the file",
    "EXT1": " (copyreg's extension registry)",
    "EXT2": " (copyreg's extension registry)",
    "EXT4": " (copyreg's extension registry)",
}


def _cause(error: Exception) -> str:
    if isinstance(error, KeyError):
        return "a value is fetched that was never stored"
    if isinstance(error, IndexError):
        return "a value is missing"
    if isinstance(error, TypeError):
        return "a call with the wrong number of arguments"
    return str(error)[:100] or type(error).__name__


class _Machine:
    """The stack, what was put aside by MARK, and the memo."""

    __slots__ = ("marks", "memo", "stack")

    def __init__(self) -> None:
        self.stack: list[object] = []
        self.marks: list[list[object]] = []
        self.memo: dict[int, object] = {}

    def since_mark(self) -> list[object]:
        """The values pushed since the last MARK, taken from the stack."""
        values, self.stack = self.stack, self.marks.pop()
        return values


# -- values -------------------------------------------------------------------------


def _push(machine: _Machine, argument: object) -> None:
    machine.stack.append(argument)


def _pushes(make: Callable[[], object]) -> Callable[[_Machine, object], None]:
    return lambda machine, _: machine.stack.append(make())


def _nothing(machine: _Machine, argument: object) -> None:
    pass


def _proto(machine: _Machine, argument: object) -> None:
    if argument not in range(6):
        raise Refusal(f"protocol {argument}, which is not known")


def _last_as_tuple(count: int) -> Callable[[_Machine, object], None]:
    def step(machine: _Machine, _: object) -> None:
        if len(machine.stack) < count:
            raise IndexError
        machine.stack[-count:] = [tuple(machine.stack[-count:])]

    return step


def _tuple(machine: _Machine, _: object) -> None:
    values = tuple(machine.since_mark())
    machine.stack.append(values)


def _list(machine: _Machine, _: object) -> None:
    values = machine.since_mark()
    machine.stack.append(values)


def _frozenset(machine: _Machine, _: object) -> None:
    made = Made(Global("builtins", "frozenset"))
    made.items = machine.since_mark()
    machine.stack.append(made)


# -- containers ---------------------------------------------------------------------


def _extend(machine: _Machine, values: list[object]) -> None:
    target = machine.stack[-1]
    if isinstance(target, list):
        target.extend(values)
    elif isinstance(target, Made):
        target.items.extend(values)
    else:
        raise Refusal(f"an item for {kind_of(target)}")


def _append(machine: _Machine, _: object) -> None:
    _extend(machine, [machine.stack.pop()])


def _appends(machine: _Machine, _: object) -> None:
    _extend(machine, machine.since_mark())


def _set_pairs(target: object, flat: list[object]) -> None:
    if len(flat) % 2:
        raise IndexError
    pairs = list(zip(flat[::2], flat[1::2], strict=True))
    if isinstance(target, dict):
        for key, value in pairs:
            target[_key(key)] = value
    elif isinstance(target, Made):
        target.pairs.extend(pairs)
    else:
        raise Refusal(f"a key for {kind_of(target)}")


def _dict(machine: _Machine, _: object) -> None:
    made: dict[object, object] = {}
    _set_pairs(made, machine.since_mark())
    machine.stack.append(made)


def _setitem(machine: _Machine, _: object) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _set_pairs(machine.stack[-1], [key, value])


def _setitems(machine: _Machine, _: object) -> None:
    flat = machine.since_mark()
    _set_pairs(machine.stack[-1], flat)


def _key(key: object) -> object:
    """A key whose hash costs little: of tuples in tuples it may take for ever."""
    parts = [key]
    for _ in range(256):
        if not parts:
            return key
        part = parts.pop()
        if isinstance(part, tuple):
            parts.extend(part)
        elif isinstance(part, (list, dict, bytearray)):
            raise Refusal(f"{kind_of(part)} as a key")
        elif isinstance(part, int) and abs(part) >> 63:
            raise Refusal("a number of more than 64 bits as a key")
    raise Refusal("a key of more than 255 parts")


# -- the stack and the memo ---------------------------------------------------------


def _mark(machine: _Machine, _: object) -> None:
    machine.marks.append(machine.stack)
    machine.stack = []


def _pop(machine: _Machine, _: object) -> None:
    if machine.stack:
        machine.stack.pop()
    else:  # POP also takes a MARK away
        machine.since_mark()


def _pop_mark(machine: _Machine, _: object) -> None:
    machine.since_mark()


def _dup(machine: _Machine, _: object) -> None:
    machine.stack.append(machine.stack[-1])


def _put(machine: _Machine, argument: object) -> None:
    machine.memo[_index(argument)] = machine.stack[-1]


def _memoize(machine: _Machine, _: object) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


def _get(machine: _Machine, argument: object) -> None:
    machine.stack.append(machine.memo[_index(argument)])


def _index(argument: object) -> int:
    if not isinstance(argument, int) or argument < 0:
        raise KeyError
    return argument


# -- what a pickle names and what it would call -------------------------------------


def _global(machine: _Machine, argument: object) -> None:
    module, _, name = str(argument).partition(" ")
    machine.stack.append(Global(module, name))


def _stack_global(machine: _Machine, _: object) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise Refusal("a global whose name is no text")
    machine.stack.append(Global(module, name))


def _call(
    machine: _Machine,
    function: object,
    arguments: object,
    keywords: object = None,
    *,
    new: bool = False,
) -> None:
    if not isinstance(arguments, tuple) or not isinstance(keywords, (dict, type(None))):
        raise Refusal("a call whose arguments are no tuple")
    if isinstance(function, Global):
        _refuse_dangerous(function)
        known = KNOWN.get((function.module, function.name))
        if known is not None:
            machine.stack.append(known(*arguments))
            return
    elif not isinstance(function, Made):
        raise Refusal(f"a call of {kind_of(function)}")
    machine.stack.append(Made(function, arguments, keywords, new=new))


def _reduce(machine: _Machine, _: object) -> None:
    arguments, function = machine.stack.pop(), machine.stack.pop()
    _call(machine, function, arguments)


def _newobj(machine: _Machine, _: object) -> None:
    arguments, cls = machine.stack.pop(), machine.stack.pop()
    _call(machine, cls, arguments, new=True)


def _newobj_ex(machine: _Machine, _: object) -> None:
    keywords, arguments = machine.stack.pop(), machine.stack.pop()
    _call(machine, machine.stack.pop(), arguments, keywords, new=True)


def _inst(machine: _Machine, argument: object) -> None:
    module, _, name = str(argument).partition(" ")
    arguments = tuple(machine.since_mark())
    _call(machine, Global(module, name), arguments, new=True)


def _obj(machine: _Machine, _: object) -> None:
    function, *arguments = machine.since_mark() or [None]
    _call(machine, function, tuple(arguments), new=True)


def _build(machine: _Machine, _: object) -> None:
    state = machine.stack.pop()
    build(machine.stack[-1], state)


_MODULES = """
    os posix nt subprocess sys importlib runpy shutil socket ctypes pty commands popen2
    webbrowser code codeop pdb bdb timeit cProfile profile pickle _pickle marshal shelve
    multiprocessing asyncio signal pip urllib http requests antigravity
"""
_FUNCTIONS = "eval exec execfile compile open __import__ input breakpoint exit quit"
_DANGEROUS = frozenset(_MODULES.split())
_DANGEROUS_BUILTINS = frozenset(_FUNCTIONS.split())


def _refuse_dangerous(function: Global) -> None:
    """Nothing would be run anyway; but a file that asks for this is no checkpoint."""
    root = function.module.partition(".")[0]
    builtin = root in ("builtins", "__builtin__")
    name = function.name.partition(".")[0]
    if root in _DANGEROUS or (builtin and name in _DANGEROUS_BUILTINS):
        raise Refusal(f"a call of {function.path}, which no checkpoint needs")


_VALUES = """
    INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING
    SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8 UNICODE BINUNICODE
    SHORT_BINUNICODE BINUNICODE8
"""
_STEPS: dict[str, Callable[[_Machine, object], None]] = {
    "PROTO": _proto,
    **dict.fromkeys(("FRAME", "STOP"), _nothing),
    **dict.fromkeys(_VALUES.split(), _push),
    "NONE": _pushes(lambda: None),
    "NEWTRUE": _pushes(lambda: True),
    "NEWFALSE": _pushes(lambda: False),
    "EMPTY_LIST": _pushes(list),
    "EMPTY_TUPLE": _pushes(tuple),
    "EMPTY_DICT": _pushes(dict),
    "EMPTY_SET": _pushes(lambda: Made(Global("builtins", "set"))),
    "TUPLE1": _last_as_tuple(1),
    "TUPLE2": _last_as_tuple(2),
    "TUPLE3": _last_as_tuple(3),
    "TUPLE": _tuple,
    "LIST": _list,
    "DICT": _dict,
    "FROZENSET": _frozenset,
    "APPEND": _append,
    **dict.fromkeys(("APPENDS", "ADDITEMS"), _appends),
    "SETITEM": _setitem,
    "SETITEMS": _setitems,
    "MARK": _mark,
    "POP": _pop,
    "POP_MARK": _pop_mark,
    "DUP": _dup,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put),
    "MEMOIZE": _memoize,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _newobj,
    "NEWOBJ_EX": _newobj_ex,
    "INST": _inst,
    "OBJ": _obj,
    "BUILD": _build,
}
