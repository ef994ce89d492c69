"""Marks: what was found or ordered about cells, kept beside their sums for all replicas."""

import math
from typing import Any

from metrics import keys, records, scripts
from metrics.door import Door
from metrics.tally import epoch_of

CHANGES = 30  # days that the time of a change is kept


class Marks(Door):
    """Each is there or is not: setting one again, or clearing one that is not there, changes nothing and is told."""

    async def discount(self, cell: str, factor: float, at: float, pause: float) -> bool:
        """The world of a cell has changed: what it has earned counts `factor` (0 to 1) of what it did.

        At most once in `pause` seconds, whoever asks: True if this call did it. What other processes have not flushed yet
        is added afterwards, undiscounted. Raises ValueError for another factor.
        """
        if not 0 <= factor <= 1:
            raise ValueError(f"a discount is a factor from 0 to 1, not {factor}")
        epoch = epoch_of(at)
        pipe = self._pipe()
        self._script(
            pipe,
            scripts.DISCOUNT,
            (keys.changed(cell), keys.last_changed(cell), keys.sums(cell, epoch), keys.sums(cell, epoch - 1)),
            (repr(at), _seconds(pause), CHANGES * keys.DAY, repr(float(factor))),
        )
        bad = int((await self._run(pipe))[0])
        self.corrupt += max(bad, 0)
        return bad >= 0

    async def roll_back(self, cell: str, cause: str, at: float, seconds: float) -> bool:
        """Holds a cell at the policy's own value for so many seconds; False, and nothing changed, if it is held already."""
        pipe = self._pipe()
        mark = records.pack_mark("cause", cause, at)
        pipe.set(keys.rolled_back(cell), mark, nx=True, ex=_seconds(seconds))
        return bool((await self._run(pipe))[0])

    async def release(self, cell: str) -> bool:
        """Lets a cell that was rolled back learn again; False if it was not."""
        return await self._delete(keys.rolled_back(cell))

    async def pause_learning(self, why: str, at: float) -> bool:
        """Holds all cells at the policy's own values until `resume_learning`; False if they were, and now for this reason."""
        pipe = self._pipe()
        pipe.exists(keys.PAUSED)
        pipe.set(keys.PAUSED, records.pack_mark("why", why, at))
        return not (await self._run(pipe))[0]

    async def resume_learning(self) -> bool:
        """Ends the pause; False if there was none."""
        return await self._delete(keys.PAUSED)

    async def was_imported(self, digest: str) -> bool:
        """Whether an exported file was added to this store."""
        pipe = self._pipe()
        pipe.exists(keys.imported(digest))
        return bool((await self._run(pipe))[0])

    async def set_imported(self, digest: str, at: float) -> None:
        """An exported file is added, and may not be again."""
        pipe = self._pipe()
        pipe.set(keys.imported(digest), at)
        await self._run(pipe)

    async def _delete(self, key: str) -> bool:
        pipe = self._pipe()
        pipe.delete(key)
        return bool((await self._run(pipe))[0])

    def _understood(self, found: Any, otherwise: Any) -> Any:
        """What was read of a mark. One that cannot be read still holds: its being there is what counts."""
        self.corrupt += found is None
        return otherwise if found is None else found


def _seconds(life: float) -> int:
    """A key's life as Redis takes it: whole seconds, at least one."""
    return max(math.ceil(life), 1)
