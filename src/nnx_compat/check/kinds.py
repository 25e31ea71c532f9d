"""Which classes of NNX a value is of, and what the facts say of their members."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cache

from .. import facts
from . import masks, modules, releases, syntax, values
from .syntax import FunctionNode, dotted
from .values import ClassInfo, Dotted, Function, Instance, Value

__all__ = [
    "ARRAY", "above", "bases", "converts", "derives", "exists",
    "gives_array", "has", "is_array", "is_classmethod", "is_data", "is_module",
    "is_module_type", "is_property", "is_static", "is_variable", "member", "method",
    "of", "parameters", "read_back",
]  # fmt: skip

#: Attributes of a Variable that are those of its array, where they are forwarded. The
#: facts have few of them: forwarding is by ``__getattr__``, which a survey cannot see.
ARRAY = frozenset(
    ("T", "shape", "dtype", "at", "ndim", "size", "nbytes", "astype", "reshape",
     "transpose", "sum", "mean", "min", "max", "std", "var", "all", "any", "ravel",
     "flatten", "squeeze", "item", "tolist", "argmax", "argmin", "dot")
)  # fmt: skip


def of(value: Value) -> tuple[str, ...]:
    """The paths of the classes of NNX that an instance is of, nearest first."""
    if not isinstance(value, Instance):
        return ()
    path = value.kind.native() if isinstance(value.kind, ClassInfo) else value.kind
    if not path:
        return ()
    return (path, "nnx.Variable") if _is_variable_type(path) else (path,)


@cache
def _is_variable_type(path: str) -> bool:
    """Whether it is a Variable class of NNX: those have what a Variable has."""
    # a VariableState has the members, and is what stood for a Variable in states
    return path != "nnx.VariableState" and bool(masks.name(f"{path}.copy_from"))


@cache
def bases(path: str) -> tuple[str, ...]:
    """The classes of NNX that one of its classes derives from, as far as it matters."""
    found = []
    if path == "nnx.ModelAndOptimizer":
        found.append("nnx.Optimizer")
    if path != "nnx.Variable" and _is_variable_type(path):
        found.append("nnx.Variable")
    if path != "nnx.Module" and masks.name(f"{path}.set_attributes"):
        found.append("nnx.Module")
    return tuple(found)


def derives(value: Value, asked: Instance) -> bool:
    """Whether a value is certainly an instance of the class that another one is of."""
    if not isinstance(value, Instance):
        return False
    if isinstance(asked.kind, ClassInfo):
        return isinstance(value.kind, ClassInfo) and asked.kind in value.kind.families()
    own = of(value)
    return asked.kind in own or any(asked.kind in bases(path) for path in own)


def is_module_type(path: str) -> bool:
    """Whether a path is of a class of Modules, or of a member of one."""
    owner = path.rpartition(".")[0]
    return any(masks.name(f"{one}.set_attributes") for one in (path, owner))


def is_data(value: Value) -> bool:
    """Whether it is certainly a Module, a Variable or an array."""
    return is_array(value) or is_module(value) or is_variable(value)


def is_array(value: Value) -> bool:
    """Whether it is certainly an array of jax."""
    return isinstance(value, Instance) and value.kind == values.ARRAY


def is_variable(value: Value) -> bool:
    """Whether it is certainly a Variable."""
    return any(_is_variable_type(kind) for kind in of(value))


def is_module(value: Value) -> bool:
    """Whether it is certainly a Module."""
    return any(masks.name(f"{kind}.set_attributes") for kind in of(value))


def read_back(value: Value) -> Value:
    """What is read from an attribute that a value was assigned to."""
    if isinstance(value, Instance) and is_variable(value):
        return Instance(
            value.kind, attribute=True, compat=value.compat, arrays=value.arrays
        )
    return value


def above(info: ClassInfo) -> Instance:
    """What ``super()`` gives in the methods of a class."""
    if info.above is None:
        info.above = ClassInfo("super", info.bases, turn=info.turn)
    ours = any(isinstance(base, Dotted) and base.compat for base in info.bases)
    return Instance(info.above, compat=ours)


def method(value: Instance, name: str) -> str:
    """The path of what of NNX is called by a method, ``""`` when it is not known."""
    if name == "__init__":
        return value.kind.native() if isinstance(value.kind, ClassInfo) else value.kind
    if name == "__call__":
        paths = (f"{kind}.__call__" for kind in of(value))
        return next((path for path in paths if facts.call(path)), "")
    if found := member(value, name):
        return found
    paths = (f"{kind}.{name}" for kind in of(value))
    return next((path for path in paths if facts.call(path)), "")


_NEW = (
    "array",
    "asarray",
    "ones",
    "zeros",
    "empty",
    "full",
    "eye",
    "arange",
    "linspace",
    "ones_like",
    "zeros_like",
    "full_like",
    "stack",
    "concatenate",
    "identity",
    "tile",
    "broadcast_to",
    "tri",
    "tril",
    "triu",
    "logspace",
    "meshgrid",
    "diag",
)
_RANDOM = (
    "key",
    "PRNGKey",
    "normal",
    "uniform",
    "randint",
    "bernoulli",
    "permutation",
    "truncated_normal",
    "categorical",
    "gumbel",
    "fold_in",
)
#: What takes arrays and gives one, whatever it is given; numpy's give scalars too.
_OF_ARRAYS = (
    "abs", "exp", "exp2", "expm1", "log", "log1p", "log2", "sqrt", "square", "sin",
    "cos", "tan", "tanh", "arctan", "arcsin", "arccos", "sinh", "cosh", "sign", "power",
    "add", "subtract", "multiply", "divide", "matmul", "dot", "outer", "maximum",
    "minimum", "clip", "sum", "mean", "var", "std", "prod", "max", "min", "cumsum",
    "cumprod", "argmax", "argmin", "argsort", "sort", "reshape", "transpose",
    "swapaxes", "moveaxis", "expand_dims", "squeeze", "ravel", "repeat", "roll", "flip",
    "round", "floor", "ceil", "reciprocal", "deg2rad", "isnan",
)  # fmt: skip
_ARRAYS = frozenset(
    [f"{root}.{name}" for root in ("jax.numpy", "numpy") for name in _NEW]
    + [f"jax.numpy.{name}" for name in _OF_ARRAYS]
    + [f"jax.nn.{name}" for name in ("one_hot", "softmax", "sigmoid", "relu")]
    + [f"jax.random.{name}" for name in _RANDOM]
)  # fmt: skip
_CONVERTING = frozenset(
    f"jax.numpy.{name}" for name in (*_OF_ARRAYS, "array", "asarray")
)


def gives_array(path: str) -> bool:
    """Whether a function of jax or numpy certainly gives an array."""
    return path in _ARRAYS


def converts(path: str) -> bool:
    """Whether a function of jax makes arrays of what it is given."""
    return path in _CONVERTING


def member(value: Value, attribute: str) -> str:
    """The path of a member of an instance, ``""`` when no release has it."""
    paths = (f"{kind}.{attribute}" for kind in of(value))
    return next((path for path in paths if masks.member(path)), "")


def is_static(function: Function) -> bool:
    """Whether a method is not given the object."""
    return not isinstance(function.node, ast.Lambda) and syntax.is_static(function.node)


def is_classmethod(node: FunctionNode) -> bool:
    """Whether the first parameter of a method is its class."""
    return any(dotted(decorator) == "classmethod" for decorator in node.decorator_list)


def is_property(function: Function) -> bool:
    """Whether a method is read without being called."""
    if isinstance(function.node, ast.Lambda):
        return False
    names = {dotted(decorator) for decorator in function.node.decorator_list}
    return not names.isdisjoint(
        ("property", "functools.cached_property", "cached_property")
    )


def has(owner: Value, attribute: str, version: str) -> bool | None:
    """What ``hasattr`` answers on a release; ``None`` when that is not known."""
    if isinstance(owner, Dotted):
        return _namespace_has(owner, attribute, version)
    path = member(owner, attribute)
    if not path:
        return None
    there = masks.member(path)
    # the first releases unwrap it on the way: what is asked there is the array
    if isinstance(owner, Instance) and owner.attribute:
        there &= ~masks.behaviour("attribute-unwraps-the-variable")
    return releases.has(there, version)


def _namespace_has(owner: Dotted, attribute: str, version: str) -> bool | None:
    if owner.compat:
        if owner.path != "nnx" or attribute.startswith("_"):
            return None
        return releases.has(masks.provided(f"nnx.{attribute}"), version)
    if owner.path == "flax":
        path = modules.module_path(f"flax.{attribute}")
        return None if path is None else releases.has(modules.importable(path), version)
    if owner.path == "nnx" or owner.path.startswith("nnx."):
        path = f"{owner.path}.{attribute}"
        inside = masks.inside(path)
        return releases.has(masks.on(path) if inside is None else inside, version)
    return None


def exists(found: Dotted, version: str) -> bool:
    """Whether a release has what a dotted path of NNX names."""
    mask = masks.provided(found.path) if found.compat else masks.on(found.path)
    return releases.has(mask, version)


def parameters(
    node: ast.expr, infer: Callable[[ast.expr], Value], version: str
) -> frozenset[str] | None:
    """The parameters that a callable has on a release, if it is one of NNX."""
    found = infer(node)
    path = found.path if isinstance(found, Dotted) and not found.compat else ""
    if not path and isinstance(node, ast.Attribute):
        path = member(infer(node.value), node.attr)
    row = masks.name(path.removesuffix(".__init__"))
    if row is None or not row.parameters:
        return None
    return frozenset(p for p in row.parameters if row.on(version, p))
