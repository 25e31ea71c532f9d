"""The rules, one file for each subject; a rule registers itself by being listed here.

A rule is shown events of one kind and says what is wrong with one, or nothing. Which
releases are concerned is in the facts. Its page, ``nnx-compat explain CODE``, is made
of the texts in its file; its example is run on every release of the matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..events import Event
from ..findings import Problem

__all__ = ["RULES", "Rule", "by_code", "shown"]

_Event = TypeVar("_Event", bound=Event)


@dataclass(frozen=True)
class Rule(Generic[_Event]):
    """One thing that differs between releases.

    Attributes:
        code: ``NC1xx`` something is absent, ``NC3xx`` a call has another form,
            ``NC4xx`` it runs and means something else, ``NC5xx`` it is deprecated.
        title: what it is about, in a few words.
        why: two or three sentences.
        before: a script that fails, or asserts what does not hold, on the releases that
            the rule names.
        remedy: how to write it instead, in words.
        event: the class of events it is shown.
        find: from an event to what is wrong with it.
        after: what to write by hand, where ``nnx-compat fix`` cannot.
        compat: whether it is shown what is reached through nnx_compat, too.
    """

    code: str
    title: str
    why: str
    before: str
    remedy: str
    event: type[_Event]
    find: Callable[[_Event], Problem | None]
    after: str = ""
    compat: bool = False


def _listed() -> tuple[Rule[Any], ...]:
    from . import (
        argument_counts,
        arguments,
        array_attributes,
        base_orders,
        captured,
        carries,
        deprecated,
        emptied,
        flat_states,
        loops,
        lora,
        lowered,
        mapped_streams,
        members,
        merged_copies,
        missing_streams,
        modules,
        names,
        optimizers,
        outside,
        own_constructors,
        plain_lists,
        plain_states,
        pytrees,
        raw_arrays,
        refusals,
        scan_axes,
        set_attributes,
        sharding,
        stale_states,
        states_with_rngs,
        stream_paths,
        subscripts,
        swallowed,
        unknown_optimizers,
        variable_arithmetic,
        variable_items,
        variable_states,
    )

    found: list[Rule[Any]] = [
        names.RULE, arguments.RULE, members.RULE, modules.RULE, array_attributes.RULE,
        outside.RULE, subscripts.RULE, lowered.RULE, own_constructors.RULE,
        argument_counts.RULE,
        variable_states.RULE, optimizers.UPDATE, optimizers.NEW,
        unknown_optimizers.UPDATE, unknown_optimizers.MASKED,
        plain_lists.RULE, plain_lists.PYTREE, base_orders.RULE, raw_arrays.RULE,
        raw_arrays.STORED, variable_arithmetic.RULE,
        variable_items.WRITTEN,
        variable_items.IN_PLACE, variable_items.READ, variable_items.REPLACED,
        set_attributes.RULE, scan_axes.RULE, mapped_streams.RULE, mapped_streams.SAME,
        missing_streams.RULE, loops.RULE, sharding.RULE, sharding.READ, pytrees.RULE,
        pytrees.TREE, stale_states.RULE, states_with_rngs.RULE, merged_copies.RULE,
        swallowed.RULE, lora.RULE, lora.ASKED, stream_paths.RULE, refusals.RULE,
        deprecated.RULE, deprecated.METHODS, plain_states.RULE, flat_states.RULE,
        captured.RULE, emptied.RULE, carries.RULE,
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda rule: rule.code))


RULES = _listed()


_BY_EVENT: dict[type[Event], list[Rule[Any]]] = {}
for _rule in RULES:
    _BY_EVENT.setdefault(_rule.event, []).append(_rule)


def shown(event: type[_Event]) -> Sequence[Rule[_Event]]:
    """The rules that are shown events of a kind."""
    return _BY_EVENT.get(event, ())


def by_code(code: str) -> Rule[Any] | None:
    """The rule with a code.

    Example:
        >>> from nnx_compat.check import rules
        >>> rules.by_code("NC101").title
        'a name that some releases do not have'
    """
    return next((rule for rule in RULES if rule.code == code), None)
