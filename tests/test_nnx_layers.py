"""Layers of the drop-in namespace: the numbers of the newest release, on every one."""

import functools
import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat import errors, facts, nnx
from nnx_compat._nnx.nn._extending import extending
from nnx_compat.revisions import nnx as native


def wave(shape, shift=0.0):
    size = int(np.prod(shape))
    return jnp.asarray(np.sin(np.arange(size) * 1.7 + shift).reshape(shape), "float32")


def is_float(variable):
    """Neither a key nor an absent bias, which older releases hold an empty Param for."""
    dtype = getattr(nc.get_value(variable), "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jnp.floating)


def fixed(layer):
    """The layer with weights that no release's initializer or key decides."""
    found = [v for v in nc.variables(layer).values() if is_float(v)]
    for number, variable in enumerate(found):
        value = nc.get_value(variable)
        nc.set_value(variable, wave(value.shape, number).astype(value.dtype))
    return layer


def rngs():
    return nnx.Rngs(0)


X = wave((2, 3, 4))
IMAGE = wave((2, 5, 5, 4))
MASK = jnp.arange(24).reshape(2, 3, 4) % 5 > 0


def spectral(update):
    layer = fixed(nnx.SpectralNorm(nnx.Linear(4, 3, rngs=rngs()), rngs=rngs()))
    return layer(X, update_stats=update)


def einsum():
    return nnx.Einsum("bti,ihk->bthk", (4, 2, 3), (2, 3), rngs=rngs())


def transposed(**options):
    return nnx.ConvTranspose(4, 3, (3, 2), strides=2, rngs=rngs(), **options)


def recurrent(cell, **options):
    cell = fixed(cell(4, 3, rngs=rngs()))
    start = cell.initialize_carry((2, 4), rngs())
    start = jax.tree_util.tree_map(lambda c: c + 0.25, start)
    layer = nnx.RNN(cell, return_carry=True, **options)
    return layer(X, initial_carry=start, seq_lengths=jnp.array([2, 3]))


def bidirectional():
    there = nnx.RNN(fixed(nnx.GRUCell(4, 3, rngs=rngs())))
    back = nnx.RNN(fixed(nnx.SimpleCell(4, 3, residual=True, rngs=rngs())))
    return nnx.Bidirectional(there, back, return_carry=True)(X)


def attention(**options):
    rope = nnx.RoPE(embedding_size=4, max_seq_len=6)
    q, k, v = (wave((2, 5, 2, 4), i) for i in range(3))
    return nnx.dot_product_attention_with_rope(q, k, v, rope=rope, **options)


def grouped(**options):
    q, k, v = wave((2, 5, 4, 4)), wave((2, 5, 2, 4), 1), wave((2, 5, 2, 4), 2)
    mask = jnp.arange(5) != 2
    return nnx.dot_product_attention(q, k, v, mask=mask[None, None, None], **options)


CASES = {
    "RMSNorm": lambda: fixed(nnx.RMSNorm(4, rngs=rngs()))(X),
    "RMSNorm, no scale": lambda: nnx.RMSNorm(4, use_scale=False, rngs=rngs())(X),
    "GroupNorm": lambda: fixed(nnx.GroupNorm(4, num_groups=2, rngs=rngs()))(IMAGE),
    "GroupNorm, by size": lambda: nnx.GroupNorm(
        4, num_groups=None, group_size=4, use_fast_variance=False, rngs=rngs()
    )(IMAGE),
    "InstanceNorm": lambda: fixed(nnx.InstanceNorm(4, rngs=rngs()))(IMAGE),
    "InstanceNorm, masked": lambda: nnx.InstanceNorm(4, use_bias=False, rngs=rngs())(
        X, mask=MASK
    ),
    "SpectralNorm": lambda: spectral(True),
    "SpectralNorm, kept": lambda: spectral(False),
    "WeightNorm": lambda: fixed(
        nnx.WeightNorm(nnx.Linear(4, 3, rngs=rngs()), rngs=rngs())
    )(X),
    "WeightNorm, whole": lambda: nnx.WeightNorm(
        fixed(nnx.Linear(4, 3, rngs=rngs())), feature_axes=None, rngs=rngs()
    )(X),
    "PReLU": lambda: nnx.PReLU(0.3)(X),
    "PReLU, half": lambda: nnx.PReLU(0.25)(X.astype(jnp.float16)),
    "identity": lambda: nnx.identity(X),
    "Einsum": lambda: fixed(einsum())(X),
    "Einsum, in the call": lambda: fixed(einsum())(X, "...i, ihk -> ...hk"),
    "ConvTranspose": lambda: fixed(transposed())(IMAGE),
    "ConvTranspose, valid": lambda: fixed(
        transposed(padding="VALID", transpose_kernel=True, use_bias=False)
    )(IMAGE),
    "ConvTranspose, circular": lambda: fixed(transposed(padding="CIRCULAR"))(IMAGE),
    "ConvTranspose, pairs": lambda: fixed(
        transposed(padding=((1, 2), 0), kernel_dilation=(2, 1))
    )(IMAGE[0]),
    "LoRA": lambda: fixed(nnx.LoRA(4, 2, 3, rngs=rngs()))(X),
    "LoRA, around a layer": lambda: fixed(
        nnx.LoRA(4, 2, 3, base_module=nnx.Linear(4, 3, rngs=rngs()), rngs=rngs())
    )(X),
    "LoRALinear": lambda: fixed(nnx.LoRALinear(4, 3, lora_rank=2, rngs=rngs()))(X),
    "LSTMCell": lambda: recurrent(nnx.LSTMCell),
    "OptimizedLSTMCell": lambda: recurrent(nnx.OptimizedLSTMCell, unroll=2),
    "GRUCell": lambda: recurrent(nnx.GRUCell, reverse=True),
    "SimpleCell": lambda: recurrent(nnx.SimpleCell, reverse=True, keep_order=True),
    "Bidirectional": bidirectional,
    "RoPE": lambda: nnx.RoPE(100.0)(X),
    "RoPE, at positions": lambda: nnx.RoPE()(X, jnp.array([3.0, 0.0, 1.0])),
    "dot_product_attention_with_rope": attention,
    "dot_product_attention, fewer heads": grouped,
    "dot_product_attention, causal": lambda: grouped(is_causal=True),
}

# The sum of the results and their product with a wave, on flax 0.12.12.
NEWEST = {
    "RMSNorm": [2.124409, -0.7092619],
    "RMSNorm, no scale": [1.160668, 14.88973],
    "GroupNorm": [-10.2323, 6.060171],
    "GroupNorm, by size": [3.039837e-06, 123.8113],
    "InstanceNorm": [-9.484548, 6.007957],
    "InstanceNorm, masked": [-17.247, 0.8561039],
    "SpectralNorm": [-5.214621, -1.536294],
    "SpectralNorm, kept": [-5.214621, -1.536294],
    "WeightNorm": [11.93652, -0.02890214],
    "WeightNorm, whole": [4.593352, 0.4437365],
    "PReLU": [5.903742, 7.175303],
    "PReLU, half": [6.265289, 6.935912],
    "identity": [0.8577676, 10.53764],
    "Einsum": [13.30287, 1.82073],
    "Einsum, in the call": [13.30287, 1.82073],
    "ConvTranspose": [136.7607, 9.432013],
    "ConvTranspose, valid": [2.97078, -0.01846409],
    "ConvTranspose, circular": [147.983, 5.19458],
    "ConvTranspose, pairs": [44.06669, -0.06145322],
    "LoRA": [-0.8999136, -0.964291],
    "LoRA, around a layer": [3.839352, 1.110955],
    "LoRALinear": [3.839352, 1.110955],
    "LSTMCell": [-2.262429, 1.715346],
    "OptimizedLSTMCell": [1.253207, 2.416969],
    "GRUCell": [1.780639, 0.8321803],
    "SimpleCell": [0.6246389, -0.06297731],
    "Bidirectional": [-0.01776123, -1.003432],
    "RoPE": [5.187109, 7.667717],
    "RoPE, at positions": [3.819062, 6.42907],
    "dot_product_attention_with_rope": [0.2580185, 6.568681],
    "dot_product_attention, fewer heads": [0.8289052, 31.31988],
    "dot_product_attention, causal": [7.744408, 15.91334],
}


def summary(results):
    leaves = [jnp.asarray(y, jnp.float32) for y in jax.tree_util.tree_leaves(results)]
    flat = jnp.concatenate([leaf.ravel() for leaf in leaves])
    return jnp.stack([flat.sum(), (flat * wave(flat.shape, 0.5)).sum()])


@pytest.fixture(scope="module")
def computed():
    """The summary of every case, or its error: one program for all."""
    failed = {}

    def all_of_them():
        found = {}
        for case, compute in CASES.items():
            try:
                found[case] = summary(compute())
            except Exception as error:
                failed[case] = error
        return found

    return {**jax.jit(all_of_them)(), **failed}


@pytest.mark.filterwarnings("ignore:'.value' access is now:DeprecationWarning")
@pytest.mark.parametrize("case", CASES)
def test_a_layer_computes_what_it_computes_on_the_newest_release(case, computed):
    if isinstance(computed[case], Exception):
        raise computed[case]
    np.testing.assert_allclose(computed[case], NEWEST[case], rtol=1e-5, atol=1e-5)


# -- parameters and their paths -----------------------------------------------------

PATHS = {
    "RMSNorm": (lambda: nnx.RMSNorm(4, rngs=rngs()), {"scale"}),
    "GroupNorm": (lambda: nnx.GroupNorm(4, 2, rngs=rngs()), {"bias", "scale"}),
    "InstanceNorm": (lambda: nnx.InstanceNorm(4, rngs=rngs()), {"bias", "scale"}),
    "PReLU": (lambda: nnx.PReLU(), {"negative_slope"}),
    "Einsum": (einsum, {"bias", "kernel"}),
    "ConvTranspose": (transposed, {"bias", "kernel"}),
    "LoRA": (lambda: nnx.LoRA(4, 2, 3, rngs=rngs()), {"lora_a", "lora_b"}),
    "LoRALinear": (
        lambda: nnx.LoRALinear(4, 3, lora_rank=2, rngs=rngs()),
        {"bias", "kernel", "lora/lora_a", "lora/lora_b"},
    ),
    "LSTMCell": (
        lambda: nnx.LSTMCell(4, 3, rngs=rngs()),
        {f"{name}/kernel" for name in ("ii", "if_", "ig", "io", "hi", "hf", "hg", "ho")}
        | {f"{name}/bias" for name in ("hi", "hf", "hg", "ho")},
    ),
    "GRUCell": (
        lambda: nnx.GRUCell(4, 3, rngs=rngs()),
        {"dense_i/kernel", "dense_i/bias", "dense_h/kernel"},
    ),
    "OptimizedLSTMCell": (
        lambda: nnx.OptimizedLSTMCell(4, 3, rngs=rngs()),
        {"dense_i/kernel", "dense_h/bias", "dense_h/kernel"},
    ),
    "RoPE": (lambda: nnx.RoPE(10.0, 4, 6), {"cached_cos", "cached_sin"}),
}


@pytest.mark.parametrize("name", PATHS)
def test_the_variables_of_a_layer_have_the_paths_of_the_newest_release(name):
    make, paths = PATHS[name]
    made = jax.eval_shape(lambda: nc.to_pure_dict(nc.state(make())))
    leaves = jax.tree_util.tree_flatten_with_path(made)[0]
    found = {"/".join(entry.key for entry in path) for path, _ in leaves}
    streams = {path for path in found if path.startswith("rngs/")}
    assert found - streams == paths  # cells keep an Rngs, on some releases


def test_a_low_rank_adaptation_is_trained_alone_by_the_type_of_its_parameters():
    layer = nnx.LoRALinear(4, 3, lora_rank=2, rngs=rngs())
    chosen = nc.variables(layer, nnx.LoRAParam)
    assert list(chosen) == [("lora", "lora_a"), ("lora", "lora_b")]
    assert issubclass(nnx.LoRAParam, nnx.Param)
    assert isinstance(layer, nnx.Linear)
    assert not np.asarray(nc.get_value(chosen["lora", "lora_b"])).any()


@pytest.mark.skipif(
    nnx.LoRA is getattr(native, "LoRA", None), reason="Flax's own there, without it"
)
def test_the_former_argument_of_a_low_rank_adaptation_is_taken_with_a_warning():
    with pytest.warns(errors.RemovedNameWarning, match="a_initializer="):
        layer = nnx.LoRA(4, 2, 3, kernel_init=jax.nn.initializers.ones, rngs=rngs())
    assert (np.asarray(nc.get_value(vars(layer)["lora_b"])) == 1).all()
    assert isinstance(layer, getattr(native, "LoRA", nnx.Module))


# -- layers around a layer, and around a cell ---------------------------------------


def spectral_norm():
    layer = nnx.Linear(4, 3, rngs=rngs())
    return fixed(nnx.SpectralNorm(layer, n_steps=2, rngs=rngs()))


def stats(layer):
    found = nc.variables(layer, nnx.BatchStat)
    return {
        path[-1][-1] if isinstance(path[-1], tuple) else path[-1]: v
        for path, v in found.items()
    }


def test_a_spectral_norm_keeps_its_vector_only_when_asked():
    layer = spectral_norm()
    before = np.asarray(nc.get_value(stats(layer)["u"]))
    layer(X, update_stats=False)
    np.testing.assert_array_equal(nc.get_value(stats(layer)["u"]), before)
    layer(X)
    assert (np.asarray(nc.get_value(stats(layer)["u"])) != before).any()
    again = nc.merge(*nc.split(layer))
    np.testing.assert_array_equal(
        nc.get_value(stats(again)["u"]), nc.get_value(stats(layer)["u"])
    )


def test_the_scales_of_a_weight_norm_are_parameters_with_gradients():
    layer = nnx.WeightNorm(nnx.Linear(4, 3, use_bias=False, rngs=rngs()), rngs=rngs())
    graphdef, params, rest = nc.split(layer, nnx.Param, ...)
    grads = jax.grad(lambda p: nc.merge(graphdef, p, rest)(X).sum())(params)
    leaves = nc.to_flat_state(grads)
    (scale,) = [leaf for path, leaf in leaves.items() if path[0] == "scales"]
    assert nc.get_value(scale).shape == (3,)
    assert (np.asarray(nc.get_value(scale)) != 0).any()


class Counting(nnx.RNNCellBase):
    """Counts its steps in a Variable, and adds up its inputs."""

    def __init__(self):
        self.steps = nnx.Variable(jnp.array(0))

    num_feature_axes = 1

    def initialize_carry(self, input_shape, rngs=None, carry_init=None):
        return jnp.zeros(input_shape)

    def __call__(self, carry, inputs):
        steps = vars(self)["steps"]
        nc.set_value(steps, nc.get_value(steps) + 1)
        return carry + inputs, carry + inputs


def test_a_cell_carries_its_own_state_through_the_steps():
    layer = nnx.RNN(Counting(), time_major=True)
    y = layer(jnp.ones((3, 2, 4)))
    np.testing.assert_array_equal(y[:, 0, 0], [1, 2, 3])
    assert int(nc.get_value(vars(layer.cell)["steps"])) == 3


def test_a_padded_sequence_is_reversed_without_its_padding():
    x = jnp.array([[1.0, 2.0, 0.0], [3.0, 4.0, 5.0]])[..., None]
    layer = nnx.RNN(Counting(), reverse=True, keep_order=True, return_carry=True)
    carry, y = layer(x, seq_lengths=jnp.array([2, 3]))
    np.testing.assert_array_equal(y[0, :2, 0], [3, 2])
    np.testing.assert_array_equal(y[1, :, 0], [12, 9, 5])
    np.testing.assert_array_equal(carry.ravel(), [3, 12])


def test_a_recurrent_layer_is_differentiated_in_a_compiled_step():
    layer = nnx.RNN(nnx.SimpleCell(4, 3, rngs=rngs()))

    def step(layer, x):
        graphdef, params, rest = nc.split(layer, nnx.Param, ...)
        return jax.grad(lambda p: nc.merge(graphdef, p, rest)(x).sum())(params)

    compiled = nc.compile_step(step, layer)
    grads = nc.to_pure_dict(compiled(X))
    assert grads["cell"]["dense_i"]["kernel"].shape == (4, 3)


@pytest.mark.filterwarnings("ignore:jax.tree_map is deprecated:DeprecationWarning")
def test_rope_can_be_the_attention_of_a_multi_head_attention_layer():
    attend = functools.partial(nnx.dot_product_attention_with_rope, rope=nnx.RoPE())
    layer = nnx.MultiHeadAttention(
        num_heads=2,
        in_features=4,
        qkv_features=8,
        decode=False,
        attention_fn=attend,
        rngs=rngs(),
    )
    assert jax.eval_shape(lambda: layer(X)).shape == (2, 3, 4)


def test_fewer_heads_of_keys_must_divide_those_of_queries():
    with pytest.raises(ValueError, match="must be (a )?multiple of"):
        nnx.dot_product_attention(*(wave((1, 2, n, 4)) for n in (5, 2, 2)), module=None)


def test_a_lora_hands_arguments_on_and_takes_metadata():
    class Scaled(nnx.Module):
        def __call__(self, x, by=1.0):
            return jnp.full((*x.shape[:-1], 3), by)

    layer = nnx.LoRA(
        4, 2, 3, base_module=Scaled(), a_metadata={"unit": "m"}, rngs=rngs()
    )
    assert jnp.allclose(layer(X, by=2.0), 2.0)
    assert nc.get_metadata(nc.variables(layer)["lora_a",]) == {"unit": "m"}


# -- signatures and their docs ------------------------------------------------------

LAYERS = [
    name
    for name, place in facts.backports().items()
    if place.startswith(("nn.", "training."))
    and name[0].isupper()
    # whose arguments are those of Flax's own MultiHeadAttention, as it documents them
    and name not in ("LoRAParam", "Metric", "MultiHeadAttention")
    and name not in ("MultiMetric", "RNNCellBase")
    and not name.startswith("Opt")
] + ["Optimizer", "OptimizedLSTMCell"]
ENTRY = re.compile(r"^ {4}(\w+): ", re.MULTILINE)


@pytest.mark.parametrize("name", LAYERS)
def test_the_docs_of_a_layer_name_its_arguments_in_the_order_of_its_signature(name):
    layer = getattr(nnx, name)
    if layer is getattr(native, name, None):
        pytest.skip("Flax's own there")
    document = inspect.getdoc(layer).partition("Args:")[2]
    arguments = re.split(r"\n\n?\w+:\n", document)[0]
    taken = inspect.signature(layer.__init__).parameters.values()
    names = [p.name for p in taken if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    assert ENTRY.findall(arguments) == names[1:]


def test_an_argument_that_no_layer_takes_is_python_s_usual_error():
    for layer in (nnx.GroupNorm, nnx.RMSNorm):
        with pytest.raises(TypeError, match="unexpected keyword argument 'radius'"):
            layer(32, radius=1, rngs=rngs())
    with pytest.raises(TypeError, match="'use_bias'"):
        nnx.RMSNorm(4, use_bias=True, rngs=rngs())
    with pytest.raises(TypeError, match="'gate_fn'"):
        nnx.SimpleCell(4, 3, gate_fn=jax.nn.relu, rngs=rngs())


def test_a_layer_writes_out_what_it_leaves_to_the_class_it_derives_from():
    class Base:
        """A base.

        Args:
            size: how large it
                is.
            scale: by what.
            seed: of it.
        """

        def __init__(self, size, *, scale=1, seed=0):
            self.size = size

    @extending
    class Derived(Base):
        """Derived.

        Args:
            {size}
            shift: by how much.
            {usual}
        """

        def __init__(self, size, *, shift=2, **usual):
            super().__init__(size, **usual)

    assert [line.strip() for line in Derived.__doc__.split("Args:")[1].split("\n")] == [
        "", "size: how large it", "is.", "shift: by how much.", "scale: by what.",
        "seed: of it.",
    ]  # fmt: skip
    signature = inspect.signature(Derived)
    assert str(signature) == "(size, *, shift=2, scale=1, seed=0)"


# -- arguments ----------------------------------------------------------------------


def test_arguments_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="does not divide"):
        nnx.GroupNorm(4, num_groups=3, rngs=rngs())
    with pytest.raises(ValueError, match="Either `num_groups` or `group_size`"):
        nnx.GroupNorm(4, num_groups=None, rngs=rngs())
    with pytest.raises(ValueError, match="leading dimension"):
        nnx.InstanceNorm(2, feature_axes=0, rngs=rngs())(X)
    with pytest.raises(ValueError, match='include "->"'):
        nnx.Einsum("ab,bc", (2, 3), rngs=rngs())
    with pytest.raises(ValueError, match="exactly one comma"):
        nnx.Einsum("ab->b", (2, 3), rngs=rngs())
    with pytest.raises(ValueError, match="none of them"):
        nnx.RoPE(embedding_size=4)
    with pytest.raises(ValueError, match="positive and even"):
        nnx.RoPE()(jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="same seq_len"):
        nnx.RoPE()(X, jnp.arange(2.0))


@pytest.mark.skipif(nc.supports("nnx.RNN"), reason="Flax's own there")
def test_what_a_recurrent_layer_cannot_have_on_an_older_release_is_refused():
    with pytest.raises(errors.RefusedArgumentError, match="keep_rngs"):
        nnx.GRUCell(4, 3, keep_rngs=True, rngs=rngs())
    with pytest.raises(errors.RefusedArgumentError, match="state_axes"):
        nnx.RNN(Counting(), state_axes={...: 0})
    if not hasattr(native, "split"):
        cell = Counting()
        cell.rngs = nnx.Rngs(0)
        with pytest.raises(errors.NodeTypeError, match="keeps an Rngs"):
            nnx.RNN(cell)(X)
