"""The message catalogue: every text of a document by key, in English and Japanese, with typed numbers."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Any

import yaml

from genkai.report.errors import ReportError
from genkai.report.inline import LABEL, Text
from genkai.report.quantities import formatted

LANGUAGES = ("en", "ja")
# Values that are names of the project's vocabulary are printed by their names in the catalogue: placeholder -> group.
_VOCABULARY = {"step": "step", "model": "model", "runner_up": "model", "what": "quantity", "api": "word"}
_PRIVATE = 0xE000  # private-use characters stand for values while markup is read, so that no value is markup


@lru_cache(maxsize=len(LANGUAGES))
def catalogue(lang: str) -> Mapping[str, str]:
    """Return the messages of `lang`, "section.key" -> template.

    They come from `<lang>.yaml` and `*_<lang>.yaml` of the report, and from the texts that the diagnosis brings along.
    Raises ReportError for an unknown language, or for a key that two files of the report define.
    """
    if lang not in LANGUAGES:
        raise ReportError(
            "language", f"one of {', '.join(LANGUAGES)}", f'"{lang}"', "correct --lang or the parameter lang"
        )
    found: dict[str, str] = {}
    for path in _files(lang):
        texts = dict(_flat(yaml.safe_load(path.read_text(encoding="utf-8")), "", str(path.name)))
        twice = sorted(texts.keys() & found.keys())
        if twice:
            raise ReportError(path.name, "keys that no other file has", ", ".join(twice[:5]), "remove one of each")
        found |= texts
    return MappingProxyType(found)


def _files(lang: str) -> list[Traversable]:
    folder = resources.files("genkai.report") / "messages"
    own = [path for path in folder.iterdir() if path.name == f"{lang}.yaml" or path.name.endswith(f"_{lang}.yaml")]
    return [
        *sorted(own, key=lambda path: path.name),
        resources.files("genkai.analyse") / "rules" / f"texts_{lang}.yaml",
    ]


def _flat(node: Any, prefix: str, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield prefix, node
    elif isinstance(node, Mapping) and all(isinstance(key, str) for key in node):
        for key, child in node.items():
            yield from _flat(child, f"{prefix}.{key}" if prefix else key, where)
    else:
        raise ReportError(f"{where}: {prefix}", "a text or a mapping with text keys", repr(node)[:60], "quote it")


class Messages:
    """The texts of one language: `m(key, **values)` is a `str`, `m.text(key, **values)` a Text with markup."""

    def __init__(self, lang: str = "en") -> None:
        self.lang = lang
        self._catalogue = catalogue(lang)
        self._units = {key[5:]: text for key, text in self._catalogue.items() if key.startswith("unit.")}

    def __contains__(self, key: str) -> bool:
        return key in self._catalogue

    def keys(self) -> list[str]:
        """Return all keys, sorted."""
        return sorted(self._catalogue)

    def template(self, key: str) -> str:
        """Return the unformatted text of `key`. Raises ReportError that names the key and the language."""
        try:
            return self._catalogue[key]
        except KeyError:
            near = [known for known in self._catalogue if known.split(".")[0] == key.split(".")[0]][:5]
            raise ReportError(
                f"report/messages/{self.lang}.yaml",
                f'a message "{key}" for language {self.lang}',
                f"none (keys near it: {', '.join(near) or 'none'})",
                "add it to every language's catalogue",
            ) from None

    def __call__(self, key: str, /, **values: Any) -> str:
        """Return the message with its values formatted, as plain text."""
        return str(self.text(key, **values))

    def text(self, key: str, /, **values: Any) -> Text:
        """Return the message as a Text: markup of the template only; values are literal, `{x:ref}` is a reference.

        Raises ReportError for a missing key, a missing value, or a value that its format cannot print.
        """
        parts, kept = [], []
        for before, name, spec, _ in string.Formatter().parse(self.template(key)):
            parts.append(before[1:] if kept and _stray_space(kept[-1], before) else before)
            if name is None:
                continue
            if name not in values:
                where, given = f"message {key} ({self.lang})", ", ".join(sorted(values)) or "none"
                raise ReportError(where, f'a value "{name}"', f"values: {given}", "put it into the record's values")
            if spec == "ref":
                parts.append("@" + check_label(str(values[name]), where=f"message {key}"))
            else:
                value = self.format(self._named(name, values[name]), spec or "")
                if _stray_space(parts[-1][:-1], parts[-1][-1:] + value):
                    parts[-1] = parts[-1][:-1]
                parts.append(chr(_PRIVATE + len(kept)))
                kept.append(value)
        return _restored(Text.parse("".join(parts)), kept)

    def _named(self, placeholder: str, value: Any) -> Any:
        group = _VOCABULARY.get(placeholder)
        if not group or not isinstance(value, str):
            return value
        return self._catalogue["word.comma"].join(
            self._catalogue.get(f"{group}.{part}", part) for part in value.split(", ")
        )

    def format(self, value: Any, spec: str = "") -> str:
        """Return a number, record, time or text by `spec` (see genkai.report.quantities.SPECS) in this language.

        A value `{"key": …, "values": {…}}` is a message inside a message; it loses its full stop. A list is told
        one by one.
        """
        if isinstance(value, list | tuple):
            return self("word.semicolon").join(map(self.format, value))
        if isinstance(value, Text):
            return str(value)
        if isinstance(value, Mapping) and "key" in value:
            return self(value["key"], **value.get("values", {})).rstrip(".。")
        return formatted(self._units, value, spec, self._catalogue["number.missing"])


def _stray_space(value: str, following: str) -> bool:
    """Whether a space parts two Japanese letters: templates have it for values that end in a Latin unit."""
    return following[:1] == " " and _is_japanese(value[-1:]) and _is_japanese(following[1:2])


def _is_japanese(letter: str) -> bool:
    return "\u3040" <= letter <= "\u9fff"


def _restored(text: Text, kept: list[str]) -> Text:
    table = {_PRIVATE + index: value for index, value in enumerate(kept)}
    return Text(tuple(type(span)(span.kind, span.content.translate(table)) for span in text.spans))


def check_label(label: str, where: str) -> str:
    """Return `label` if it is a valid figure or table label. Raises ReportError."""
    if not LABEL.fullmatch(label):
        raise ReportError(where, 'a label like "fig-scale" or "tab-targets"', f'"{label}"', "rename it")
    return label
