"""The few functions that a checkpoint's data goes through, written anew over bytes.

numpy's, jax's and ml_dtypes' own are never called. Above all not
``dtype.__setstate__``: for bfloat16 it edits the one dtype of the process, and a pickle
from the other side of a change of ml_dtypes' flags (80 until 0.5.1, 64 from 0.5.3)
makes ``jnp.zeros(3, jnp.bfloat16)`` fail from then on. Of the pairs of a writer and a
reader among the releases, half are on two sides of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from ....errors import CheckpointFormError, kind_of
from ..._dtypes import named
from ._stand_ins import Global, Made, Refusal

if TYPE_CHECKING:
    from ..._table import Array

__all__ = ["KNOWN", "Stored", "build"]


class Stored:
    """An array as it is in the file; empty until the file fills it.

    Attributes:
        dtype: of the array; None where only code could make it.
        shape: its shape.
        why: why it cannot be read without running code; '' if it can.
    """

    __slots__ = ("_data", "_fortran", "_stored", "dtype", "shape", "why")

    def __init__(self) -> None:
        self.dtype: np.dtype[Any] | None = None
        self.shape: tuple[int, ...] = ()
        self.why = "an array that is never filled"
        self._data: bytes | bytearray = b""
        self._stored: np.dtype[Any] | None = None
        self._fortran = False

    def fill(self, dtype: object, shape: object, data: object, fortran: object) -> None:
        """Take dtype, shape and bytes from the file, if they agree."""
        if not isinstance(dtype, _DType):
            raise Refusal("an array without a dtype")
        if dtype.of is None or not isinstance(data, (bytes, bytearray)):
            self.why = dtype.why or "an array of objects"
            return
        if not _is_shape(shape):
            raise ValueError("the shape of an array is no tuple of at most 64 sizes")
        if math.prod(shape) * dtype.of.itemsize != len(data):
            raise ValueError(
                f"an array of shape {shape} and dtype {dtype.of} has {len(data)} bytes"
            )
        self.dtype, self.shape, self.why = dtype.of.newbyteorder("="), shape, ""
        self._stored = dtype.of
        self._data, self._fortran = data, bool(fortran)

    def read(self) -> Array:
        """The array itself, in the memory that was read from the file."""
        flat = np.frombuffer(self._data, self._stored)
        array = flat.reshape(self.shape, order="F" if self._fortran else "C")
        return array.astype(self.dtype, copy=False)


def _is_shape(shape: object) -> TypeGuard[tuple[int, ...]]:
    return (
        isinstance(shape, tuple)
        and len(shape) <= 64
        and all(type(size) is int and 0 <= size < 2**63 for size in shape)
    )


_PLAIN = "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16"
_SMALL = """
    bfloat16 float8_e3m4 float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn float8_e4m3fnuz
    float8_e5m2 float8_e5m2fnuz float8_e8m0fnu float6_e2m3fn float6_e3m2fn
    float4_e2m1fn int1 uint1 int2 uint2 int4 uint4
"""
#: The codes of numpy's plain elements, and the names of those that ml_dtypes has.
_CODES, _EXTENDED = frozenset(_PLAIN.split()), frozenset(_SMALL.split())


class _DType:
    """A dtype of plain elements, or why there is none."""

    __slots__ = ("of", "why")

    def __init__(self, name: str = "", *, why: str = "") -> None:
        self.why = why
        self.of: np.dtype[Any] | None = None
        try:
            self.of = named(name) if name else None
        except CheckpointFormError as error:
            self.why = str(error)


def _dtype(of: object = None, *_: object) -> _DType:
    if isinstance(of, _DType):
        return of
    if isinstance(of, Global):
        root = of.module.partition(".")[0]
        if root in ("ml_dtypes", "jaxlib") and of.name in _EXTENDED:
            return _DType(of.name)
        return _DType(why=f"an array of dtype {of.path}")
    if not isinstance(of, str):
        return _DType(why="an array with fields")
    if of in _EXTENDED or of.lstrip("<>=|") in _CODES:
        return _DType(of)
    return _DType(why="an array of objects" if "O" in of else "an array of text")


def _filled(dtype: object, shape: object, data: object, fortran: object) -> Stored:
    stored = Stored()
    stored.fill(dtype, shape, data, fortran)
    return stored


def _reconstruct(*_: object) -> Stored:
    return Stored()


def _scalar(dtype: object, data: object = b"") -> object:
    return _filled(dtype, (), data, False)


def _frombuffer(data: object, dtype: object, shape: object, order: object) -> object:
    return _filled(dtype, shape, data, order == "F")


def _jax_array(
    function: object, arguments: object, state: object, *_: object
) -> object:
    if not isinstance(function, Global) or function.name != "_reconstruct":
        return Stored()
    stored = Stored()
    build(stored, state)
    return stored


def _encode(text: object, encoding: object = "utf-8", *_: object) -> object:
    """Bytes, as protocol 2 spells them."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8"):
        raise Refusal("_codecs.encode of something else than text")
    return text.encode(str(encoding))


def _bytes(data: object = b"", *encoding: object) -> object:
    if isinstance(data, str):
        return _encode(data, *encoding)
    if isinstance(data, (bytes, bytearray)):
        return data
    return Made(Global("builtins", "bytes"), (data, *encoding))


def _dict_of(pairs: object = (), *_: object) -> object:
    if isinstance(pairs, dict):
        return dict(pairs)
    found: dict[object, object] = {}
    for pair in pairs if isinstance(pairs, (list, tuple)) else ():
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise Refusal("a dict of something else than pairs")
        if not isinstance(pair[0], (str, int)):
            raise Refusal("a dict whose keys are neither text nor numbers")
        found[pair[0]] = pair[1]
    return found


def _default_dict(*_: object) -> object:
    return {}


def _reconstructor(cls: object, base: object = None, state: object = None) -> object:
    """An object as protocols 0 and 1 spell it; of a namedtuple, with its values."""
    return Made(cls, state if isinstance(state, tuple) else (), new=True)


KNOWN: dict[tuple[str, str], Callable[..., object]] = {
    **{
        (f"numpy.{core}.multiarray", name): function
        for core in ("core", "_core")
        for name, function in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
    **{
        (f"numpy.{core}.numeric", "_frombuffer"): _frombuffer
        for core in ("core", "_core")
    },
    ("numpy", "dtype"): _dtype,
    ("jax._src.array", "_reconstruct_array"): _jax_array,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): _dict_of,
    ("collections", "defaultdict"): _default_dict,
    **{
        (builtins, name): function
        for builtins in ("builtins", "__builtin__")
        for name, function in (
            ("bytes", _bytes),
            ("bytearray", _bytes),
            ("dict", _dict_of),
        )
    },
    ("copyreg", "_reconstructor"): _reconstructor,
    ("copy_reg", "_reconstructor"): _reconstructor,
}


def build(target: object, state: object) -> None:
    """What BUILD does: a state is recorded, or read if it is an array's or dtype's."""
    if isinstance(target, Made):
        if isinstance(target.state, dict) and isinstance(state, dict):
            target.state.update(state)
        else:
            target.state = state
    elif isinstance(target, Stored):
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise Refusal("an array whose state is no tuple")
        target.fill(state[-3], state[-4], state[-1], state[-2])
    elif isinstance(target, _DType):
        if not isinstance(state, tuple) or len(state) < 3:
            raise Refusal("a dtype whose state is no tuple")
        if target.of is not None and state[1] == ">":
            target.of = target.of.newbyteorder(">")
    else:
        raise Refusal(f"a state for {kind_of(target)}")
