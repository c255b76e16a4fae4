"""Python values written as Typst code: string literals, so that no character of a value is ever markup."""

from __future__ import annotations

from collections.abc import Iterable

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "", "\t": "\\t"}


def literal(text: str) -> str:
    r"""Return `text` as a Typst string literal; control characters become spaces.

    >>> literal('a "b" #c')
    '"a \\"b\\" #c"'
    """
    return '"' + "".join(_ESCAPES.get(c, c if c.isprintable() or ord(c) > 159 else " ") for c in text) + '"'


def array(items: Iterable[str]) -> str:
    """Return Typst expressions as a Typst array expression.

    >>> array(['1', '2'])
    '(1, 2,)'
    """
    items = list(items)
    return "(" + ", ".join(items) + ",)" if items else "()"


def call(name: str, *positional: str, **named: str | None) -> str:
    """Return a Typst function call of Typst expressions; `None` arguments are left out, `_` in names becomes `-`.

    >>> call("badge", '"pass"', size="9pt", fill=None)
    'badge("pass", size: 9pt)'
    """
    arguments = [
        *positional,
        *(f"{key.replace('_', '-')}: {value}" for key, value in named.items() if value is not None),
    ]
    return f"{name}({', '.join(arguments)})"
