"""What is kept to save work: bounded, and what is in use outlives any number of keys that come once."""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Kept(Generic[K, V]):
    """A mapping of at most 2 x `most` keys. When one half is full the other is forgotten, but for what was looked up since."""

    __slots__ = ("_most", "_older", "_young")

    def __init__(self, most: int) -> None:
        self._most = most
        self._young: dict[K, V] = {}
        self._older: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._older)

    def get(self, key: K) -> V | None:
        """What is kept under a key; None where it was forgotten, or never known."""
        found = self._young.get(key)
        if found is None:
            found = self._older.pop(key, None)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: K, value: V) -> V:
        """Keep a value, and give it back."""
        if len(self._young) >= self._most:
            self._older, self._young = self._young, {}
        self._young[key] = value
        return value
