"""The model that ``module:factory`` on a command line stands for."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from types import ModuleType

from ..errors import ArgumentValueError, kind_of
from ..revisions import nnx
from ._walk import is_object


def load(target: str) -> object:
    """Import the module, from the current directory first, and call the factory.

    Args:
        target: ``"package.module:factory"``; the factory takes no arguments. It may
            also be a model or a state itself.

    Raises:
        ArgumentValueError: there is no such module or attribute, or either fails.
    """
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise ArgumentValueError(
            f"{target!r} does not name a factory",
            instead="package.module:factory, a function that returns the model",
        )
    found = _attribute(_module(module_name), module_name, attribute)
    if isinstance(found, nnx.State) or is_object(found):
        return found
    if not callable(found):
        raise ArgumentValueError(
            f"{target} is {kind_of(found)}, which can't be called",
            instead="a function without arguments that returns the model",
        )
    try:
        model: object = found()
        return model
    except (Exception, SystemExit) as error:
        raise ArgumentValueError(
            f"{target} failed: {_failure(error)}",
            instead="a function without arguments that returns the model",
        ) from error


def _module(name: str) -> ModuleType:
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # or else the module is there and imports what is not
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise ArgumentValueError(
                f"there is no module {error.name!r} in {folder}, nor installed",
                instead="run it in the folder that the import starts from",
            ) from None
        raise _does_not_import(name, error) from error
    except (Exception, SystemExit) as error:
        raise _does_not_import(name, error) from error


def _does_not_import(name: str, error: BaseException) -> ArgumentValueError:
    return ArgumentValueError(
        f"module {name!r} cannot be imported: {_failure(error)}",
        instead=f"repair it until `python -c 'import {name}'` runs",
    )


def _attribute(module: ModuleType, module_name: str, attribute: str) -> object:
    found: object = module
    known = module_name
    for part in attribute.split("."):
        if not hasattr(found, part):
            names = sorted(n for n in vars(found) if not n.startswith("_"))
            raise ArgumentValueError(
                f"{known} has no attribute {part!r}",
                instead=f"one of {', '.join(names[:10])}" if names else "",
            )
        found, known = getattr(found, part), f"{known}.{part}"
    return found


def _failure(error: BaseException) -> str:
    """What was raised, and the last place outside Flax and jax that it came through."""
    said = (str(error).splitlines() or [""])[0]
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename and "importlib" not in frame.filename
        and frame.filename != __file__
    ]  # fmt: skip
    at = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {said}{at}"
