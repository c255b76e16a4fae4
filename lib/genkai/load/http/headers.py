"""Header fields of a response."""

from collections.abc import Iterable, Iterator, Mapping


class Headers(Mapping[str, str]):
    """Fields by name, upper or lower case alike; repeated ones are joined by ", " (RFC 9110 §5.3)."""

    __slots__ = ("_fields", "_pairs")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs = list(pairs)
        self._fields: dict[str, str] = {}
        for name, value in self._pairs:
            key = name.lower()
            self._fields[key] = f"{self._fields[key]}, {value}" if key in self._fields else value

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({self._pairs!r})"

    def get_all(self, name: str) -> list[str]:
        """Every value of one field in order, unjoined (Set-Cookie must not be joined)."""
        key = name.lower()
        return [value for field, value in self._pairs if field.lower() == key]
