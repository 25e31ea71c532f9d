"""``fix``: what it writes runs on the releases that it says, and stays as it is."""

from __future__ import annotations

import ast
import json
import sys
import textwrap
from pathlib import Path

import pytest

from nnx_compat import cli, facts
from nnx_compat.check import SourceError, check_source, releases
from nnx_compat.check.fixing import files, fix_source, writing
from nnx_compat.check.rules import RULES
from nnx_compat.check.sources import Source

from .test_rules import FIXTURES, here, run

sys.path.insert(0, str(Path(__file__).parent.parent))

from tools import fuzz, programs

HEAD = "from nnx_compat import nnx\n"
BOTH = "import nnx_compat as nc\nfrom nnx_compat import nnx\n"


def fixed(script, to="portable", **options):
    return fix_source(Source("a.py", textwrap.dedent(script)), to, **options)


def certain(script):
    mask = 0
    for finding in check_source(Source("a.py", script)):
        mask |= finding.excluded if finding.certain else 0
    return mask


# -- on the installed release -------------------------------------------------------


@pytest.mark.parametrize("file", FIXTURES, ids=lambda f: f"{f.parent.name}-{f.stem}")
def test_a_fixed_fixture_runs_where_the_checker_says_and_stays_as_it_is(file):
    script = fixed(file.read_text()).text
    assert fixed(script).text == script
    error = run(script)
    assert bool(error) is here(certain(script)), f"{error}\n{script}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_example_of_a_rule_runs_on_every_release_once_it_is_fixed(rule):
    script = rule.after or fixed(rule.before).text
    assert fixed(script).text == script
    assert certain(script) == 0, script
    error = run(script)
    assert error is None, f"{error}\n{script}"


@pytest.mark.parametrize("file", FIXTURES, ids=lambda f: f"{f.parent.name}-{f.stem}")
def test_what_is_written_for_the_newest_release_runs_there(file):
    script = fixed(file.read_text(), "newest").text
    assert fixed(script, "newest").text == script
    newest = facts.releases()[-1].version
    if here(1 << releases.ALL.bit_length() - 1):
        error = run(script)
        assert bool(error) is (newest in releases.listed(certain(script))), error


# -- what is written ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from flax import nnx", "from nnx_compat import nnx"),
        ("import flax.nnx as nnx", "from nnx_compat import nnx"),
        ("from flax import nnx as n", "from nnx_compat import nnx as n"),
        ("from flax.experimental import nnx", "from nnx_compat import nnx"),
        ("from flax import linen, nnx", "from flax import linen\nfrom nnx_compat import nnx"),
        ("from flax.nnx import Param as P, List", "from nnx_compat.nnx import Param as P, List"),
        ("from flax.nnx import (  # what we need\n    Param,\n)", None),
        ("import flax.nnx", None),
        ("from flax import linen", None),
        ("from .compat import nnx", None),
        (
            "try:\n    from flax import nnx\nexcept ImportError:\n    from flax.experimental import nnx",
            "from nnx_compat import nnx",
        ),
        ("def f():\n    from flax import nnx, linen", "def f():\n    from flax import linen\n    from nnx_compat import nnx"),
    ],
)  # fmt: skip
def test_imports_are_turned_to_the_drop_in_namespace(before, after):
    assert fixed(before).text == (before if after is None else after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("w.value", "nc.get_value(w)"),
        ("w.value = x", "nc.set_value(w, x)"),
        ("w.value = 1, 2", "nc.set_value(w, (1, 2))"),
        ("w.value += x", "nc.set_value(w, nc.get_value(w) + x)"),
        ("w.value *= a + b", "nc.set_value(w, nc.get_value(w) * (a + b))"),
        ("w.value = w.value + w.value", "nc.set_value(w, nc.get_value(w) + nc.get_value(w))"),
        ("print( w.value ,1 )  # why", "print( nc.get_value(w) ,1 )  # why"),
        ("w.get_value()", "nc.get_value(w)"),
        ("w.get_value(index=0)", "nc.get_value(w)[0]"),
        ("w.set_value(x)", "nc.set_value(w, x)"),
        ("w[...] = x", "nc.set_value(w, nc.get_value(w).at[...].set(x))"),
        ("w[1:] += x", "nc.set_value(w, nc.get_value(w).at[1:].add(x))"),
        ("w += 1", "nc.set_value(w, nc.get_value(w) + 1)"),
        ("w.T", "nc.get_value(w).T"),
        ("f(w[...], é, w.value)", "f(nc.get_value(w), é, nc.get_value(w))"),
        ("w.value = (  # of the\n    w.value,  # first\n)", "nc.set_value(w, (  # of the\n    nc.get_value(w),  # first\n))"),
    ],
)  # fmt: skip
def test_variables_are_read_and_written_by_functions(before, after):
    head = "w = nnx.Param(x)\n"
    script = f"from flax import nnx\n{head}{before}\n"
    assert fixed(script).text == f"{BOTH}{head}{after}\n"


@pytest.mark.parametrize(
    "line",
    [
        "a = w.value = 1",
        "w.value: int = 1",
        "del w.value",
        "w.value = w.other = 2",
        "f().value = 1",
        "w.get_value(**options)",
        "for w.value in range(3): pass",
    ],
)
def test_what_has_no_plain_form_is_left_and_reported(line):
    script = f"{HEAD}w = nnx.Param(1)\n{line}\n"
    assert fixed(script).text == script


def test_a_comment_in_the_way_is_kept_and_the_place_reported():
    script = f"{HEAD}w = nnx.Param(1)\nx = w.set_value(  # why\n    1\n)\n"
    result = fixed(script)
    assert result.text == script
    assert [(f.code, why) for f, why in result.left] == [
        ("NC103", "a comment is in the way")
    ]


def test_the_names_of_the_file_are_used():
    script = "import nnx_compat as ours\nfrom flax import nnx as n\nw = n.Param(1)\nw.value\n"
    assert fixed(script).text == (
        "import nnx_compat as ours\nfrom nnx_compat import nnx as n\n"
        "w = n.Param(1)\nours.get_value(w)\n"
    )
    taken = "from flax import nnx\nnc = 1\nw = nnx.Param(nc)\nw.value\n"
    assert fixed(taken).text == (
        "import nnx_compat\nfrom nnx_compat import nnx\nnc = 1\n"
        "w = nnx.Param(nc)\nnnx_compat.get_value(w)\n"
    )


def test_the_import_goes_behind_docstring_and_future():
    script = '"""Doc."""\n\nfrom __future__ import annotations\n\nimport flax.nnx\n\n\ndef f(v: flax.nnx.Variable):\n    return v.value\n'
    text = fixed(script).text
    assert text.index("import annotations") < text.index("import nnx_compat as nc")
    assert "return nc.get_value(v)" in text
    ast.parse(text)


def test_every_place_that_is_left_has_its_reason():
    def reasons(line, to="portable", **options):
        script = f"{HEAD}m, w = load(), nnx.Param(1)\n{line}\n"
        return [why for _, why in fixed(script, to, **options).left]

    assert reasons("nnx.no_such_name") == ["no other form is certain to mean the same"]
    assert reasons("w.value", only=["NC311"]) == ["--only leaves it out"]
    [unsafe] = reasons("nnx.state(m).flat_state()")
    assert unsafe == "--unsafe writes what may mean something else"


def test_the_import_goes_ahead_of_its_first_use():
    script = (
        "if True:\n    from flax import nnx\nw = nnx.Param(1)\nw.value\nimport flax\n"
    )
    result = fixed(script).text
    assert result.startswith(
        "import nnx_compat as nc\nif True:\n    from nnx_compat import nnx\n"
    )
    decorated = '"""Doc."""\n@f\ndef g(w: "nnx.Param"):\n    from flax import nnx\n    w = nnx.Param(1)\n    return w.value\n'
    assert fixed(decorated).text.startswith('"""Doc."""\nimport nnx_compat as nc\n@f\n')


def test_an_f_string_is_rewritten_where_python_says_what_is_where_in_it():
    script = (
        f"{HEAD}w = nnx.Param(1)\nprint(f'{{w.value}}', f'{{w.value=}}', w.value)\n"
    )
    result = fixed(script)
    reasons = {reason for _, reason in result.left}
    assert result.text.endswith("f'{w.value=}', nc.get_value(w))\n")
    if sys.version_info >= (3, 12):
        assert "print(f'{nc.get_value(w)}'," in result.text
        assert reasons == {"the f-string shows how it is written"}
    else:
        assert "print(f'{w.value}'," in result.text
        assert all("in an f-string" in reason for reason in reasons)


def test_all_calls_of_an_optimizer_are_given_their_model_or_none():
    script = """\
    from flax import nnx

    class Trainer:
        def __init__(self, model, tx):
            self.model = model
            self.optimizer = nnx.Optimizer(self.model, tx)

        def step(self, grads):
            self.optimizer.update(grads)
    """
    text = fixed(script).text
    assert "nnx.Optimizer(self.model, tx, wrt=nnx.Param)" in text
    assert "self.optimizer.update(self.model, grads)" in text
    unclear = script.replace("self.model, tx)", "make(), tx)")
    text = fixed(unclear).text
    # one whose update cannot be given the model goes on holding it
    assert "nnx.ModelAndOptimizer(make(), tx, wrt=nnx.Param)" in text
    assert "self.optimizer.update(grads)" in text


def test_the_other_spellings():
    for before, after in [
        ("nnx.grad(f, wrt=nnx.Param)", "nnx.grad(f, argnums=nnx.DiffState(0, nnx.Param))"),
        ("nnx.merge(g, s, copy=True)", "nc.merge(g, s)"),
        ("nnx.merge(g, s, copy=flag)", "nnx.merge(g, s, copy=flag)"),
        ("nnx.state(m).filter(nnx.Param)", "nc.filter_state(nnx.state(m), nnx.Param)"),
        ("nnx.state(m).map(f)", "nc.map_state(f, nnx.state(m))"),
        ("nnx.state(m).flat_state()", "nnx.state(m).flat_state()"),
    ]:  # fmt: skip
        text = fixed(f"from flax import nnx\nm, g, s, f = load()\nr = {before}\n").text
        assert text.splitlines()[-1] == f"r = {after}"
    unsafe = fixed(
        "from flax import nnx\nr = nnx.state(m).flat_state()\n", unsafe=True
    ).text
    assert unsafe.splitlines()[-1] == "r = nc.to_flat_state(nnx.state(m))"


def test_the_newest_spelling_for_the_newest_release():
    script = """\
    from flax import nnx
    w = nnx.Param(1)
    w.value += 1
    leaf = nnx.VariableState(nnx.Param, w.value)
    opt = nnx.Optimizer(model, tx)
    opt.update(grads)
    flat = nnx.state(model).filter(nnx.Param)
    """
    assert fixed(script, "newest").text == textwrap.dedent(
        """\
        from flax import nnx
        w = nnx.Param(1)
        w.set_value(w.get_value() + 1)
        leaf = nnx.Param(w.get_value())
        opt = nnx.Optimizer(model, tx, wrt=nnx.Param)
        opt.update(model, grads)
        flat = nnx.filter_state(nnx.state(model), nnx.Param)
        """
    )


def test_a_form_that_the_range_does_not_have_is_not_used():
    script = "from flax import nnx\nw = nnx.Param(1)\nw.value\n"
    assert fixed(script, ">=0.12").text == script
    assert "w.get_value()" in fixed(script, ">=0.12.1").text


GUARDS = """\
from flax import nnx
import flax

# where it was
if hasattr(nnx, "List"):
    # by now
    layers = nnx.List([1])  # kept

    more = nnx.List
else:
    layers = [1]

first = nnx.view if hasattr(nnx, "view") else None


def f():
    if not hasattr(nnx, "List"):
        return None
    if flax.__version__ < "0.11":
        x = 1
    elif hasattr(nnx, "view"):
        x = 2
    else:
        x = 3
    return x
"""


def test_guards_that_the_floor_has_made_needless_are_dropped():
    result = fixed(GUARDS, ">=0.12.0")
    assert result.text == textwrap.dedent(
        """\
        from flax import nnx
        import flax

        # where it was
        # by now
        layers = nnx.List([1])  # kept

        more = nnx.List

        first = nnx.view if hasattr(nnx, "view") else None


        def f():
            if hasattr(nnx, "view"):
                x = 2
            else:
                x = 3
            return x
        """
    )
    assert GUARDS[: GUARDS.index("def f")] in fixed(GUARDS, ">=0.10").text


@pytest.mark.parametrize(
    "guard",
    [
        "if hasattr(nnx, 'List'):\n    x = 1  # noqa\n",
        "if hasattr(nnx, 'List'):\n    x = 1  # noqa\nelse:\n    x = 2  # not\n",
        "if not hasattr(nnx, 'List'):\n    x = 2\nelse:\n    x = 1  # noqa\n",
    ],
)
def test_a_comment_behind_a_dropped_guard_is_there_once(guard):
    result = fixed(f"from flax import nnx\n{guard}y = 1\n", ">=0.12.0")
    assert result.kept == ""
    assert result.text.startswith("from flax import nnx\nx = 1  # noqa")
    assert result.text.count("noqa") == 1
    assert result.text.endswith("\ny = 1\n")


def test_a_string_over_several_lines_is_not_dedented():
    script = (
        'from flax import nnx\nif hasattr(nnx, "split"):\n'
        '    x = """\n    a\n    """\n    nnx.split(x)\n'
    )
    result = fixed(script, ">=0.12")
    assert result.text == script


def test_a_conditional_expression_with_a_comment_in_it_stays():
    script = (
        "from flax import nnx\nx = (\n    nnx.split  # since long\n"
        '    if hasattr(nnx, "split")  # always\n    else None\n)\n'
    )
    assert fixed(script, ">=0.12").text == script


def test_conditions_that_are_not_about_releases_stay():
    script = (
        "from typing import TYPE_CHECKING\nfrom flax import nnx\n"
        "if TYPE_CHECKING:\n    x = 1\nif True:\n    y = 2\nif DEBUG:\n    z = 3\n"
    )
    assert fixed(script, ">=0.12").text == script


def test_only_what_is_asked_for_is_changed():
    script = "from flax import nnx\nw = nnx.Param(1)\nw.value\nw.T\n"
    text = fixed(script, only=["NC501"]).text
    assert "nc.get_value(w)\nw.T" in text
    assert "from flax import nnx" in text


def test_a_range_that_is_none_is_an_error():
    with pytest.raises(SourceError, match="version specifier"):
        fixed("import flax", "the moon")


# -- the command line ---------------------------------------------------------------


@pytest.fixture
def project(tmp_path):
    file = tmp_path / "model.py"
    file.write_text("from flax import nnx\nw = nnx.Param(1)\nw.value  # one\n")
    (tmp_path / "other.py").write_text("x = 1\n")
    return tmp_path


def test_files_are_written(project, capsys):
    assert cli.main(["fix", str(project)]) == 0
    text = (project / "model.py").read_text()
    assert text == f"{BOTH}w = nnx.Param(1)\nnc.get_value(w)  # one\n"
    out = capsys.readouterr().out
    assert f"{project / 'model.py'}: 3 changes" in out
    assert cli.main(["fix", str(project)]) == 0
    assert "nothing to change" in capsys.readouterr().out
    names = {file.name for file in project.iterdir()}
    assert names == {"model.py", "other.py"}, "a scratch file was left"


def test_a_difference_is_shown_and_nothing_written(project, capsys):
    before = (project / "model.py").read_text()
    assert cli.main(["fix", str(project), "--diff"]) == 0
    out = capsys.readouterr().out
    assert "-w.value  # one\n+nc.get_value(w)  # one" in out
    assert (project / "model.py").read_text() == before


def test_check_says_that_there_is_something_to_do(project, capsys):
    before = (project / "model.py").read_text()
    assert cli.main(["fix", str(project), "--check"]) == 1
    assert (project / "model.py").read_text() == before
    cli.main(["fix", str(project)])
    assert cli.main(["fix", str(project), "--check"]) == 0


def test_a_target_stands_in_place_of_the_declared_range(tmp_path, capsys):
    file = tmp_path / "model.py"
    file.write_text("from flax import nnx\n\nweight = nnx.Param(1.0).value\n")
    (tmp_path / "requirements.txt").write_text("flax==0.10.7\n")
    assert cli.main(["fix", str(tmp_path)]) == 0
    assert "nnx.Param(1.0).value" in file.read_text()
    assert cli.main(["fix", str(tmp_path), "--target", ">=0.10.7"]) == 0
    assert "nc.get_value(nnx.Param(1.0))" in file.read_text()
    assert "for flax>=0.10.7, as --target asks" in capsys.readouterr().out
    assert cli.main(["fix", str(file), "--target", "0.9", "--to", "newest"]) == 2
    assert "instead: --to '0.9', natively" in capsys.readouterr().err


def test_what_is_left_is_a_line(tmp_path, capsys):
    file = tmp_path / "a.py"
    file.write_text("from flax import nnx\nw = nnx.Param(1)\na = w.value = 2\n")
    assert cli.main(["fix", str(file)]) == 0
    out = capsys.readouterr().out
    assert f"{file}:3:5: NC501" in out
    assert "(left: no other form is certain to mean the same)" in out


def test_a_broken_file_leaves_all_others_as_they_are(project, capsys):
    (project / "broken.py").write_text("def (: nnx")
    before = (project / "model.py").read_text()
    assert cli.main(["fix", str(project)]) == 2
    assert "broken.py" in capsys.readouterr().err
    assert (project / "model.py").read_text() == before


def test_the_encoding_and_the_line_ends_of_a_file_are_kept(tmp_path):
    file = tmp_path / "latin.py"
    text = "# -*- coding: latin-1 -*-\r\nfrom flax import nnx\r\nw = nnx.Param('é')\r\nw.value\r\n"
    file.write_bytes(text.encode("latin-1"))
    assert cli.main(["fix", str(file)]) == 0
    written = file.read_bytes().decode("latin-1")
    assert "nnx.Param('é')\r\nnc.get_value(w)\r\n" in written
    assert "\n" not in written.replace("\r\n", "")


MAGICS = """\
%%time
!pip install flax
w = nnx.Param(1)
x = %time w.value
files = !ls
w.value?
"""


def test_a_notebook_is_rewritten_cell_by_cell_with_its_magics(tmp_path):
    file = tmp_path / "a.ipynb"
    cells = [
        {"cell_type": "markdown", "source": ["w.value\n"]},
        {"cell_type": "code", "source": ["from flax import nnx"], "outputs": []},
        {"cell_type": "code", "source": "this is no Python\n"},
        {"cell_type": "code", "source": MAGICS},
        {"cell_type": "code", "source": "%%bash\nls\n"},
    ]
    file.write_text(json.dumps({"cells": cells, "nbformat": 4}, indent=1) + "\n")
    assert cli.main(["fix", str(tmp_path)]) == 0
    text = file.read_text()
    assert text.endswith("}\n")
    sources = [cell["source"] for cell in json.loads(text)["cells"]]
    assert sources[1] == ["import nnx_compat as nc\n", "from nnx_compat import nnx"]
    assert sources[3] == MAGICS.replace(
        "x = %time w.value", "x = %time nc.get_value(w)"
    )
    for untouched in (0, 2, 4):
        assert sources[untouched] == cells[untouched]["source"]
    cli.main(["fix", str(tmp_path)])
    assert file.read_text() == text


# -- never other code -----------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "p.value, q.value = a, b",
        "(p.value, q) = a, b",
        "[p.value, *rest] = a",
        "((p.value), q.value) = a, b",
        "for p.value, q in a: pass",
        "with a as (p.value, q): pass",
    ],
)
def test_a_target_among_others_is_left(line):
    script = f"{HEAD}p = nnx.Param(1)\nq = nnx.Param(2)\n{line}\n"
    assert fixed(script).text == script


@pytest.mark.parametrize("odd", ["\f", "\x1c", "\u2028", "\x85", "\v"])
def test_what_is_no_end_of_a_line_to_python_moves_nothing(odd):
    script = (
        f"from flax import nnx\ns = '{odd}'\n{{0}}w = nnx.Param(1)\nprint(w.value)\n"
    )
    script = script.format(odd if odd == "\f" else "")
    if odd in "\f\v":
        script = script.replace("s = '", "s = 1  # '")
    text = fixed(script).text
    assert text.endswith("w = nnx.Param(1)\nprint(nc.get_value(w))\n")
    assert odd in text


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_lines_may_end_in_every_way_that_python_knows(end):
    script = end.join(["from flax import nnx", "w = nnx.Param(1)", "w.value", ""])
    assert fixed(script).text.endswith(f"nnx.Param(1){end}nc.get_value(w){end}")


JITTED = """\
import optax
from flax import nnx


@nnx.jit
def step(model, optimizer, batch):
    loss, grads = nnx.value_and_grad(lambda m: m(batch).sum())(model)
    optimizer.update(grads)
    return loss


def main(batch):
    net = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    trained = nnx.Optimizer(net, optax.sgd(0.1))
    step(net, trained, batch)
"""


def test_the_model_of_an_optimizer_is_followed_into_functions():
    text = fixed(JITTED).text
    assert "optimizer.update(model, grads)" in text
    assert "nnx.Optimizer(net, optax.sgd(0.1), wrt=nnx.Param)" in text
    elsewhere = JITTED.replace(
        "def main", "def other(model, optimizer):\n    pass\n\n\ndef main"
    )
    assert "optimizer.update(model, grads)" in fixed(elsewhere).text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("step(net, trained, batch)", "step(make(), trained, batch)"),
        (
            "step(net, trained, batch)",
            "step(net, trained, batch)\n    step(1, trained, 2)",
        ),
        ("optimizer.update(grads)", "model = 1\n    optimizer.update(grads)"),
        ("step(net, trained, batch)", "unknown(trained).update(grads)"),
    ],
)
def test_an_optimizer_whose_model_is_not_plain_goes_on_holding_it(before, after):
    text = fixed(JITTED.replace(before, after)).text
    assert "nnx.ModelAndOptimizer(net, optax.sgd(0.1), wrt=nnx.Param)" in text
    assert "optimizer.update(grads)" in text
    assert fixed(text).text == text


# -- files as they were ---------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_links_stay_links_and_the_mode_is_kept(project):
    file, link, other = (project / name for name in ("model.py", "link.py", "hard.py"))
    file.chmod(0o754)
    link.symlink_to("model.py")
    other.hardlink_to(file)
    assert cli.main(["fix", str(project)]) == 0
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o754
    assert file.stat().st_ino == other.stat().st_ino
    assert "nc.get_value(w)" in other.read_text()


def test_a_file_that_has_changed_since_it_was_read_is_left(
    project, monkeypatch, capsys
):
    file = project / "model.py"
    real = writing.replace_whole

    def changed_meanwhile(original, text):
        file.write_text("x = 2\n")
        real(original, text)

    monkeypatch.setattr(files, "replace_whole", changed_meanwhile)
    assert cli.main(["fix", str(project)]) == 2
    assert "it has changed since it was read" in capsys.readouterr().err
    assert file.read_text() == "x = 2\n"
    assert {one.name for one in project.iterdir()} == {"model.py", "other.py"}


def test_the_range_of_the_project_is_what_is_fixed_for(project, capsys):
    (project / "pyproject.toml").write_text(
        '[project]\ndependencies = ["flax>=0.8,<0.9"]\n'
    )
    assert cli.main(["fix", str(project)]) == 0
    assert "w.value  # one" in (project / "model.py").read_text()
    said = capsys.readouterr().out
    assert "nnx-compat is a new dependency" in said


def test_it_is_said_where_a_dropout_changes_what_a_seed_gives(project, capsys):
    file = project / "model.py"
    file.write_text("from flax import nnx\nd = nnx.Dropout(0.5, rngs=nnx.Rngs(0))\n")
    (project / "requirements.txt").write_text("flax>=0.10\n")
    assert cli.main(["fix", str(project)]) == 0
    assert "layers built after it begin with other weights" in capsys.readouterr().out
    file.write_text("from flax import nnx\nd = nnx.Dropout(0.5, rngs=nnx.Rngs(0))\n")
    (project / "requirements.txt").write_text("flax>=0.12\n")
    assert cli.main(["fix", str(project)]) == 0
    assert "other weights" not in capsys.readouterr().out


def test_what_still_breaks_is_in_the_exit_code(tmp_path, capsys):
    (tmp_path / ".git").mkdir()
    file = tmp_path / "a.py"
    file.write_text("from flax import nnx\nnnx.no_such_name\n")
    assert cli.main(["fix", str(file)]) == 1
    assert "NC101" in capsys.readouterr().out


# -- a slice of tools/fuzz.py ---------------------------------------------------------


def test_a_program_prints_the_same_once_it_is_fixed():
    for program in programs.programs(8, seed=3):
        assert fuzz.compared(program) == ""


def test_no_input_is_a_traceback():
    for text in fuzz.inputs(150, seed=3):
        fuzz.tried(text)
