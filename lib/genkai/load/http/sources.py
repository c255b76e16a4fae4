"""Values for the placeholders of a call: data-file rows, counters, random choices."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from genkai.load.http.cookies import Cookies

Scope = Literal["call", "iteration", "user"]


class Source(Protocol):
    """Something that yields values without end for one of several users."""

    scope: Scope

    def values(self, name: str, user: int, users: int, rng: random.Random) -> Iterator[Mapping[str, Any]]:
        """Endless mappings from placeholder to value."""


@dataclass(frozen=True)
class Rows:
    """Rows of a data file; in turn (user u of n takes rows u, u+n, …, wrapping around) or at random."""

    rows: Sequence[Mapping[str, Any]]
    order: Literal["in_turn", "random"] = "in_turn"
    scope: Scope = "call"

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError("Rows: expected at least one row, got none; is the data file empty?")

    def values(self, name: str, user: int, users: int, rng: random.Random) -> Iterator[Mapping[str, Any]]:
        """The rows themselves: each column is a placeholder."""
        index = user
        while True:
            yield rng.choice(self.rows) if self.order == "random" else self.rows[index % len(self.rows)]
            index += users


@dataclass(frozen=True)
class Counter:
    """Whole numbers that no two users share: start + step × (user + users × k)."""

    start: int = 1
    step: int = 1
    scope: Scope = "call"

    def values(self, name: str, user: int, users: int, rng: random.Random) -> Iterator[Mapping[str, Any]]:
        """One number after the other."""
        number = self.start + self.step * user
        while True:
            yield {name: number}
            number += self.step * users


@dataclass(frozen=True)
class Choice:
    """One of the values at random, evenly or by weight."""

    choices: Sequence[Any]
    weights: Sequence[float] | None = None
    scope: Scope = "call"

    def __post_init__(self) -> None:
        if not self.choices:
            raise ValueError("Choice: expected at least one value, got none")
        if self.weights is not None and len(self.weights) != len(self.choices):
            raise ValueError(f"Choice.weights: expected {len(self.choices)} numbers, got {len(self.weights)}")

    def values(self, name: str, user: int, users: int, rng: random.Random) -> Iterator[Mapping[str, Any]]:
        """Independent draws."""
        while True:
            yield {name: rng.choices(self.choices, self.weights)[0] if self.weights else rng.choice(self.choices)}


@dataclass(frozen=True)
class RandomInt:
    """A whole number from low to high, both included, evenly."""

    low: int
    high: int
    scope: Scope = "call"

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

    scope: Scope = "call"

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
        self._by_scope: dict[Scope, list[Iterator[Mapping[str, Any]]]] = {"call": [], "iteration": [], "user": []}
        for name, source in (sources or {}).items():
            self._by_scope[source.scope].append(source.values(name, user, users, rng))
        self._each_call = self._by_scope["call"]
        self._advance("user")
        self._advance("iteration")

    def _advance(self, scope: Scope) -> None:
        for values in self._by_scope[scope]:
            self.values.update(next(values))

    def next_iteration(self) -> None:
        """Draw the values that hold for one pass through the scenario."""
        self._advance("iteration")

    def draw(self) -> dict[str, Any]:
        """Draw the values that are new for each call; all current values."""
        for values in self._each_call:
            self.values.update(next(values))
        return self.values


def placeholder_names(sources: Mapping[str, Source]) -> frozenset[str]:
    """The placeholders that the sources fill."""
    names: set[str] = set()
    for name, source in sources.items():
        names.update(source.rows[0] if isinstance(source, Rows) else (name,))
    return frozenset(names)
