"""One of several shares of about equal size of a folder, for as many machines."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from derain.errors import DerainError


@dataclass(frozen=True)
class Shard:
    """Share `index` of `count`, counted from 1.

    A file belongs to a share by its name alone: whatever has been done, added or taken away meanwhile, and on every machine.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `2/8`. Raises DerainError for anything else, and for a share that is not one of the count."""
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise DerainError(f"--shard {text}: is no share; write 2/8 for the second of eight")
        return cls(int(match[1]), int(match[2]))

    def holds(self, name: Path) -> bool:
        """Whether the file of this name, relative to the folder that is shared out, belongs to this share."""
        # numbered names are too alike for a checksum
        digest = hashlib.sha256(name.as_posix().encode(errors="surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1
