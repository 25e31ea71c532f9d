"""Pickles that want something done: by name, what each wants and its bytes.

Every one that could leave a mark leaves it in the file ``MARK``, in the folder it is read
from, or imports the module ``hostile_module``, which does so.
"""

from __future__ import annotations

import io
import pickle
import struct

import numpy as np

MARK = "executed"
MODULE = (
    f"open({MARK!r}, 'w').close()\n\ndef run(*_):\n    open({MARK!r}, 'w').close()\n"
)
COMMAND = f"echo > {MARK}"
CODE = f"open({MARK!r}, 'w').close()"


class Calls:
    """Pickled as a call of a function that is given by its name."""

    def __init__(self, function, *arguments, state=None):
        self.function, self.arguments, self.state = function, arguments, state


class Name:
    """Pickled as a global."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class _Pickler(pickle._Pickler):
    """Names globals without looking them up."""

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Name):
            self.write(b"c" + f"{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Calls):
            self.save(obj.function)
            self.save(obj.arguments)
            self.write(pickle.REDUCE)
            if obj.state is not None:
                self.save(obj.state)
                self.write(pickle.BUILD)
        else:
            super().save(obj)


def pickled(value, protocol=2):
    stream = io.BytesIO()
    _Pickler(stream, protocol).dump(value)
    return stream.getvalue()


SYSTEM = Name("os", "system")
GETATTR = Name("builtins", "getattr")
RECONSTRUCT = Name("numpy.core.multiarray", "_reconstruct")
NDARRAY = Name("numpy", "ndarray")
ONES = np.ones(3, "float32")


def dtype(code="f4", state=(3, "<", None, None, None, -1, -1, 0)):
    return Calls(Name("numpy", "dtype"), code, False, True, state=state)


def array(shape, of, data):
    state = (1, shape, of, False, data)
    return Calls(RECONSTRUCT, NDARRAY, (0,), b"b", state=state)


def _laughs(levels):
    """Ten lists, each holding the one before ten times: ten to the power of levels."""
    out = b"\x80\x02]q\x00K\x01a"
    for level in range(levels):
        out += b"0](" + bytes([ord("h"), level]) * 10 + b"eq" + bytes([level + 1])
    return out + b"."


def _hash_bomb(levels):
    """A tuple of the tuple before, twice: its hash takes two to the power of levels."""
    out = b"\x80\x02})q\x00"
    for level in range(levels):
        out += b"0" + bytes([ord("h"), level]) * 2 + b"\x86q" + bytes([level + 1])
    return out + b"K\x01s."


HOSTILE = {
    # what would be called
    "os.system": pickled(Calls(SYSTEM, COMMAND)),
    "posix.system beside an array": pickled(
        {"w": ONES, "x": Calls(Name("posix", "system"), COMMAND)}
    ),
    "subprocess": pickled(Calls(Name("subprocess", "call"), COMMAND)),
    "eval": pickled(Calls(Name("builtins", "eval"), CODE)),
    "exec in protocol 0": pickled(Calls(Name("__builtin__", "exec"), CODE), 0),
    "compile": pickled(Calls(Name("builtins", "compile"), CODE, "x", "exec")),
    "open": pickled(Calls(Name("builtins", "open"), MARK, "w")),
    "__import__": pickled(Calls(Name("builtins", "__import__"), "hostile_module")),
    "importlib": pickled(Calls(Name("importlib", "import_module"), "hostile_module")),
    "a pickle in a pickle": pickled(
        Calls(Name("pickle", "loads"), pickled(Calls(SYSTEM, COMMAND)))
    ),
    "a chain of getattr": pickled(
        Calls(Calls(GETATTR, Name("hostile_module", "x"), "run"), COMMAND)
    ),
    "a global of a module that is not imported": pickled(Name("hostile_module", "run")),
    "import by cloudpickle": pickled(
        Calls(Name("cloudpickle.cloudpickle", "subimport"), "hostile_module")
    ),
    "import by dill": pickled(
        Calls(Name("dill._dill", "_import_module"), "hostile_module")
    ),
    "a function with code": pickled(
        Calls(Calls(Name("types", "FunctionType"), Name("types", "CodeType")), 1)
    ),
    "timeit by INST": f'(S"{CODE}"\nitimeit\ntimeit\n.'.encode(),
    "OBJ": b"\x80\x02(cos\nsystem\nX" + struct.pack("<I", len(COMMAND))
    + COMMAND.encode() + b"o.",
    "NEWOBJ": b"\x80\x04cos\nsystem\nX" + struct.pack("<I", len(COMMAND))
    + COMMAND.encode() + b"\x85\x81.",
    "NEWOBJ_EX": b"\x80\x04csubprocess\nPopen\nX" + struct.pack("<I", len(COMMAND))
    + COMMAND.encode() + b"\x85}X\x05\x00\x00\x00shell\x88s\x92.",
    # what would be changed
    "BUILD of a global": b"\x80\x02cos\nenviron\n}X\x01\x00\x00\x00aX\x01\x00\x00\x00bsb.",
    "BUILD of a dict": b"\x80\x02}}b.",
    "__setstate__ in a state": pickled(
        Calls(Name("hostile_module", "run"), state={"__setstate__": SYSTEM})
    ),
    "dtype.__setstate__ of bfloat16, alone": pickled(
        dtype(Name("ml_dtypes", "bfloat16"), (3, None, None, None, 2, 2, 7))
    ),
    # what is outside of the file
    "persistent id": b"\x80\x02Pfile\n.",
    "persistent id on the stack": b"\x80\x02K\x01Q.",
    "the extension registry, 1": b"\x80\x02\x82\x01.",
    "the extension registry, 4": b"\x80\x02\x84\x01\x00\x00\x00.",
    "an out-of-band buffer": b"\x80\x05\x97.",
    # arrays that are none
    "an object array": pickled(array((1,), dtype("O8"), [Calls(SYSTEM, COMMAND)])),
    "an object array of names": pickled(array((1,), dtype("O8"), [SYSTEM])),
    "a dtype with fields": pickled(
        array((1,), dtype("V8", (3, "|", None, ("a",), {"a": 1}, 8, 1, 16)), b"x" * 8)
    ),
    "a jax array made by another function": pickled(
        Calls(Name("jax._src.array", "_reconstruct_array"), SYSTEM, (COMMAND,), (), {})
    ),
    # too much
    "an array of 4 EiB": pickled(array((1 << 60,), dtype(), b"\0" * 4)),
    "an array of sizes without end": pickled(array((1 << 62,) * 60, dtype(), b"")),
    "an array of a negative size": pickled(array((-1,), dtype(), b"\0" * 4)),
    "an array of 10,000 dimensions": pickled(array((1,) * 10_000, dtype(), b"\0" * 4)),
    "text of 1 EiB": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x.",
    "bytes of 2 GiB": b"\x80\x03B" + struct.pack("<I", (1 << 31) - 1) + b"x.",
    "a bytearray of 1 TiB": pickled(Calls(Name("builtins", "bytearray"), 1 << 40)),
    "a frame of 4 EiB": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62),
    "a memo of 4 billion": b"\x80\x02]r\xff\xff\xff\xff.",
    "a fetch that was never stored": b"\x80\x02h\x07.",
    "lists in lists, 10 to the 9th": _laughs(9),
    "a key that takes for ever to hash": _hash_bomb(100),
    "a key of 5,000 digits": pickled({10**5000: ONES}),
    "20,000 lists in one another": b"\x80\x02" + b"]" * 20_000 + b"a" * 19_999 + b".",
    "20,000 marks": b"\x80\x02" + b"(" * 20_000 + b".",
    "a list that holds itself": b"\x80\x02]q\x00h\x00a.",
    "20,000 calls of calls": b"\x80\x02ca\nb\n" + b")R" * 20_000 + b".",
    # broken
    "an empty stack": b"\x80\x02.",
    "two values": b"\x80\x02K\x01K\x02.",
    "a call of a number": b"\x80\x02K\x01)R.",
    "a call with no tuple": b"\x80\x02cos\nsystem\nK\x01R.",
    "an item for a number": b"\x80\x02K\x01K\x02a.",
    "an unknown instruction": b"\x80\x02\xfe.",
    "a protocol of the future": b"\x80\x04\x80\x63N.",
    "cut off": pickle.dumps({"w": ONES})[:-40],
    "cut off behind its head": b"\x80\x04",
    "something behind the end": pickle.dumps({"w": ONES}) + b"\0\0\0\0",
}  # fmt: skip
