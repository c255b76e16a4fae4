"""Values for the placeholders of a call: data-file rows, counters, random numbers."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from genkai.load.http.cookies import Cookies


class Source(Protocol):
    """Something that yields values without end for one of several users."""

    def values(self, name: str, user: int, users: int, rng: random.Random) -> Iterator[Mapping[str, Any]]:
        """Endless mappings from placeholder to value."""


@dataclass(frozen=True)
class Rows:
    """Rows of a data file in turn: user u of n takes rows u, u+n, …, wrapping around."""

    rows: Sequence[Mapping[str, Any]]

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError("Rows: expected at least one row, got none; is the data file empty?")

    def values(self, name: str, user: int, users: int, rng: random.Random) -> Iterator[Mapping[str, Any]]:
        """The rows themselves: each column is a placeholder."""
        index = user
        while True:
            yield self.rows[index % len(self.rows)]
            index += users


@dataclass(frozen=True)
class Counter:
    """Whole numbers that no two users share: start + step × (user + users × k)."""

    start: int = 1
    step: int = 1

    def values(self, name: str, user: int, users: int, rng: random.Random) -> Iterator[Mapping[str, Any]]:
        """One number after the other."""
        number = self.start + self.step * user
        while True:
            yield {name: number}
            number += self.step * users


@dataclass(frozen=True)
class RandomInt:
    """A whole number from low to high, both included, evenly."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"RandomInt: expected low ≤ high, got {self.low} > {self.high}")

    def values(self, name: str, user: int, users: int, rng: random.Random) -> Iterator[Mapping[str, Any]]:
        """Independent draws."""
        while True:
            yield {name: rng.randint(self.low, self.high)}


@dataclass(frozen=True)
class Uuid:
    """A random UUID (version 4) as text."""

    def values(self, name: str, user: int, users: int, rng: random.Random) -> Iterator[Mapping[str, Any]]:
        """Independent draws."""
        while True:
            yield {name: str(uuid.UUID(int=rng.getrandbits(128), version=4))}


class CallState:
    """One user's placeholder values and cookies.

    ``sources`` maps a name to its source; a Rows source gives one placeholder per column instead of its name.
    ``user`` of ``users`` numbers the users over all processes from 0. Values that a task learns itself go in by
    ``state.values["token"] = …``. ``cookies=True`` keeps cookies.
    """

    def __init__(
        self,
        sources: Mapping[str, Source] | None = None,
        user: int = 0,
        users: int = 1,
        seed: int | None = None,
        cookies: bool = False,
    ) -> None:
        if not 0 <= user < users:
            raise ValueError(f"CallState: expected 0 ≤ user < users, got user {user} of {users}")
        rng = random.Random(None if seed is None else seed * 1_000_003 + user)
        self.values: dict[str, Any] = {}
        self.cookies = Cookies() if cookies else None
        self._sources = [source.values(name, user, users, rng) for name, source in (sources or {}).items()]

    def draw(self) -> dict[str, Any]:
        """Draw the values that are new for each call; all current values."""
        for values in self._sources:
            self.values.update(next(values))
        return self.values
