"""Label values that cannot grow without limit: a client that makes up model names must not fill Prometheus."""

OTHER = "other"
_LONGEST = 128


class Bounded:
    """The first `limit` distinct values are themselves, all later ones are "other"."""

    __slots__ = ("_known", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: dict[str, str] = {}

    def __call__(self, value: str) -> str:
        """The label to use for a value."""
        label = self._known.get(value)
        if label is not None:
            return label
        if len(self._known) >= self._limit or len(value) > _LONGEST:
            return OTHER
        self._known[value] = value.encode(errors="replace").decode()  # one lone surrogate would spoil the whole page
        return self._known[value]
