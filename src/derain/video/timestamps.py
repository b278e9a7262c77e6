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
LEAST_MISSING_S = 0.1
"""What a short clip may lack of its declared length: sound begins before 0, a last frame does not say how long it is shown."""
UNTIMED = {"avi"}
"""Formats that count their packets: the first frame that is shown has the time of the first packet, the second of the second."""


FROM_DECODING = {"flv"}
"""Formats whose length begins where the first frame is decoded, which with frames out of order is before it is shown."""


RESTARTING = {"mpegts", "mpeg"}
"""Formats whose clock may begin anew in the middle of a file: recordings that were joined end to end, a camera that restarted."""
LEAST_GAP_S = Fraction(1, 20)
"""Less between two packets of sound is how their times are rounded, and nobody hears it."""
JITTER_S = Fraction(1, 10)
"""How far the clock of a damaged stream jumps back without having begun anew."""


class ClockRestarts:
    """Moves what comes after each new beginning of the clock behind what came before it, all streams by the same time.

    The streams do not begin anew at one packet: near a seam each packet belongs to the side where it is nearer to the others.
    """

    def __init__(self, container: InputContainer) -> None:
        self._may_restart = container.format.name in RESTARTING
        self._offsets_s = [Fraction(0)]
        """Of the last two sides."""
        self._now_s = Fraction(0)
        """When the last packet so far ends, of any stream."""
        self._last_s: dict[int, Fraction] = {}
        """When the last packet of each stream is decoded."""

    def close(self, packet: Packet[Any]) -> None:
        """Move the time stamps of the next packet of the file, if that is needed."""
        if not self._may_restart or packet.dts is None or packet.time_base is None:
            return
        told_s = packet.dts * packet.time_base
        offset_s = min(self._offsets_s, key=lambda offset_s: abs(told_s + offset_s - self._now_s))
        last_s = self._last_s.get(packet.stream.index)
        if last_s is not None and told_s + offset_s < last_s - JITTER_S:
            offset_s = self._now_s - told_s
            self._offsets_s = [self._offsets_s[-1], offset_s]
        ticks = round(offset_s / packet.time_base)
        packet.dts += ticks
        if packet.pts is not None:
            packet.pts += ticks
        self._last_s[packet.stream.index] = told_s + offset_s
        self._now_s = max(
            self._now_s, told_s + offset_s + (packet.duration or 0) * packet.time_base
        )


class FrameTimes:
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


class FrameGrid:
    """Where frames come in a format that counts time in frames."""

    def __init__(self, rate: Fraction, *, has_gaps: bool, start_s: Fraction | None = None) -> None:
        """`rate` frames a second. With `has_gaps` a frame may be shown for several, or else each is shown as long as all others.

        `start_s` is what the format counts from, by default the time of the first frame.
        """
        self.rate = rate
        self.worst_s = Fraction(0)
        """How far any frame so far is shown from when it is to be."""
        self._has_gaps = has_gaps
        self._start_s = start_s
        self._last = -1

    def place(self, time_s: Fraction) -> int:
        """The number, from 0, at which a frame is shown that is to be shown at `time_s`. It is above all numbers before."""
        self._start_s = time_s if self._start_s is None else self._start_s
        exact = (time_s - self._start_s) * self.rate
        self._last = max(round(exact), self._last + 1) if self._has_gaps else self._last + 1
        self.worst_s = max(self.worst_s, abs(self._last - exact) / self.rate)
        return self._last


class AudioDrift:
    """How far sound is moved by a format that plays its packets one after the other from the beginning on."""

    def __init__(self, start_s: Fraction) -> None:
        """`start_s` is what the format counts from."""
        self._start_s = start_s
        self._end_s: dict[int, Fraction] = {}
        """When the last packet of each stream ends."""
        self._gaps_s: dict[int, Fraction] = {}
        """What each stream is played too early by."""

    def see(self, packet: Packet[Any]) -> None:
        """Another packet of sound is written."""
        if packet.pts is None or packet.time_base is None or not packet.duration:
            return
        time_s, index = packet.pts * packet.time_base, packet.stream.index
        gap_s = time_s - self._end_s.get(index, self._start_s)
        if gap_s > LEAST_GAP_S:  # less is how times are rounded
            self._gaps_s[index] = self._gaps_s.get(index, Fraction(0)) + gap_s
        self._end_s[index] = time_s + packet.duration * packet.time_base

    @property
    def worst_s(self) -> Fraction:
        """By how much any packet so far is played too early."""
        return max(self._gaps_s.values(), default=Fraction(0))


class TruncationCheck:
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
        length_s = (packet.duration or 0) * packet.time_base or max(
            start_s - self._last_s.get(index, start_s), Fraction(0)
        )
        self._last_s[index] = start_s
        self._end_s = max(self._end_s, start_s + length_s)

    @property
    def missing(self) -> tuple[float, float] | None:
        """(read, declared) in seconds where a file, read to its end, is far shorter than it says: it was cut off."""
        if self._container.duration is None:
            return None
        start, declared = (
            (self._container.start_time or 0) / av.time_base,
            self._container.duration / av.time_base,
        )
        if "matroska" in self._container.format.name and start < declared:
            declared -= start  # FFmpeg writes there when a clip ends, and not how long it is
        if self._container.format.name in FROM_DECODING and self._first_s is not None:
            start = min(start, float(self._first_s))
        read = float(self._end_s) - start
        is_cut = (
            0 < read < min(WHOLE * declared, declared - LEAST_MISSING_S)
        )  # 0: the only packet does not say its length
        return (read, declared) if is_cut else None
