"""What native NNX prints: the examples in its docstrings, and a table of programs.

    python tools/results.py examples OUT         # of the installed Flax, as sources
    python tools/results.py run EXAMPLES OUT     # what they print on the installed Flax

``nox -s release`` collects the examples of a new release, runs them on it and on the
one before, beside the same jax where that is possible, and compares. Programs are the
functions of this file in ``PROGRAMS``: short, with weights that no initializer decides,
and told by the paths, types, shapes and values of what they leave behind.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import inspect
import io
import json
import logging
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _nnx() -> Any:
    return importlib.import_module("flax.nnx")


def examples() -> dict[str, list[str]]:
    """The examples in the docstrings of public names: statements, by name."""
    nnx = _nnx()
    found = {}
    for name in sorted(name for name in dir(nnx) if not name.startswith("_")):
        value = getattr(nnx, name)
        if isinstance(value, type):
            parts = [name, *(f"{name}.{m}" for m in vars(value) if m[0] != "_")]
        else:
            parts = [name]
        for part in parts:
            at = value if part == name else vars(value)[part.partition(".")[2]]
            parsed = _parsed(inspect.getdoc(at) or "")
            if parsed and getattr(value, "__module__", "").startswith("flax"):
                found[f"nnx.{part}"] = parsed
    return found


def _parsed(text: str) -> list[str]:
    try:
        return [one.source for one in doctest.DocTestParser().get_examples(text)]
    except ValueError:
        return []


def run(sources: list[str]) -> list[str]:
    """What each statement prints, or its error; after an error no more is run."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    space: dict[str, Any] = {"nnx": _nnx(), "jax": jax, "jnp": jnp, "np": np}
    printed = []
    for source in sources:
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out):
                exec(compile(source, "<example>", "single"), space)
        except Exception as error:
            printed.append(_plain(f"{type(error).__name__}: {error}"))
            break
        printed.append(_plain(out.getvalue()))
    return printed


def _plain(text: str) -> str:
    """Without colours, addresses and the digits that differ between compilers."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    text = re.sub(r"0x[0-9a-f]+", "0x", text)
    return re.sub(r"-?\d+\.\d+(e-?\d+)?", lambda m: f"{float(m[0]):.4g}", text)[:4000]


# -- programs -----------------------------------------------------------------------


def told(node: Any) -> list[str]:
    """What a graph holds: path, type, shape and a few values of each leaf."""
    import jax
    import numpy as np

    lines = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(_nnx().state(node)):
        value = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
        kind = f"{value.dtype}{list(value.shape)}"
        head = ", ".join(f"{float(x):.4g}" for x in value.ravel()[:3])
        lines.append(f"{jax.tree_util.keystr(path)} {kind} {head}")
    return lines


def _is_key(leaf: Any) -> bool:
    import jax

    kind = getattr(leaf, "dtype", None)
    return bool(jax.numpy.issubdtype(kind, jax.dtypes.prng_key))


def _called(make: Callable[[Any], Any], *shape: int) -> list[str]:
    import jax
    import jax.numpy as jnp
    import numpy as np

    nnx = _nnx()
    layer = make(nnx.Rngs(0, params=1, dropout=2))
    size = int(np.prod(shape))
    x = jnp.sin(jnp.arange(float(size)) * 1.7).reshape(shape)
    y = layer(x)
    leaves = [np.asarray(leaf) for leaf in jax.tree_util.tree_leaves(y)]
    sums = [
        f"{leaf.dtype}{list(leaf.shape)} {np.abs(leaf).sum():.4g}" for leaf in leaves
    ]
    return [type(y).__name__, *sums, *told(layer)]


def _trained() -> list[str]:
    import jax.numpy as jnp
    import optax  # type: ignore[import-not-found, unused-ignore]

    nnx = _nnx()
    model = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.tanh)
    optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)

    def train(model: Any, optimizer: Any, x: Any) -> Any:
        loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).mean())(model)
        optimizer.update(model, grads)
        return loss

    step = nnx.jit(train)
    losses = [f"{float(step(model, optimizer, jnp.ones((4, 2)))):.4g}" for _ in "abc"]
    return [*losses, *told(model), *told(optimizer)]


def _shared() -> list[str]:
    nnx = _nnx()
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    graphdef, state = nnx.split(model)
    twin = nnx.merge(graphdef, state)
    model.bias[...] = model.bias[...] + 1
    return [type(state).__name__, type(state["bias"]).__name__, *told(twin)]


def _vectorized() -> list[str]:
    import jax.numpy as jnp

    nnx = _nnx()

    def linear(rngs: Any) -> Any:
        return nnx.Linear(2, 2, rngs=rngs)

    make = nnx.split_rngs(splits=3)(nnx.vmap(in_axes=0, out_axes=0)(linear))
    models = make(nnx.Rngs(0))
    over = nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
    apply = over(lambda x, model: model(x))
    return [str(apply(jnp.ones((1, 2)), models).shape), *told(models)]


PROGRAMS: dict[str, Callable[[], list[str]]] = {
    "Linear": lambda: _called(lambda r: _nnx().Linear(3, 2, rngs=r), 4, 3),
    "Conv": lambda: _called(lambda r: _nnx().Conv(3, 2, (3,), rngs=r), 2, 5, 3),
    "BatchNorm": lambda: _called(lambda r: _nnx().BatchNorm(3, rngs=r), 4, 3),
    "LayerNorm": lambda: _called(lambda r: _nnx().LayerNorm(3, rngs=r), 4, 3),
    "Dropout": lambda: _called(lambda r: _nnx().Dropout(0.5, rngs=r), 4, 3),
    "MultiHeadAttention": lambda: _called(
        lambda r: _nnx().MultiHeadAttention(2, 4, 4, decode=False, rngs=r), 2, 3, 4
    ),
    "LSTMCell in RNN": lambda: _called(
        lambda r: _nnx().RNN(_nnx().LSTMCell(3, 2, rngs=r)), 2, 4, 3
    ),
    "three steps of Adam": _trained,
    "split, merge and a change": _shared,
    "vmap and scan over layers": _vectorized,
}


def results(wanted: dict[str, list[str]]) -> dict[str, list[str]]:
    """What the examples and the programs say here, by name."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    found = {name: run(sources) for name, sources in wanted.items()}
    for name, program in PROGRAMS.items():
        try:
            found[f"program: {name}"] = program()
        except Exception as error:
            found[f"program: {name}"] = [_plain(f"{type(error).__name__}: {error}")]
    return found


def differences(
    old: dict[str, list[str]], new: dict[str, list[str]]
) -> dict[str, tuple[str, str]]:
    """Where two releases differ, by name: the first line that each says alone."""
    found = {}
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            pairs = zip([*old[name], ""], [*new[name], ""], strict=False)
            found[name] = next(p for p in pairs if p[0] != p[1])
    return found


def main(arguments: list[str]) -> None:
    """Run one of the two commands."""
    match arguments:
        case ["examples", out]:
            Path(out).write_text(json.dumps(examples(), indent=0))
        case ["run", wanted, out]:
            found = results(json.loads(Path(wanted).read_text()))
            Path(out).write_text(json.dumps(found, indent=0))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
