"""Recurrent cells and layers, which came later.

The scan over time is ``jax.lax.scan`` over the state of the cell: its parameters are
the same at each step, and whatever else it holds is carried from step to step and
written back in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import initializers

from ... import facts
from ...errors import (
    ArgumentTypeError,
    ArgumentValueError,
    NodeTypeError,
    RefusedArgumentError,
    StepStructureError,
)
from ...functional import (
    iter_graph,
    merge,
    set_metadata,
    show,
    split,
    stored,
    to_flat_state,
    update,
)
from ...revisions import flax_version, nnx

__all__ = [
    "Bidirectional",
    "GRUCell",
    "LSTMCell",
    "OptimizedLSTMCell",
    "RNN",
    "RNNCellBase",
    "SimpleCell",
]

Metadata = Mapping[str, Any]
NONE: Metadata = MappingProxyType({})
#: Whether random keys and their counts are part of a state. On the first releases they
#: are static, and what is kept is an ``Rngs``, which split knows there.
_rngs_are_state = not facts.behaviour("rngs-are-static").holds(flax_version)

_lecun_normal = initializers.lecun_normal()
_orthogonal = initializers.orthogonal()


def _half_orthogonal(key: Any, shape: Any, dtype: Any = jnp.float32) -> Any:
    """In float32, then cast: the decomposition does not take half precision."""
    return _orthogonal(key, shape, jnp.float32).astype(dtype)


class RNNCellBase(nnx.Module):  # type: ignore[misc, name-defined]
    """One step of a recurrent layer, to be subclassed.

    Example:
        >>> from nnx_compat import nnx
        >>> class Sum(nnx.RNNCellBase):
        ...     num_feature_axes = 1
        ...     def initialize_carry(self, input_shape, rngs=None, carry_init=None):
        ...         return jnp.zeros(input_shape)
        ...     def __call__(self, carry, inputs):
        ...         return carry + inputs, carry + inputs
        >>> nnx.RNN(Sum())(jnp.ones((1, 3, 1))).ravel().tolist()
        [1.0, 2.0, 3.0]
    """

    def initialize_carry(
        self, input_shape: tuple[int, ...], rngs: Any = None, carry_init: Any = None
    ) -> Any:
        """The carry to begin with, for inputs of this shape without the time axis."""
        raise NotImplementedError

    def __call__(self, carry: Any, inputs: jax.Array) -> tuple[Any, Any]:
        """The new carry and the output of one step."""
        raise NotImplementedError

    @property
    def num_feature_axes(self) -> int:
        """How many axes at the end of an input are features."""
        raise NotImplementedError


class _Cell(RNNCellBase):
    """What the cells below have in common."""

    def _set(
        self,
        in_features: int,
        hidden_features: int,
        dtype: Any,
        param_dtype: Any,
        carry_init: Any,
        promote_dtype: Any,
        keep_rngs: bool,
    ) -> None:
        name = type(self).__name__
        if promote_dtype is not None:
            raise _refused(name, "promote_dtype", "its Linear layers take none")
        if keep_rngs:
            raise _refused(name, "keep_rngs", "a cell keeps no random keys")
        self.in_features = in_features
        self.hidden_features = hidden_features
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.rngs = None
        self.carry_init = carry_init

    def _linear(
        self,
        size: int,
        out: int,
        init: Any,
        rngs: Any,
        metadata: Metadata,
        bias: tuple[Any, Metadata] | None,
    ) -> Any:
        options = {} if bias is None else {"bias_init": bias[0]}
        layer = nnx.Linear(
            size,
            out,
            use_bias=bias is not None,
            kernel_init=init,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
            rngs=rngs,
            **options,
        )
        set_metadata(vars(layer)["kernel"], **metadata)
        if bias is not None:
            set_metadata(vars(layer)["bias"], **bias[1])
        return layer

    def _carries(
        self, input_shape: tuple[int, ...], rngs: Any, carry_init: Any, number: int
    ) -> list[Any]:
        stream = _stream(rngs)
        if stream is None:
            raise ArgumentValueError(
                "RNGs must be provided to initialize the cell carry",
                instead="cell.initialize_carry(input_shape, nnx.Rngs(0))",
            )
        init = carry_init or self.carry_init or initializers.zeros
        shape = (*input_shape[:-1], self.hidden_features)
        return [init(stream(), shape, self.param_dtype) for _ in range(number)]

    @property
    def num_feature_axes(self) -> int:
        """One: the last."""
        return 1


def _refused(name: str, argument: str, why: str) -> RefusedArgumentError:
    return RefusedArgumentError(
        f"nnx.{name} was given {argument}, which cannot be had on flax {flax_version}: "
        f"{why}",
        instead=f"leave {argument}= out",
    )


class _LSTM(_Cell):
    """A cell whose carry has two parts."""

    def initialize_carry(
        self, input_shape: tuple[int, ...], rngs: Any = None, carry_init: Any = None
    ) -> Any:
        """``(c, h)`` for inputs of this shape without the time axis."""
        c, h = self._carries(input_shape, rngs, carry_init, 2)
        return c, h


class LSTMCell(_LSTM):
    """A long short-term memory cell, with a Linear for each gate.

    The carry is ``(c, h)``: ``c' = f * c + i * g`` and ``h' = o * tanh(c')``, where
    ``i``, ``f`` and ``o`` are sigmoids and ``g`` a tanh of ``W x + V h + b``.

    Args:
        in_features: the size of the input's last axis.
        hidden_features: the size of the carry.
        gate_fn: in the place of the sigmoid.
        activation_fn: in the place of the tanh.
        kernel_init: of the kernels for the input.
        recurrent_kernel_init: of the kernels for the carry.
        bias_init: of the biases.
        dtype: of the result; by default that of the input and parameters.
        param_dtype: of the parameters.
        carry_init: of the carry; zeros by default.
        promote_dtype: cannot be had here.
        keep_rngs: cannot be had here.
        rngs: its ``params`` stream gives the keys.
        kernel_metadata: for the Variables.
        recurrent_kernel_metadata: for the Variables.
        bias_metadata: for the Variables.

    Example:
        >>> from nnx_compat import nnx
        >>> cell = nnx.LSTMCell(3, 4, rngs=nnx.Rngs(0))
        >>> carry = cell.initialize_carry((2, 3), nnx.Rngs(1))
        >>> carry, y = cell(carry, jnp.ones((2, 3)))
        >>> y.shape
        (2, 4)
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        gate_fn: Callable[..., Any] = jax.nn.sigmoid,
        activation_fn: Callable[..., Any] = jnp.tanh,
        kernel_init: Any = _lecun_normal,
        recurrent_kernel_init: Any = _half_orthogonal,
        bias_init: Any = initializers.zeros,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        carry_init: Any = None,
        promote_dtype: Any = None,
        keep_rngs: bool = False,
        rngs: Any,
        kernel_metadata: Metadata = NONE,
        recurrent_kernel_metadata: Metadata = NONE,
        bias_metadata: Metadata = NONE,
    ) -> None:
        self._set(
            in_features,
            hidden_features,
            dtype,
            param_dtype,
            carry_init,
            promote_dtype,
            keep_rngs,
        )
        self.gate_fn = gate_fn
        self.activation_fn = activation_fn
        for name in ("ii", "if_", "ig", "io"):
            layer = self._linear(
                in_features, hidden_features, kernel_init, rngs, kernel_metadata, None
            )
            setattr(self, name, layer)
        for name in ("hi", "hf", "hg", "ho"):
            layer = self._linear(
                hidden_features,
                hidden_features,
                recurrent_kernel_init,
                rngs,
                recurrent_kernel_metadata,
                (bias_init, bias_metadata),
            )
            setattr(self, name, layer)

    def __call__(self, carry: Any, inputs: jax.Array) -> tuple[Any, jax.Array]:
        """The new carry and the output of one step."""
        c, h = carry
        i = self.gate_fn(self.ii(inputs) + self.hi(h))
        f = self.gate_fn(self.if_(inputs) + self.hf(h))
        g = self.activation_fn(self.ig(inputs) + self.hg(h))
        o = self.gate_fn(self.io(inputs) + self.ho(h))
        c = f * c + i * g
        h = o * self.activation_fn(c)
        return (c, h), h


class _Fused(_Cell):
    """A cell with one Linear for all its gates' input and one for their carry."""

    _gates: int
    _bias_of: str  # which of the two has the bias: "input" or "carry"

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        gate_fn: Callable[..., Any] = jax.nn.sigmoid,
        activation_fn: Callable[..., Any] = jnp.tanh,
        kernel_init: Any = _lecun_normal,
        recurrent_kernel_init: Any = _orthogonal,
        bias_init: Any = initializers.zeros,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        carry_init: Any = None,
        promote_dtype: Any = None,
        keep_rngs: bool = False,
        rngs: Any,
        kernel_metadata: Metadata = NONE,
        recurrent_kernel_metadata: Metadata = NONE,
        bias_metadata: Metadata = NONE,
    ) -> None:
        self._set(
            in_features,
            hidden_features,
            dtype,
            param_dtype,
            carry_init,
            promote_dtype,
            keep_rngs,
        )
        self.gate_fn = gate_fn
        self.activation_fn = activation_fn
        bias = {self._bias_of: (bias_init, bias_metadata)}
        gates = self._gates * hidden_features
        self.dense_i = self._linear(
            in_features, gates, kernel_init, rngs, kernel_metadata, bias.get("input")
        )
        self.dense_h = self._linear(
            hidden_features,
            gates,
            recurrent_kernel_init,
            rngs,
            recurrent_kernel_metadata,
            bias.get("carry"),
        )


class OptimizedLSTMCell(_Fused, _LSTM):
    """An ``LSTMCell`` with one Linear for the input and one for the carry.

    Args:
        in_features: the size of the input's last axis.
        hidden_features: the size of the carry.
        gate_fn: in the place of the sigmoid.
        activation_fn: in the place of the tanh.
        kernel_init: of the kernel for the input.
        recurrent_kernel_init: of the kernel for the carry.
        bias_init: of the bias.
        dtype: of the result; by default that of the input and parameters.
        param_dtype: of the parameters.
        carry_init: of the carry; zeros by default.
        promote_dtype: cannot be had here.
        keep_rngs: cannot be had here.
        rngs: its ``params`` stream gives the keys.
        kernel_metadata: for the Variable.
        recurrent_kernel_metadata: for the Variable.
        bias_metadata: for the Variable.

    Example:
        >>> from nnx_compat import nnx
        >>> cell = nnx.OptimizedLSTMCell(3, 4, rngs=nnx.Rngs(0))
        >>> carry, y = cell((jnp.zeros((2, 4)), jnp.zeros((2, 4))), jnp.ones((2, 3)))
        >>> y.shape
        (2, 4)
    """

    _gates, _bias_of = 4, "carry"

    def __call__(self, carry: Any, inputs: jax.Array) -> tuple[Any, jax.Array]:
        """The new carry and the output of one step."""
        c, h = carry
        i, f, g, o = jnp.split(self.dense_i(inputs) + self.dense_h(h), 4, axis=-1)
        c = self.gate_fn(f) * c + self.gate_fn(i) * self.activation_fn(g)
        h = self.gate_fn(o) * self.activation_fn(c)
        return (c, h), h


class SimpleCell(_Cell):
    """``h' = tanh(W x + b + V h)``, with ``residual=True`` plus ``h``.

    Args:
        in_features: the size of the input's last axis.
        hidden_features: the size of the carry.
        dtype: of the result.
        param_dtype: of the parameters.
        carry_init: of the carry; zeros by default.
        residual: add the carry, within the tanh.
        activation_fn: in the place of the tanh.
        kernel_init: of the kernel for the input.
        recurrent_kernel_init: of the kernel for the carry.
        bias_init: of the bias.
        promote_dtype: cannot be had here.
        keep_rngs: cannot be had here.
        rngs: its ``params`` stream gives the keys.
        kernel_metadata: for the Variable.
        recurrent_kernel_metadata: for the Variable.
        bias_metadata: for the Variable.

    Example:
        >>> from nnx_compat import nnx
        >>> cell = nnx.SimpleCell(3, 4, rngs=nnx.Rngs(0))
        >>> carry, y = cell(jnp.zeros((2, 4)), jnp.ones((2, 3)))
        >>> bool((carry == y).all())
        True
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        dtype: Any = jnp.float32,
        param_dtype: Any = jnp.float32,
        carry_init: Any = None,
        residual: bool = False,
        activation_fn: Callable[..., Any] = jnp.tanh,
        kernel_init: Any = _lecun_normal,
        recurrent_kernel_init: Any = _orthogonal,
        bias_init: Any = initializers.zeros,
        promote_dtype: Any = None,
        keep_rngs: bool = False,
        rngs: Any,
        kernel_metadata: Metadata = NONE,
        recurrent_kernel_metadata: Metadata = NONE,
        bias_metadata: Metadata = NONE,
    ) -> None:
        self._set(
            in_features,
            hidden_features,
            dtype,
            param_dtype,
            carry_init,
            promote_dtype,
            keep_rngs,
        )
        self.residual = residual
        self.activation_fn = activation_fn
        self.dense_h = self._linear(
            hidden_features,
            hidden_features,
            recurrent_kernel_init,
            rngs,
            recurrent_kernel_metadata,
            None,
        )
        self.dense_i = self._linear(
            in_features,
            hidden_features,
            kernel_init,
            rngs,
            kernel_metadata,
            (bias_init, bias_metadata),
        )

    def __call__(self, carry: Any, inputs: jax.Array) -> tuple[Any, jax.Array]:
        """The new carry and the output of one step, which are the same."""
        h = self.dense_i(inputs) + self.dense_h(carry)
        h = self.activation_fn(h + carry if self.residual else h)
        return h, h

    def initialize_carry(
        self, input_shape: tuple[int, ...], rngs: Any = None, carry_init: Any = None
    ) -> Any:
        """``h`` for inputs of this shape without the time axis."""
        return self._carries(input_shape, rngs, carry_init, 1)[0]


class GRUCell(_Fused):
    """A gated recurrent unit.

    ``h' = (1 - z) * n + z * h`` and ``n = tanh(W x + b + r * V h)``, where ``z`` and
    ``r`` are sigmoids of ``W x + b + V h``.

    Args:
        in_features: the size of the input's last axis.
        hidden_features: the size of the carry.
        gate_fn: in the place of the sigmoid.
        activation_fn: in the place of the tanh.
        kernel_init: of the kernel for the input.
        recurrent_kernel_init: of the kernel for the carry.
        bias_init: of the bias.
        dtype: of the result; by default that of the input and parameters.
        param_dtype: of the parameters.
        carry_init: of the carry; zeros by default.
        promote_dtype: cannot be had here.
        keep_rngs: cannot be had here.
        rngs: its ``params`` stream gives the keys.
        kernel_metadata: for the Variable.
        recurrent_kernel_metadata: for the Variable.
        bias_metadata: for the Variable.

    Example:
        >>> from nnx_compat import nnx
        >>> cell = nnx.GRUCell(3, 4, rngs=nnx.Rngs(0))
        >>> carry, y = cell(jnp.zeros((2, 4)), jnp.ones((2, 3)))
        >>> y.shape
        (2, 4)
    """

    _gates, _bias_of = 3, "input"

    def __call__(self, carry: Any, inputs: jax.Array) -> tuple[Any, jax.Array]:
        """The new carry and the output of one step, which are the same."""
        xr, xz, xn = jnp.split(self.dense_i(inputs), 3, axis=-1)
        hr, hz, hn = jnp.split(self.dense_h(carry), 3, axis=-1)
        z = self.gate_fn(xz + hz)
        n = self.activation_fn(xn + self.gate_fn(xr + hr) * hn)
        h = (1.0 - z) * n + z * carry
        return h, h

    def initialize_carry(
        self, input_shape: tuple[int, ...], rngs: Any = None, carry_init: Any = None
    ) -> Any:
        """``h`` for inputs of this shape without the time axis."""
        return self._carries(input_shape, rngs, carry_init, 1)[0]


# -- layers -------------------------------------------------------------------------


def _stream(rngs: Any) -> Any:
    return rngs.carry if isinstance(rngs, nnx.Rngs) else rngs


def _own_stream(rngs: Any) -> Any:
    """A stream of keys for a layer to keep: from seed 0, or a fork of what is given."""
    if rngs is False:
        return None
    if isinstance(rngs, nnx.RngStream):
        return rngs
    if rngs is not True and not isinstance(rngs, nnx.Rngs):
        raise ArgumentTypeError(
            f"rngs is a {type(rngs).__name__}", instead="an nnx.Rngs, True or False"
        )
    own = nnx.Rngs(carry=jax.random.key(0) if rngs is True else rngs.carry())
    return own.carry if _rngs_are_state else own


class RNN(nnx.Module):  # type: ignore[misc, name-defined]
    """A cell, step by step over the time axis of its input.

    Args:
        cell: an ``RNNCellBase``.
        time_major: the time axis is the first; else the last before the features.
        return_carry: give ``(carry, outputs)``.
        reverse: from the last step to the first.
        keep_order: with ``reverse``, the outputs in the order of the inputs.
        unroll: how many steps of the scan are one.
        state_axes: ``None``; other than that it cannot be had here.
        broadcast_rngs: ``None``; other than that it cannot be had here.
        rngs: for the carry: an ``Rngs``, of which a stream is forked; ``True`` for one
            from seed 0; ``False`` for none.

    Example:
        >>> from nnx_compat import nnx
        >>> layer = nnx.RNN(nnx.GRUCell(3, 4, rngs=nnx.Rngs(0)))
        >>> layer(jnp.ones((2, 5, 3))).shape
        (2, 5, 4)
    """

    def __init__(
        self,
        cell: Any,
        *,
        time_major: bool = False,
        return_carry: bool = False,
        reverse: bool = False,
        keep_order: bool = False,
        unroll: int = 1,
        state_axes: Any = None,
        broadcast_rngs: Any = None,
        rngs: Any = True,
    ) -> None:
        if state_axes is not None:
            raise _refused("RNN", "state_axes", "the scan carries all but parameters")
        if broadcast_rngs is not None:
            raise _refused("RNN", "broadcast_rngs", "the scan carries random keys")
        self.cell = cell
        self.time_major = time_major
        self.return_carry = return_carry
        self.reverse = reverse
        self.keep_order = keep_order
        self.unroll = unroll
        self.rngs = _own_stream(rngs)

    def __call__(
        self,
        inputs: jax.Array,
        *,
        initial_carry: Any = None,
        seq_lengths: jax.Array | None = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        rngs: Any = None,
    ) -> Any:
        """The outputs of all steps.

        Args:
            inputs: ``(batch..., time, features...)``, or time first.
            initial_carry: to begin with; by default that of the cell.
            seq_lengths: ``(batch,)``; the carry given back is that after as many steps.
            return_carry: as in the constructor, for this call.
            time_major: likewise.
            reverse: likewise.
            keep_order: likewise.
            rngs: for the carry.

        Returns:
            The outputs, time where it is in the inputs; or ``(carry, outputs)``.
        """
        return_carry = self.return_carry if return_carry is None else return_carry
        time_major = self.time_major if time_major is None else time_major
        reverse = self.reverse if reverse is None else reverse
        keep_order = self.keep_order if keep_order is None else keep_order
        features = self.cell.num_feature_axes
        axis = 0 if time_major else inputs.ndim - features - 1

        def flipped(x: jax.Array) -> jax.Array:
            return _flipped(x, seq_lengths, axis)

        if reverse:
            inputs = flipped(inputs)
        if initial_carry is None:
            shape = inputs.shape[:axis] + inputs.shape[axis + 1 :]
            stream = _stream(self.rngs if rngs is None else rngs)
            initial_carry = self.cell.initialize_carry(shape, stream)
        carry, carries, outputs = _scanned(
            self.cell, initial_carry, jnp.moveaxis(inputs, axis, 0), self.unroll
        )
        outputs = jax.tree_util.tree_map(lambda y: jnp.moveaxis(y, 0, axis), outputs)
        if reverse and keep_order:
            outputs = jax.tree_util.tree_map(flipped, outputs)
        if not return_carry:
            return outputs
        if seq_lengths is not None:
            last = seq_lengths - 1
            carry = jax.tree_util.tree_map(
                lambda x: x[last, jnp.arange(x.shape[1])], carries
            )
        return carry, outputs


def _scanned(cell: Any, carry: Any, inputs: Any, unroll: int) -> tuple[Any, Any, Any]:
    """The last carry, all carries and all outputs, time first."""
    _check_keys(cell)
    graphdef, params, rest = split(cell, nnx.Param, ...)

    def step(state: Any, x: Any) -> tuple[Any, Any]:
        rest, carry = state
        one = merge(graphdef, params, rest)
        carry, y = one(carry, x)
        _, after, rest = split(one, nnx.Param, ...)
        _check_kept(params, after)
        return (rest, carry), (carry, y)

    (rest, carry), (carries, outputs) = lax.scan(
        step, (rest, carry), inputs, unroll=unroll
    )
    if to_flat_state(rest):
        update(cell, rest)
    return carry, carries, outputs


def _check_keys(cell: Any) -> None:
    """Static random keys would be the same at each step."""
    if _rngs_are_state:
        return
    for path, value in iter_graph(cell):
        if isinstance(value, nnx.Rngs):
            raise NodeTypeError(
                f"the cell keeps an Rngs at {show(path)}, which flax {flax_version} "
                "cannot carry from step to step",
                instead="jax.lax.scan with the keys among its inputs",
            )


def _check_kept(before: Any, after: Any) -> None:
    old, new = to_flat_state(before), to_flat_state(after)
    if any(stored(old[path]) is not stored(new[path]) for path in old):
        raise StepStructureError(
            "the cell changes a Param in a step, and all steps share them",
            instead="a Variable of another type, which is carried",
        )


def _flipped(x: jax.Array, lengths: jax.Array | None, axis: int) -> jax.Array:
    """Reversed in time; of a padded sequence the steps alone, the padding stays."""
    if lengths is None:
        return jnp.flip(x, axis=axis)
    steps = x.shape[axis]
    backwards = jnp.arange(steps - 1, -1, -1)
    if axis == 0:
        index = (backwards[:, None] + lengths[None]) % steps
    else:
        index = (backwards + lengths[..., None]) % steps
    index = index.reshape(index.shape + (1,) * (x.ndim - index.ndim))
    return jnp.take_along_axis(x, index, axis=axis)


def _joined(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.concatenate([a, b], axis=-1)


class Bidirectional(nnx.Module):  # type: ignore[misc, name-defined]
    """Two ``RNN``s, one from the first step and one from the last, joined.

    Args:
        forward_rnn: the one.
        backward_rnn: the other.
        merge_fn: of the two outputs; joins their features by default.
        time_major: the time axis is the first.
        return_carry: give ``((carry, carry), outputs)``.
        rngs: for the carries, as in ``RNN``.

    Example:
        >>> from nnx_compat import nnx
        >>> there, back = (nnx.RNN(nnx.GRUCell(3, 4, rngs=nnx.Rngs(i))) for i in (0, 1))
        >>> nnx.Bidirectional(there, back)(jnp.ones((2, 5, 3))).shape
        (2, 5, 8)
    """

    def __init__(
        self,
        forward_rnn: Any,
        backward_rnn: Any,
        *,
        merge_fn: Callable[[Any, Any], Any] = _joined,
        time_major: bool = False,
        return_carry: bool = False,
        rngs: Any = True,
    ) -> None:
        self.forward_rnn = forward_rnn
        self.backward_rnn = backward_rnn
        self.merge_fn = merge_fn
        self.time_major = time_major
        self.return_carry = return_carry
        self.rngs = _own_stream(rngs)

    def __call__(
        self,
        inputs: jax.Array,
        *,
        initial_carry: Any = None,
        rngs: Any = None,
        seq_lengths: jax.Array | None = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
    ) -> Any:
        """The joined outputs of all steps; ``reverse`` and ``keep_order`` are not used.

        Args:
            inputs: ``(batch..., time, features...)``, or time first.
            initial_carry: one for each direction.
            rngs: for the carries.
            seq_lengths: ``(batch,)``, of padded sequences.
            return_carry: as in the constructor, for this call.
            time_major: likewise.
            reverse: for the signature of ``RNN``.
            keep_order: likewise.
        """
        time_major = self.time_major if time_major is None else time_major
        return_carry = self.return_carry if return_carry is None else return_carry
        stream = _stream(self.rngs if rngs is None else rngs)
        ways = ((self.forward_rnn, False), (self.backward_rnn, True))
        results = [
            layer(
                inputs,
                initial_carry=start,
                rngs=stream,
                seq_lengths=seq_lengths,
                return_carry=True,
                time_major=time_major,
                reverse=backwards,
                keep_order=backwards,
            )
            for (layer, backwards), start in zip(
                ways, initial_carry or (None, None), strict=True
            )
        ]
        (there, ahead), (back, behind) = results
        outputs = jax.tree_util.tree_map(self.merge_fn, ahead, behind)
        return ((there, back), outputs) if return_carry else outputs
