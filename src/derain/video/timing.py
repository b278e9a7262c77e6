"""When frames are shown, and how far a clip was read of what it says to hold."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame

WHOLE = 0.95
"""The share of its declared length that a file must have not to be taken for cut off; lengths are declared a little too long."""
UNTIMED = {"avi"}
"""Formats that count their packets: the first frame that is shown has the time of the first packet, the second of the second."""


FROM_DECODING = {"flv"}
"""Formats whose length begins where the first frame is decoded, which with frames out of order is before it is shown."""


class Clock:
    """Time stamps that rise from frame to frame."""

    def __init__(self, container: InputContainer) -> None:
        self._is_counted = container.format.name in UNTIMED
        self._due: deque[int] = deque()
        """Times of the packets whose frames have not come yet, where frames are counted."""
        self._last: int | None = None

    def await_frame(self, packet: Packet[Any]) -> None:
        """A packet goes to the decoder."""
        if self._is_counted and packet.dts is not None:
            self._due.append(packet.dts)

    def give_up(self) -> None:
        """The last packet could not be decoded: its frame will not come."""
        if self._due:
            self._due.pop()

    def stamp(self, frame: VideoFrame) -> int:
        """The time of the next frame: its own, or of UNTIMED the first that is due; without any, a step after the last."""
        pts = self._due.popleft() if self._due else frame.dts if frame.pts is None else frame.pts
        if self._last is not None:
            if pts is None:
                pts = self._last + (frame.duration or 1)
            pts = max(pts, self._last + 1)
        self._last = pts or 0
        return self._last


class Reach:
    """How far packets of any stream have been read."""

    def __init__(self, container: InputContainer) -> None:
        self._container = container
        self._first_s: Fraction | None = None
        """When the first packet is decoded."""
        self._end_s = Fraction(0)
        self._last_s: dict[int, Fraction] = {}
        """When the last packet of each stream is shown."""

    def see(self, packet: Packet[Any]) -> None:
        """Another packet was read. One that does not say how long it is shown is taken to be so as long as the one before it."""
        time = packet.dts if packet.pts is None else packet.pts
        if time is None or packet.time_base is None:
            return
        start_s, index = time * packet.time_base, packet.stream.index
        if self._first_s is None and packet.dts is not None:
            self._first_s = packet.dts * packet.time_base
        length_s = (packet.duration or 0) * packet.time_base or max(start_s - self._last_s.get(index, start_s), Fraction(0))
        self._last_s[index] = start_s
        self._end_s = max(self._end_s, start_s + length_s)

    @property
    def missing(self) -> tuple[float, float] | None:
        """(read, declared) in seconds where a file, read to its end, is far shorter than it says: it was cut off."""
        if self._container.duration is None:
            return None
        start, declared = (self._container.start_time or 0) / av.time_base, self._container.duration / av.time_base
        if "matroska" in self._container.format.name and start < declared:
            declared -= start  # FFmpeg writes there when a clip ends, and not how long it is
        if self._container.format.name in FROM_DECODING and self._first_s is not None:
            start = min(start, float(self._first_s))
        read = float(self._end_s) - start
        return (read, declared) if 0 < read < WHOLE * declared else None  # 0: the only packet does not say its length
