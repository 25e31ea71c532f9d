"""A cell over the time axis of its input.

The scan over time is ``jax.lax.scan`` over the state of the cell: its parameters are
the same at each step, and whatever else it holds is carried from step to step and
written back in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

from ...._release import here
from ....errors import ArgumentTypeError, NodeTypeError, StepStructureError, kind_of
from ....functional import iter_graph, merge, show, split, stored, to_flat_state, update
from ....revisions import flax_version, nnx
from .cells import RNNCellBase, carry_stream, refused

if TYPE_CHECKING:
    from flax.nnx import Rngs, RngStream, State

    from .._types import Keys

__all__ = ["Bidirectional", "RNN"]


def own_stream(rngs: Rngs | RngStream | bool) -> Rngs | RngStream | None:
    """A stream of keys for a layer to keep: from seed 0, or a fork of what is given."""
    if rngs is False:
        return None
    if isinstance(rngs, nnx.RngStream):
        return rngs
    if rngs is not True and not isinstance(rngs, nnx.Rngs):
        raise ArgumentTypeError(
            f"rngs is {kind_of(rngs)}", instead="an nnx.Rngs, True or False"
        )
    own = nnx.Rngs(carry=jax.random.key(0) if rngs is True else rngs.carry())
    # where random streams are static, split knows a Rngs and no stream of it
    return own if here.rngs_are_static else own.carry


class RNN(nnx.Module):  # type: ignore[misc, name-defined]
    """A cell, step by step over the time axis of its input.

    Args:
        cell: an ``RNNCellBase``.
        time_major: the time axis is the first; else the last before the features.
        return_carry: give ``(carry, outputs)``.
        reverse: from the last step to the first.
        keep_order: with ``reverse``, the outputs in the order of the inputs.
        unroll: how many steps of the scan are one.
        state_axes: only None: the scan carries all but parameters.
        broadcast_rngs: only None: the scan carries random keys.
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
        cell: RNNCellBase,
        *,
        time_major: bool = False,
        return_carry: bool = False,
        reverse: bool = False,
        keep_order: bool = False,
        unroll: int = 1,
        state_axes: None = None,
        broadcast_rngs: None = None,
        rngs: Rngs | RngStream | bool = True,
    ) -> None:
        if state_axes is not None:
            raise refused("RNN", "state_axes", "the scan carries all but parameters")
        if broadcast_rngs is not None:
            raise refused("RNN", "broadcast_rngs", "the scan carries random keys")
        self.cell = cell
        self.time_major = time_major
        self.return_carry = return_carry
        self.reverse = reverse
        self.keep_order = keep_order
        self.unroll = unroll
        self.rngs = own_stream(rngs)

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
        rngs: Keys = None,
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
            stream = carry_stream(self.rngs if rngs is None else rngs)
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


def _scanned(
    cell: RNNCellBase, carry: Any, inputs: jax.Array, unroll: int
) -> tuple[Any, Any, Any]:
    """The last carry, all carries and all outputs, time first."""
    _check_keys(cell)
    graphdef, params, rest = split(cell, nnx.Param, ...)

    def step(
        state: tuple[State, Any], x: jax.Array
    ) -> tuple[tuple[State, Any], tuple[Any, Any]]:
        rest, carry = state
        one = merge(graphdef, params, rest)
        carry, y = one(carry, x)
        _, after, rest = split(one, nnx.Param, ...)
        _check_params(params, after)
        return (rest, carry), (carry, y)

    (rest, carry), (carries, outputs) = lax.scan(
        step, (rest, carry), inputs, unroll=unroll
    )
    if to_flat_state(rest):
        update(cell, rest)
    return carry, carries, outputs


def _check_keys(cell: RNNCellBase) -> None:
    """Static random keys would be the same at each step."""
    if not here.rngs_are_static:
        return
    for path, value in iter_graph(cell):
        if isinstance(value, nnx.Rngs):
            raise NodeTypeError(
                f"the cell keeps an Rngs at {show(path)}, which flax {flax_version} "
                "cannot carry from step to step",
                instead="jax.lax.scan with the keys among its inputs",
            )


def _check_params(before: State, after: State) -> None:
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


# -- Two recurrent layers, one in each direction ------------------------------------


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
        forward_rnn: RNN,
        backward_rnn: RNN,
        *,
        merge_fn: Callable[[jax.Array, jax.Array], jax.Array] = _joined,
        time_major: bool = False,
        return_carry: bool = False,
        rngs: Rngs | RngStream | bool = True,
    ) -> None:
        self.forward_rnn = forward_rnn
        self.backward_rnn = backward_rnn
        self.merge_fn = merge_fn
        self.time_major = time_major
        self.return_carry = return_carry
        self.rngs = own_stream(rngs)

    def __call__(
        self,
        inputs: jax.Array,
        *,
        initial_carry: tuple[Any, Any] | None = None,
        rngs: Keys = None,
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
        stream = carry_stream(self.rngs if rngs is None else rngs)
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
