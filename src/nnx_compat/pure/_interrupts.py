"""Ctrl-C put off for the few moments in which it would cost a model its weights.

Python runs the handlers of signals, that of Ctrl-C among them, between two bytecodes of
the main thread. A program that jax has met before runs without any, but one that is new
to jax goes through Python on its way back, with the old arrays gone and the new ones
known to nobody else.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any


class Interrupts:
    """Signals with a handler in Python, put off between ``begin`` and ``end``.

    In other threads than the main one, where no handler runs, it does nothing.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._noted: list[tuple[Callable[..., object], int, FrameType | None]] = []

    def begin(self) -> None:
        """Put them off."""
        if threading.current_thread() is not threading.main_thread():
            return
        try:
            for number in signal.valid_signals():
                handler = signal.getsignal(number)
                if callable(handler) and number not in self._handlers:
                    self._handlers[number] = handler
                    signal.signal(number, self._note)
        except BaseException:  # of a handler that was not put off yet
            self.end()
            raise

    def end(self) -> None:
        """Put the handlers back, and run those whose signals came."""
        if threading.current_thread() is not threading.main_thread():
            return
        try:
            # One that is back may raise at once: the others follow all the same.
            for number in tuple(self._handlers):
                signal.signal(number, self._handlers[number])
                del self._handlers[number]
            while self._noted:
                handler, *arguments = self._noted.pop(0)
                handler(*arguments)
        finally:
            if self._handlers or self._noted:
                self.end()

    def _note(self, number: int, frame: FrameType | None) -> None:
        handler = self._handlers.get(number)
        if handler is not None:
            self._noted.append((handler, number, frame))

    def __enter__(self) -> Interrupts:
        self.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()


class Guard:
    """Puts signals off while a program that uses up arrays may be new to jax.

    Attributes:
        slow: whether it may be at the next call, and goes through Python on its way
            back.
        always: whether signals are put off at each call.
    """

    def __init__(self) -> None:
        self.slow = True
        self.always = False
        self.interrupts = Interrupts()
        self._programs = 0

    def begin(self) -> None:
        """Tracing begins: it may take long, costs nothing and can be interrupted."""
        self.interrupts.end()

    def end(self) -> None:
        """Tracing ends, what comes next uses up the arrays."""
        self.slow = True
        self.interrupts.begin()

    def after(self, program: Any) -> None:
        """A call is over in which interrupts were put off."""
        programs = program._cache_size()
        self.slow = self.always or programs != self._programs
        self._programs = programs
        self.interrupts.end()
