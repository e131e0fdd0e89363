"""Counts the operations of one `handle` call, so that the observer hears of each kind once."""

from __future__ import annotations

from collections.abc import Callable

from pgcrypt_proxy.session.observer import Observer


class Meter:
    """Sums counts and seconds by operation and data class until `report`."""

    def __init__(self, observer: Observer, clock: Callable[[], float]) -> None:
        self._observer = observer
        self.clock = clock
        self._sums: dict[tuple[str, str], tuple[int, float]] = {}

    def add(self, operation: str, data_class: str, seconds: float, values: int = 1) -> None:
        count, total = self._sums.get((operation, data_class), (0, 0.0))
        self._sums[operation, data_class] = count + values, total + seconds

    def report(self) -> None:
        if self._sums:
            for (operation, data_class), (count, seconds) in self._sums.items():
                self._observer.operations(operation, data_class, count, seconds)
            self._sums.clear()
