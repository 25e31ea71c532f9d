"""Names of other frameworks: every one matches one rule, every target is filled once."""

from __future__ import annotations

import enum
import json
import re

import jax.numpy as jnp
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat import checkpoint, errors
from nnx_compat.checkpoint import _rename


class Transform(enum.Enum):
    """As the libraries have it: (permute, reshape, reshape first)."""

    NONE = None
    LINEAR = ((1, 0), None)
    HEADS = ((2, 0, 1), (2, 2, 3), True)
    SPECIAL = "by hand"


ARRAYS = {
    "model.layers.0.q.weight": np.arange(12.0, dtype="float32").reshape(4, 3),
    "model.layers.10.q.weight": np.arange(12.0, dtype="float32").reshape(4, 3) + 1,
    "model.embed.weight": np.arange(6.0, dtype="float32").reshape(2, 3),
    "model.norm.weight": np.ones(3, "float32"),
    "model.norm.num_batches_tracked": np.array(7),
}
RULES = {
    r"model\.layers\.([0-9]+)\.q\.weight": (r"layers.\1.q.kernel", Transform.HEADS),
    r"model\.embed\.weight": ("embed.embedding", Transform.NONE),
    r"model\.norm\.weight": "norm.scale",
    r".*num_batches_tracked": None,
}


@pytest.fixture
def file(tmp_path):
    np.savez(tmp_path / "weights.npz", **ARRAYS)
    return tmp_path / "weights.npz"


def renamed(file, rules):
    return _rename.renamed(checkpoint.read(file), rules)[""]


def test_the_dict_of_the_model_libraries_is_taken_as_it_is(file):
    item = renamed(file, RULES)
    assert sorted(item) == [
        "embed/embedding", "layers/0/q/kernel", "layers/10/q/kernel", "norm/scale",
    ]  # fmt: skip
    wanted = ARRAYS["model.layers.10.q.weight"].reshape(2, 2, 3).transpose(2, 0, 1)
    entry = item["layers/10/q/kernel"]
    assert entry.shape == (3, 2, 2)
    assert (entry.read() == wanted).all()
    assert (item["embed/embedding"].read() == ARRAYS["model.embed.weight"]).all()


def test_a_function_of_a_name_does_the_same(file):
    def rule(name):
        found = {re.compile(regex): target for regex, target in RULES.items()}
        for regex, target in found.items():
            if regex.fullmatch(name):
                to = target if isinstance(target, tuple) else (target, None)
                return to[0] and (regex.sub(to[0], name), to[1])
        raise AssertionError(name)

    assert sorted(renamed(file, rule)) == sorted(renamed(file, RULES))


def test_rules_come_from_a_json_file(file, tmp_path):
    rules = {
        regex: [to[0], to[1].value] if isinstance(to, tuple) else to
        for regex, to in RULES.items()
    }
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    found = renamed(file, _rename.from_file(tmp_path / "rules.json"))
    assert found["layers/0/q/kernel"].shape == (3, 2, 2)


@pytest.mark.parametrize("order", [(1, 0), (0, 1)])
def test_of_a_permuted_array_only_the_part_that_is_needed_is_read(file, order):
    item = renamed(file, {**RULES, r"model\.embed\.weight": ("e", (order, None))})
    whole = ARRAYS["model.embed.weight"].transpose(order)
    part = slice(0, 2), slice(1, 2)
    assert (item["e"].read(part) == whole[part]).all()
    assert (item["e"].read((1,)) == whole[1]).all()


def test_what_is_reshaped_before_or_after_is_permuted_differently(file):
    for first, wanted in ((False, (6, 2)), (True, (3, 2, 2))):
        rule = ((1, 0), (6, 2)) if not first else ((2, 0, 1), (2, 2, 3), True)
        rules = {**RULES, r"model\.layers\.([0-9]+)\.q\.weight": (r"q.\1", rule)}
        assert renamed(file, rules)["q/0"].shape == wanted


def test_a_regex_of_the_beginning_of_a_name_keeps_the_rest(file):
    item = renamed(file, {r"model\.": "m."})
    assert "m/layers/10/q/weight" in item
    assert len(item) == len(ARRAYS)


def test_a_regex_of_the_whole_name_goes_before_one_of_its_beginning(file):
    item = renamed(file, {r"model\.": "m.", r"model\.norm\.weight": "scale"})
    assert "scale" in item
    assert "m/norm/weight" not in item


REFUSED = {
    "a name without a rule": (
        {k: v for k, v in RULES.items() if "norm.weight" not in k.replace("\\", "")},
        "model.norm.weight matches no rule",
    ),
    "a name with two rules": (
        {**RULES, r"model\.norm\..*": "x"},
        "model.norm.weight matches model.*and model",
    ),
    "two names with one target": (
        {**RULES, r"model\.layers\.([0-9]+)\.q\.weight": "layers.q"},
        "model.layers.10.q.weight and model.layers.0.q.weight both become layers.q",
    ),
    "axes that are not there": (
        {**RULES, r"model\.norm\.weight": ("n", ((1, 0), None))},
        r"model.norm.weight has shape \[3\]: no axes \[1, 0\]",
    ),
    "a shape of another size": (
        {**RULES, r"model\.norm\.weight": ("n", (None, (2, 2)))},
        r"model.norm.weight has shape \[3\]: no reshape to \[2, 2\]",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_rules_that_do_not_fit_are_refused_by_name(case, file):
    rules, text = REFUSED[case]
    with pytest.raises(errors.CheckpointStructureError, match=text):
        renamed(file, rules)


@pytest.mark.parametrize(
    ("rules", "error", "text"),
    [
        ({"(": "x"}, errors.ArgumentValueError, "no regular expression"),
        ({"x": 3}, errors.ArgumentTypeError, "rename has 3 for x"),
        ({"x": ("y", Transform.SPECIAL)}, errors.ArgumentTypeError, "for x"),
        ({"x": ("y", (1, 0))}, errors.ArgumentTypeError, "permute, reshape"),
        ("x", errors.ArgumentTypeError, "rename is a str"),
    ],
)
def test_rules_of_another_kind_are_refused(rules, error, text, file):
    with pytest.raises(error, match=text):
        renamed(file, rules)


def test_weights_of_another_framework_are_loaded_into_a_model(tmp_path, rngs):
    model = nc.nnx.Linear(3, 2, rngs=rngs)
    weight = np.arange(6, dtype="float32").reshape(2, 3)
    np.savez(tmp_path / "w", **{"fc.weight": weight, "fc.bias": np.ones(2, "float32")})
    rules = {r"fc\.weight": ("kernel", ((1, 0), None)), r"fc\.bias": ("bias", None)}
    nc.checkpoint.load(tmp_path / "w.npz", model=model, rename=rules)
    assert (nc.get_value(model.kernel) == jnp.asarray(weight).T).all()
    assert (nc.get_value(model.bias) == 1).all()


def test_a_target_that_no_name_fills_is_named_with_the_nearest(tmp_path, rngs):
    model = nc.nnx.Linear(3, 2, rngs=rngs)
    np.savez(tmp_path / "w", w=np.ones((3, 2), "float32"), b=np.ones(2))
    rules = {"w": "kernel", "b": "bais"}
    before = np.asarray(nc.get_value(model.kernel))
    with pytest.raises(errors.CheckpointStructureError, match="bias.*bais"):
        nc.checkpoint.load(tmp_path / "w.npz", model=model, rename=rules)
    assert (nc.get_value(model.kernel) == before).all()
