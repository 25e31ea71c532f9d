"""``nnx-compat run``: a script or a module as ``python`` runs it."""

from __future__ import annotations

import builtins
import importlib.machinery
import os
import runpy
import sys
import types
from collections.abc import Callable, Sequence


def run_script(script: str, arguments: Sequence[str]) -> None:
    """As ``python script arguments``: a file, folder or archive, ``-`` for stdin."""
    put_first = _first_place()
    sys.argv[:] = [script, *arguments]
    if script == "-":
        put_first("")
        _execute(
            sys.stdin.buffer.read(),
            "<stdin>",
            {"__file__": "<stdin>", "__cached__": None},
        )
    elif os.path.isfile(script) and not _is_archive(script):
        path = os.path.abspath(script)
        put_first(os.path.dirname(os.path.realpath(path)))
        loader = importlib.machinery.SourceFileLoader("__main__", path)
        with open(path, "rb") as file:
            source = file.read()
        more: dict[str, object] = {
            "__file__": path,
            "__cached__": None,
            "__loader__": loader,
        }
        _execute(source, path, more)
    else:
        # which puts it first on the path, absolute as Python does
        runpy.run_path(os.path.abspath(script), run_name="__main__")


def run_module(name: str, arguments: Sequence[str]) -> None:
    """As ``python -m name arguments``."""
    put_first = _first_place()
    sys.argv[:] = [name, *arguments]
    put_first(os.getcwd())
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _execute(source: bytes, path: str, more: dict[str, object]) -> None:
    """Run it in a main module of its own, which stays: pickle looks there."""
    main = types.ModuleType("__main__")
    vars(main).update({"__builtins__": builtins, "__annotations__": {}, **more})
    sys.modules["__main__"] = main
    exec(compile(source, path, "exec", dont_inherit=True), vars(main))


def _first_place() -> Callable[[str], None]:
    """What puts a folder where Python looks first, instead of ours that is there now.

    Nothing is put there where Python was told not to look beside a script, which it can
    be from 3.11 on.
    """
    if getattr(sys.flags, "safe_path", False):
        return lambda folder: None
    ours = {"", os.getcwd(), os.path.dirname(os.path.abspath(sys.argv[0]))}
    replaced = 1 if sys.path and sys.path[0] in ours else 0

    def put(folder: str) -> None:
        sys.path[:replaced] = [folder]

    return put


def show(error: Exception) -> None:
    """Print a traceback as Python does, without the calls that are ours."""
    traceback = error.__traceback__
    here = os.path.dirname(__file__)
    while traceback and os.path.dirname(traceback.tb_frame.f_code.co_filename) == here:
        traceback = traceback.tb_next
    sys.excepthook(type(error), error.with_traceback(traceback), traceback)


def _is_archive(path: str) -> bool:
    import zipfile

    return zipfile.is_zipfile(path)
