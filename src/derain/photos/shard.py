"""Shards: parts of a folder of about equal size, one for each machine."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from derain.errors import DerainError


@dataclass(frozen=True)
class Shard:
    """Shard `index` of `count`, counted from 1.

    The name alone decides which shard a file belongs to, whatever was restored, added or deleted
    in the meantime.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return the shard for a text such as `2/8`. Raises DerainError."""
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise DerainError(f"--shard {text}: expected INDEX/COUNT, for example 2/8")
        return cls(int(match[1]), int(match[2]))

    def contains(self, name: Path) -> bool:
        """True if the file of this name, relative to the shared folder, belongs to the shard."""
        # a checksum would not do: numbered names are too similar
        digest = hashlib.sha256(name.as_posix().encode(errors="surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1
