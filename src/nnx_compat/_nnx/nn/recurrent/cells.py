"""What all recurrent cells have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import initializers

from ....errors import ArgumentValueError, RefusedArgumentError
from ....functional import set_metadata
from ....revisions import flax_version, nnx
from ... import newest
from .._extending import extending
from .._types import NO_METADATA, Metadata, Shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flax.nnx import Rngs, RngStream
    from jax.nn.initializers import Initializer
    from jax.typing import DTypeLike

    from .._types import InitOrNone, Keys

__all__ = ["RNNCellBase", "SimpleCell"]


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
        self, input_shape: Shape, rngs: Keys = None, carry_init: InitOrNone = None
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


class Dense(NamedTuple):
    """A Linear in a cell: its name, what it is given, and how wide it is."""

    name: str
    of_carry: bool
    use_bias: bool
    #: The size of the output, in sizes of the carry.
    gates: int = 1


class Cell(RNNCellBase):
    """A cell of Linears: those of ``_layers``, in the order that they draw their keys.

    Args:
        in_features: the size of the input's last axis.
        hidden_features: the size of the carry.
        activation_fn: in the place of the tanh.
        kernel_init: of the kernels for the input.
        recurrent_kernel_init: of the kernels for the carry.
        bias_init: of the biases.
        dtype: of the result; by default that of the input and parameters.
        param_dtype: of the parameters.
        carry_init: of the carry; zeros by default.
        promote_dtype: only None: the Linears of this release take none.
        keep_rngs: only False: a cell keeps no random keys here.
        rngs: its ``params`` stream gives the keys.
        kernel_metadata: for the Variables.
        recurrent_kernel_metadata: for the Variables.
        bias_metadata: for the Variables.
    """

    _layers: tuple[Dense, ...] = ()

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        activation_fn: Callable[[jax.Array], jax.Array] = jnp.tanh,
        kernel_init: Initializer = initializers.lecun_normal(),  # noqa: B008
        recurrent_kernel_init: Initializer = initializers.orthogonal(),  # noqa: B008
        bias_init: Initializer = initializers.zeros,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        carry_init: Initializer | None = None,
        promote_dtype: None = None,
        keep_rngs: bool = False,
        rngs: Rngs,
        kernel_metadata: Metadata = NO_METADATA,
        recurrent_kernel_metadata: Metadata = NO_METADATA,
        bias_metadata: Metadata = NO_METADATA,
    ) -> None:
        name = type(self).__name__
        if promote_dtype is not None:
            raise refused(name, "promote_dtype", "its Linear layers take none")
        if keep_rngs:
            raise refused(name, "keep_rngs", "a cell keeps no random keys")
        self.in_features = in_features
        self.hidden_features = hidden_features
        self.activation_fn = activation_fn
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.rngs = None  # an attribute of the newest cells, which may keep one
        self.carry_init = carry_init
        for dense in self._layers:
            options: Mapping[str, Any] = {"bias_init": bias_init}
            layer = newest("Linear")(
                hidden_features if dense.of_carry else in_features,
                dense.gates * hidden_features,
                use_bias=dense.use_bias,
                kernel_init=recurrent_kernel_init if dense.of_carry else kernel_init,
                dtype=dtype,
                param_dtype=param_dtype,
                rngs=rngs,
                **(options if dense.use_bias else {}),
            )
            # Set afterwards: a Linear takes kernel_metadata= on newer releases only,
            # all of which have cells of their own.
            metadata = recurrent_kernel_metadata if dense.of_carry else kernel_metadata
            set_metadata(vars(layer)["kernel"], **metadata)
            if dense.use_bias:
                set_metadata(vars(layer)["bias"], **bias_metadata)
            setattr(self, dense.name, layer)

    def initialize_carry(
        self, input_shape: Shape, rngs: Keys = None, carry_init: InitOrNone = None
    ) -> Any:
        """``h`` for inputs of this shape without the time axis."""
        stream = carry_stream(rngs)
        init = carry_init or self.carry_init or initializers.zeros
        shape = (*input_shape[:-1], self.hidden_features)
        if stream is not None:
            return init(stream(), shape, self.param_dtype)
        if init is initializers.zeros:
            # which Flax's own cells, up to those that keep no Rngs, made without one
            return jnp.zeros(shape, self.param_dtype)
        raise ArgumentValueError(
            "RNGs must be provided to initialize the cell carry",
            instead="cell.initialize_carry(input_shape, nnx.Rngs(0))",
        )

    @property
    def num_feature_axes(self) -> int:
        """One: the last."""
        return 1


def carry_stream(rngs: Keys) -> RngStream | None:
    """The stream of keys for carries."""
    return rngs.carry if isinstance(rngs, nnx.Rngs) else rngs


def refused(name: str, argument: str, why: str) -> RefusedArgumentError:
    """The error about an argument of a recurrent layer, with the reason."""
    return RefusedArgumentError(
        f"nnx.{name} was given {argument}, which it cannot take on flax "
        f"{flax_version}: {why}",
        instead=f"leave {argument}= out",
    )


# -- The cell without gates ---------------------------------------------------------


@extending
class SimpleCell(Cell):
    """``h' = tanh(W x + b + V h)``, with ``residual=True`` plus ``h``.

    Args:
        {in_features} {hidden_features}
        dtype: of the result.
        {param_dtype} {carry_init}
        residual: add the carry, within the tanh.
        {usual}

    Example:
        >>> from nnx_compat import nnx
        >>> cell = nnx.SimpleCell(3, 4, rngs=nnx.Rngs(0))
        >>> carry, y = cell(jnp.zeros((2, 4)), jnp.ones((2, 3)))
        >>> bool((carry == y).all())
        True
    """

    _layers = (
        Dense("dense_h", of_carry=True, use_bias=False),
        Dense("dense_i", of_carry=False, use_bias=True),
    )

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        dtype: DTypeLike = jnp.float32,
        residual: bool = False,
        **usual: Any,
    ) -> None:
        super().__init__(in_features, hidden_features, dtype=dtype, **usual)
        self.residual = residual

    def __call__(
        self, carry: jax.Array, inputs: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """The new carry and the output of one step, which are the same."""
        h = self.dense_i(inputs) + self.dense_h(carry)
        h = self.activation_fn(h + carry if self.residual else h)
        return h, h
