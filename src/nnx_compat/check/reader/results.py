"""What a call gives, and what is handed on by it: functions, transforms, jax, optax."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace

from .. import events, kinds, releases
from ..held import arrays_in, arrays_made, holds_data, leaves
from ..joining import element, joined
from ..syntax import dotted
from ..values import (
    ARRAY,
    FLAT_STATE,
    NOTHING,
    Bound,
    ClassInfo,
    Dotted,
    Function,
    Instance,
    Keys,
    Made,
    Partial,
    Several,
    Transformed,
    Value,
    instance,
    known,
)
from .arguments import Given, hand_over
from .captured import shared, trace
from .expressions import operated
from .reading import Reading
from .transforms import (
    FIRST,
    GRADIENTS,
    LOOPS,
    MAPPING,
    MAPS,
    RUNS,
    SPLITTING,
    axis,
    gradients,
    is_transform,
    split,
    transformed,
)

__all__ = ["applied", "decorated", "result"]

_DEPTH = 8  # functions in functions in ...: more is not written by hand


def result(
    reading: Reading, node: ast.Call, called: Value, given: Given, owner: Value
) -> Value:
    """What a call gives."""
    if isinstance(called, Dotted):
        return _of_path(reading, node, called, given)
    if called is None and isinstance(node.func, ast.Attribute):
        return _of_method(node, node.func.attr, owner, given)
    if called is None and isinstance(node.func, ast.Name):
        return _of_builtin(reading, node, node.func.id, given)
    new = applied(reading, called, given, node)
    if isinstance(called, ClassInfo) and isinstance(new, Instance):
        return _written(node, new, given)
    return new


def _is_optimizer(value: Instance) -> bool:
    return "nnx.Optimizer" in kinds.of(value)


# -- what is called -----------------------------------------------------------------


def applied(
    reading: Reading, called: Value, given: Given, node: ast.expr, depth: int = 0
) -> Value:
    """What something of the project gives when it is called."""
    if depth > _DEPTH:
        return None
    if isinstance(called, Function):
        hand_over(reading, called, given)
        return called.returns
    if isinstance(called, Bound):
        static = isinstance(called.function.node, ast.FunctionDef) and kinds.is_static(
            called.function
        )
        hand_over(reading, called.function, given, bound=not static)
        return called.function.returns
    if isinstance(called, ClassInfo):
        _construct(reading, called, given, node)
        return Instance(called)
    if isinstance(called, Instance) and isinstance(called.kind, ClassInfo):
        call = called.kind.attribute("__call__")[1]
        if isinstance(call, Function):
            hand_over(reading, call, given, bound=True)
            return call.returns
        return applied(reading, call, given.behind(called), node, depth + 1)
    if isinstance(called, Transformed):
        return _of_transformed(reading, called, given, node, depth)
    if isinstance(called, Partial):
        whole = Given(
            (*called.arguments, *given.arguments),
            {**dict(called.keywords), **given.keywords},
            given.open,
        )
        if isinstance(called.inner, Dotted):
            return _of_path(reading, called.node, called.inner, whole)
        return applied(reading, called.inner, whole, node, depth + 1)
    if isinstance(called, Made):
        return called  # of an initializer that was made with a sharding
    return instance(called)


def _construct(reading: Reading, info: ClassInfo, given: Given, node: ast.expr) -> None:
    """Note what the constructor of a class of the project is given."""
    init = info.attribute("__init__")[1]
    while isinstance(init, Transformed):
        init = init.inner
    if isinstance(init, Function):
        hand_over(reading, init, given, bound=True)
    elif info.made_of_fields and reading.program is not None:
        named = dict(zip(info.init_fields(), given.arguments, strict=False))
        for name, value in (named | dict(given.keywords)).items():
            if known(value) is not None:
                reading.learn_attribute(info, name, kinds.read_back(value))
        _show_fields(reading, info, node)


def _show_fields(reading: Reading, info: ClassInfo, node: ast.expr) -> None:
    """Show the containers that are given for fields, as what ``__init__`` assigns."""
    if not isinstance(node, ast.Call):
        return
    written = dict(zip(info.init_fields(), node.args, strict=False))
    written |= {k.arg: k.value for k in node.keywords if k.arg is not None}
    for name, one in written.items():
        value = None if isinstance(one, ast.Starred) else reading.peek(one)
        told = any(name in family.told for family in info.families())
        if holds_data(value) and not told:
            reading.show(
                events.Stored(
                    one, info, name, one, True, known=value, arrays=arrays_in(value)
                )
            )


def _of_transformed(
    reading: Reading, called: Transformed, given: Given, node: ast.expr, depth: int
) -> Value:
    inner = applied(reading, called.inner, given, node, depth + 1)
    if called.path in MAPPING:
        _show_mapped(reading, called, given, node, inner)
    if called.path.partition(".")[2] in _FLATTENING:
        for value in given.arguments:
            flattened(reading, node, value, called)
    if called.path in GRADIENTS:
        return gradients(called, given, inner)
    if called.path in ("contextlib.contextmanager", "contextlib.asynccontextmanager"):
        return None
    if called.path in ("nnx.scan", "nnx.vmap", "nnx.pmap", "jax.vmap"):
        if isinstance(inner, Instance) and not any(map(_has_keys, given.arguments)):
            return replace(inner, mapped=True)
        return inner if isinstance(inner, (Instance, Several)) else None
    return inner


_FLATTENING = ("jit", "grad", "value_and_grad", "remat", "checkpoint")


def flattened(
    reading: Reading, node: ast.expr, value: Value, by: Dotted | Transformed
) -> None:
    """Show that an object is taken apart into its leaves."""
    if kinds.is_module(value):
        reading.show(events.Flattened(node, value, by.path, compat=by.compat))


def _show_mapped(
    reading: Reading, called: Transformed, given: Given, node: ast.expr, gives: Value
) -> None:
    for index, value in enumerate(given.arguments):
        written = axis(called, index)
        if kinds.is_module(value) and "Carry" in ast.dump(written or ast.Pass()):
            reading.lose(node, "what a Module that is carried through a scan becomes")
        if any(scope.splits_keys for scope in reading.scope.chain()):
            continue  # with the keys that a Rngs has now, or had before
        if _has_keys(value):
            reading.show(
                events.Mapped(
                    node, value, called.path, written, called.split, gives,
                    compat=called.compat,
                )
            )  # fmt: skip


# -- paths --------------------------------------------------------------------------


def _of_path(reading: Reading, node: ast.expr, called: Dotted, given: Given) -> Value:
    path = called.path
    if is_transform(path):
        return _transform(reading, node, called, given)
    if path in RUNS:
        return _run(reading, path, given, node)
    if given.arguments:
        first = given.arguments[0]
        if path in ("nnx.split", "nnx.state", "nnx.clone", "nnx.Optimizer"):
            flattened(reading, node, first, called)
        if path in ("nnx.split", "nnx.state"):
            return _states(node, called, first)
        if path == "nnx.merge":
            model = first.origin if isinstance(first, Instance) else None
            detaches = called.compat and not _is_of_namespace(reading, node)
            return model if detaches else shared(reading, node, model)
        if path == "nnx.clone":
            return first
        if path == "nnx.static":
            return None
        if path in _TELLING and isinstance(first, (Several, Keys)):
            return _told(first)
        if path in ("nnx.data", "jax.device_put", "jax.block_until_ready"):
            return first
        if path == "functools.partial":
            rest = tuple(given.arguments[1:])
            return Partial(first, rest, tuple(given.keywords.items()), node)
        if path in MAPS and first == Dotted("nnx.Param") and leaves(_second(given)):
            return Several((), Instance("nnx.Param"), "tuple")
        if path in FIRST and isinstance(first, Instance):
            return first
    if path in ("nnx.to_pure_dict", "nnx_compat.to_pure_dict"):
        return Keys()
    if path == "nnx.Dict":
        return Keys(tuple(given.keywords.items()), plain=False)
    if path == "nnx.Rngs":
        return Instance(
            "nnx.Rngs", compat=called.compat, streams=_streams(given),
            mapped=_is_of_many_keys(reading, node),
        )  # fmt: skip
    if kinds.converts(path):
        operated(reading, node, *given.arguments)
    if kinds.gives_array(path):
        return Instance(ARRAY)
    new = instance(called)
    if new is not None:
        return _written(node, new, given)
    if path.partition(".")[0] in ("optax", "nnx") and isinstance(node, ast.Call):
        return Made(path, node)
    return None


def _is_of_many_keys(reading: Reading, node: ast.expr) -> bool:
    """Whether a Rngs is made of the keys that ``jax.random.split`` gave."""
    first = node.args[0] if isinstance(node, ast.Call) and node.args else None
    if isinstance(first, ast.Name):
        first = reading.scope.definition(first.id, releases.listed(releases.ALL)[-1])
    called = reading.peek(first.func) if isinstance(first, ast.Call) else None
    return called == Dotted("jax.random.split")


def _is_of_namespace(reading: Reading, node: ast.expr) -> bool:
    """Whether ``nnx.merge`` is called, of nnx_compat's namespace, and not our own."""
    function = node.func if isinstance(node, ast.Call) else None
    if not isinstance(function, ast.Attribute):
        return False
    owner = reading.peek(function.value)
    return isinstance(owner, Dotted) and owner.path == "nnx"


def _written(node: ast.expr, new: Instance, given: Given) -> Instance | None:
    """A new object, and what the call that made it says of it."""
    if "keep_rngs" in given.keywords:
        return None  # whether it keeps them is said there
    arrays = arrays_made(new, node, given.arguments, given.keywords.get("rngs"))
    if arrays:
        return replace(new, arrays=arrays)
    if _is_optimizer(new) and isinstance(node, ast.Call) and node.args:
        return replace(new, written=dotted(node.args[0]))
    return new


def _second(given: Given) -> Value:
    return given.arguments[1] if len(given.arguments) > 1 else None


#: What says of a container that it holds data.
_TELLING = ("nnx.List", "nnx.Dict", "nnx.data")


def _told(first: Several | Keys) -> Value:
    """A container of which Flax is told that it holds data; it is no plain one."""
    if isinstance(first, Several):
        return Several(first.items, first.rest)
    return Keys(first.items, first.rest, plain=False)


def _streams(given: Given) -> frozenset[str] | None:
    """The streams of a Rngs, where no positional argument makes the default one."""
    if given.arguments or given.open or "default" in given.keywords:
        return None
    return frozenset(given.keywords)


def _states(node: ast.expr, called: Dotted, origin: Value) -> Value:
    """What ``split`` and ``state`` give: states that know their model."""
    arguments = node.args if isinstance(node, ast.Call) else []
    state = Instance(
        "nnx.State", compat=called.compat, origin=known(origin),
        written="" if called.compat or not arguments else dotted(arguments[0]),
        filtered=len(arguments) > 1,
    )  # fmt: skip
    if called.path == "nnx.state":
        several = len(arguments) > 2
        return Several((), state) if several else state
    graphdef = Instance("nnx.GraphDef", compat=called.compat, origin=known(origin))
    return Several((graphdef,), state)


def _transform(reading: Reading, node: ast.expr, called: Dotted, given: Given) -> Value:
    """``nnx.jit(f)``, or ``nnx.jit(static_argnames=...)`` that waits for ``f``."""
    function = given.arguments[0] if given.arguments else given.keywords.get("f")
    if (
        function is None
        and not given.arguments
        and not ({"f", "fun"} & given.keywords.keys())
    ):
        return Partial(called, (), tuple(given.keywords.items()), node)
    if called.path == "nnx.split_rngs":
        reading.scope.splits_keys |= _has_keys(known(function))
    trace(reading, called.path, function)
    made = transformed(called, known(function), node)
    if called.path.endswith(".cached_partial"):
        return Partial(known(function), tuple(given.arguments[1:]), (), node)
    return made


def _has_keys(value: Value) -> bool:
    """Whether it is a Rngs or a Module, whose own keys are split, and no function."""
    return kinds.is_module(value) or "nnx.Rngs" in kinds.of(value)


def _run(reading: Reading, path: str, given: Given, node: ast.expr) -> Value:
    """``nnx.cond(p, f, g, *operands)``, ``jax.lax.scan(f, init, xs)``."""
    functions, handed, gives = LOOPS[path](given)
    found: Value = None
    for function in functions:
        found = joined(found, applied(reading, function, handed, node, 1))
    return gives if gives is not None else known(found)


# -- methods and builtins -----------------------------------------------------------


def _of_method(node: ast.Call, name: str, owner: Value, given: Given) -> Value:
    if isinstance(owner, Keys):
        if (
            name in ("get", "pop")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            key = node.args[0].value
            return owner.get(key) if isinstance(key, str) else None
        values: Value = None
        for value in owner.all():
            values = joined(values, value)
        if name == "values":
            return Several((), known(values))
        if name == "items":
            return Several((), Several((None, known(values)), None, "tuple"))
    if isinstance(owner, Several) and name in ("copy", "pop"):
        return owner if name == "copy" else element(owner)
    if kinds.is_array(owner):
        return owner if name in _GIVING_ARRAYS else None
    of_a_state = isinstance(owner, Instance) and owner.kind == "nnx.State"
    if of_a_state and name == "flat_state" and not owner.compat:  # type: ignore[union-attr]
        return Instance(FLAT_STATE)
    if isinstance(owner, Instance) and owner.gradient:
        return owner if name in ("filter", "map") else None
    return None


#: Methods of arrays that give arrays, numpy's too.
_GIVING_ARRAYS = (
    "astype", "reshape", "copy", "sum", "mean", "transpose", "flatten", "ravel",
    "squeeze", "clip", "cumsum", "swapaxes", "repeat",
)  # fmt: skip


def _sequence(container: str) -> Callable[[Given], Value]:
    def made(given: Given) -> Value:
        first = given.arguments[0] if given.arguments else None
        held = first.each() if isinstance(first, Several) else ()
        passed = isinstance(first, (Several, Keys)) and first.passed
        return Several((), element(first), container, held, passed)  # type: ignore[arg-type]

    return made


def _zipped(given: Given) -> Value:
    return Several((), Several(tuple(map(element, given.arguments)), None, "tuple"))


_BUILTINS: dict[str, Callable[[Given], Value]] = {
    "list": _sequence("list"),
    "tuple": _sequence("tuple"),
    "set": _sequence("set"),
    "sorted": _sequence("list"),
    "reversed": _sequence(""),
    "iter": _sequence(""),
    "dict": lambda given: Keys(tuple(given.keywords.items())),
    "zip": _zipped,
    "enumerate": lambda given: Several(
        (), Several((None, element(given.arguments[0])), None, "tuple")
    ),
    "next": lambda given: element(given.arguments[0]),
}


def _of_builtin(reading: Reading, node: ast.Call, name: str, given: Given) -> Value:
    owner = reading.scope.method_owner()
    if name == "super" and owner is not None:
        return kinds.above(owner)
    if name == "map" and len(given.arguments) > 1:
        handed = Given(tuple(map(element, given.arguments[1:])))
        return Several((), known(applied(reading, given.arguments[0], handed, node, 1)))
    if name in ("isinstance", "issubclass") and len(given.arguments) == 2:
        _show_asked(reading, node, *given.arguments)
    if name == "setattr" and len(given.arguments) == 3:
        _set_by_name(reading, node, given)
        return NOTHING
    if name in _BUILTINS and (
        given.arguments or name in ("list", "tuple", "set", "dict")
    ):
        return _BUILTINS[name](given)
    return None


def _show_asked(reading: Reading, node: ast.Call, asked: Value, classes: Value) -> None:
    """Show which classes of NNX something is held against."""
    listed = classes.all() if isinstance(classes, Several) else (classes,)
    paths = tuple(one.path for one in listed if isinstance(one, Dotted))
    if isinstance(asked, ClassInfo):
        path = asked.native()
    elif isinstance(asked, Dotted):
        path = asked.path
    else:
        path = next(iter(kinds.of(asked)), "")
    if path.startswith("nnx.") and paths:
        compat = isinstance(asked, (Dotted, Instance)) and asked.compat
        reading.show(events.Asked(node, path, paths, compat=compat))


def _set_by_name(reading: Reading, node: ast.Call, given: Given) -> None:
    """``setattr(model, "head", Block())``."""
    owner, name = given.arguments[0], node.args[1]
    if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
        return
    info = owner.kind if isinstance(owner, Instance) else owner
    if isinstance(info, ClassInfo) and not kinds.is_variable(owner):
        value = kinds.read_back(given.arguments[2])
        reading.learn_attribute(info, name.value, value)
    elif kinds.is_module(owner):
        reading.program.add_given(name.value)


# -- decorators ---------------------------------------------------------------------


def decorated(
    reading: Reading, function: Function, decorators: list[tuple[ast.expr, Value]]
) -> Value:
    """What a name stands for whose function has decorators, innermost first."""
    value: Value = function
    for node, decorator in decorators:
        if isinstance(decorator, Dotted) and is_transform(decorator.path):
            trace(reading, decorator.path, value)
            value = transformed(decorator, value, node)
        elif isinstance(decorator, Dotted) and decorator.path.startswith("contextlib."):
            value = Transformed(decorator.path, value, node)
        elif isinstance(decorator, Made) and decorator.path in SPLITTING:
            value = split(value)
        elif isinstance(decorator, Dotted) and decorator.path.startswith("nnx."):
            value = function  # what it makes of the arguments is not known
        elif isinstance(decorator, (Partial, Function)):
            found = known(applied(reading, decorator, Given((value,)), node, 1))
            # what it gives is not known: the function is called all the same
            value = value if found is None else found
    return value
