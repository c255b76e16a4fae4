"""What was made of a study is kept with it: several notebooks of a cycle, run in one process, show the same things.

What is kept is shared: it must not be changed by whoever gets it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

P, T, Owner = ParamSpec("P"), TypeVar("T"), TypeVar("Owner")


def kept(function: Callable[Concatenate[Owner, P], T]) -> Callable[Concatenate[Owner, P], T]:
    """The function of a study (or the method of something with a `study` and a `run`), computed once for its arguments.

    All further arguments must be hashable.
    """

    @wraps(function)
    def once(owner: Owner, *args: P.args, **named: P.kwargs) -> T:
        store: dict[Any, Any] = getattr(owner, "study", owner).kept
        name = f"{function.__module__}.{function.__qualname__}"
        key = (name, getattr(owner, "run", None), args, tuple(sorted(named.items())))
        if key not in store:
            store[key] = function(owner, *args, **named)
        return store[key]

    return once
