"""``nnx-compat run`` is python in all else; and what else is in a process."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import nnx_compat as nc
from nnx_compat._nnx import _modules
from nnx_compat.revisions import nnx

SOURCE = Path(nc.__file__).parent.parent
FLAX = nnx.__name__.rpartition(".")[0]
RUN = [sys.executable, "-W", "ignore", "-m", "nnx_compat", "run"]
PYTHON = [sys.executable, "-W", "ignore"]

SCRIPT = """
'''About it.'''
import sys
def shown():
    place = globals().get("__file__")
    return place, __name__, __spec__, __package__, __doc__, sys.argv, sys.path[0]
print(shown(), type(__builtins__), sys.modules["__main__"].__dict__ is globals())
"""


def ran(command, folder, env=(), **given):
    env = {**os.environ, "PYTHONPATH": str(SOURCE), **dict(env)}
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, **given
    )


@pytest.mark.parametrize(("how", "safe"), [("script.py", ""), ("-", "1")])
def test_a_script_sees_what_it_sees_in_python_and_ends_so(tmp_path, how, safe):
    text = SCRIPT + "raise BrokenPipeError('a socket')\n"
    (tmp_path / "script.py").write_text(text)
    given = {"input": text} if how == "-" else {}
    ours, pythons = (
        ran([*command, how, "a", "-m"], tmp_path, {"PYTHONSAFEPATH": safe}, **given)
        for command in (RUN, PYTHON)
    )
    assert ours.stdout == pythons.stdout
    assert "About it." in ours.stdout
    assert ours.stderr == pythons.stderr
    assert "a socket" in ours.stderr
    assert ours.returncode == pythons.returncode == 1


def test_processes_that_are_spawned_have_it_too(tmp_path):
    (tmp_path / "script.py").write_text(
        f"import multiprocessing, pickle\nfrom {FLAX} import nnx\n"
        "List = nnx.List\n"  # at the top, where a spawned process runs it as well
        "def seen(_):\n    return nnx.Param(2.0).get_value(), List is nnx.List\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(seen, [0]))\n"
    )
    process = ran([*RUN, "script.py"], tmp_path)
    assert process.stdout == "[(2.0, True)]\n", process.stderr


def test_views_of_modules_are_pickled_and_copied_by_their_path():
    paths = ("nnx", "graphlib", "pytreelib", "transforms.iteration")
    modules = [_modules.at(path) for path in paths]  # as install() puts them in place
    views = [module for module in modules if type(module) is _modules.NnxModule]
    assert views
    for view in views:
        assert copy.deepcopy(view) is view
        assert pickle.loads(pickle.dumps(view)) is view


def test_blocks_are_counted_over_threads():
    inside, go = threading.Event(), threading.Event()

    def first():
        with nc.installed():
            inside.set()
            go.wait()

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait()
    with nc.installed():
        names = nc.installed_names()
        go.set()
        thread.join()
        assert nc.installed_names() == names
    assert nc.installed_names() == ()


def test_what_was_installed_in_a_block_by_name_stays():
    with nc.installed():
        nc.install()
    names = nc.installed_names()
    nc.uninstall()
    with nc.installed():
        assert nc.installed_names() == names
        nc.uninstall()
        assert nc.installed_names() == ()
    assert nc.installed_names() == ()
