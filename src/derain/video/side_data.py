"""Side data of a frame: rotation, HDR metadata, captions and the like.

FFmpeg knows more kinds than PyAV, such as the EXIF of the frames of a Motion JPEG. PyAV raises
ValueError for a frame that has one of these, unless this module is imported.
"""

from __future__ import annotations

import struct
from typing import Any

from av.sidedata.sidedata import SideData, Type
from av.video.frame import VideoFrame

NEW_KINDS = {31: "EXIF"}
"""Number of FFmpeg 8 -> its name, for kinds that PyAV lacks and a clip may contain."""


def side_data_kinds(frame: VideoFrame) -> set[str]:
    """Return FFmpeg's names of the kinds of side data that a frame has."""
    side_data: Any = frame.side_data  # PyAV's stubs lack iteration, which yields the values
    return {data.type.name for data in side_data}


def display_matrix(frame: VideoFrame) -> list[int] | None:
    """Return the rotation for players: nine numbers, or None."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return list(struct.unpack("=9i", bytes(matrix))) if isinstance(matrix, SideData) else None


def _name_new_kind(kinds: type[Type], value: int) -> Type:
    """Return a member for a number that PyAV does not know; see `enum.Enum._missing_`."""
    kind = object.__new__(kinds)
    kind._name_ = NEW_KINDS.get(value, f"UNKNOWN_{value}")
    kind._value_ = value  # type: ignore[assignment]
    return kind


Type._missing_ = classmethod(_name_new_kind)  # type: ignore[assignment]
