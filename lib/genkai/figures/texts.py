"""The texts of the figures, in English and Japanese, by key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import yaml

from genkai.figures.style import LANGUAGES, FigureError

Texts = Callable[..., str]


@lru_cache(maxsize=len(LANGUAGES))
def figure_texts(lang: str) -> Mapping[str, str]:
    """{"module.key": template} of a language. Raises FigureError for a language that has none."""
    if lang not in LANGUAGES:
        raise FigureError(f"figure texts: expected a language of {', '.join(LANGUAGES)}, got {lang!r}; correct it")
    path = resources.files("genkai.figures") / f"texts_{lang}.yaml"
    sections = yaml.safe_load(path.read_text(encoding="utf-8"))
    return MappingProxyType({f"{s}.{key}": text for s, texts in sections.items() for key, text in texts.items()})


def texts_of(t: str | Mapping[str, str] | Texts | None) -> Texts:
    """t(key, **values) → text, of a language's name, a mapping of templates, a function, or None for English."""
    if callable(t):
        return t
    templates = figure_texts(t or "en") if t is None or isinstance(t, str) else t

    def text(key: str, **values: Any) -> str:
        if key not in templates:
            raise FigureError(f"figure texts: expected a text for {key!r}, got none; add it to every language")
        return templates[key].format(**values)

    return text
