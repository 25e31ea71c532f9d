"""New models from old ones, the originals untouched."""

from ._state_update import pure_state_update

__all__ = ["pure_state_update"]
