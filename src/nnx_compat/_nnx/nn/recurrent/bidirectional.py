"""Two recurrent layers, one in each direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from ....revisions import nnx
from .cells import carry_stream
from .rnn import RNN, own_stream

if TYPE_CHECKING:
    from flax.nnx import Rngs, RngStream

    from .._types import Keys

__all__ = ["Bidirectional"]


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
