"""Time stamps: restarts of the clock, missing times, fixed frame rates, and truncated files."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame

MIN_READ_SHARE = 0.95
"""Share of its declared length below which a file is truncated; declared lengths are rounded up."""
MIN_MISSING_S = 0.1
"""Tolerance for short clips: audio starts before 0, and the last frame may have no duration."""
UNTIMED = {"avi"}
"""Formats that only count packets: the nth displayed frame has the time of the nth packet."""
MAX_REORDERED_FRAMES = 16
"""Frames by which a packet can precede its frame, at most, in any codec."""
FROM_DECODING = {"flv"}
"""Formats whose length starts at the first decoding time; B-frames are displayed after it."""
RESTARTING = {"mpegts", "mpeg"}
"""Formats whose clock can restart within a file: concatenated recordings, a restarted camera."""
FORMATS_WITHOUT_ORIGIN = RESTARTING | {"flv", "asf"}
"""Formats whose clock can begin at any time: recordings of a stream have that of its source."""
MIN_GAP_S = Fraction(1, 20)
"""Shorter gaps between audio packets are rounding, and inaudible."""
JITTER_S = Fraction(1, 10)
"""The clock of a damaged stream can jump back this far without a restart."""


def clock_origin_s(container: InputContainer) -> Fraction:
    """Return the time in seconds at which a clip begins, 0 for formats that begin at 0."""
    if container.format.name not in FORMATS_WITHOUT_ORIGIN or container.start_time is None:
        return Fraction(0)
    return Fraction(container.start_time, av.time_base)


class Clock:
    """Subtracts the origin of the clock, and shifts the packets after each restart behind the rest.

    All streams are shifted by the same time. They do not restart at the same packet: near a
    restart, each packet belongs to the side where it is nearer to the others.
    """

    def __init__(self, container: InputContainer, origin_s: Fraction = Fraction(0)) -> None:
        """`origin_s` becomes 0."""
        self._may_restart = container.format.name in RESTARTING
        self._offsets_s = [-origin_s]
        """Offsets of the last two sides."""
        self._end_s = Fraction(0)
        """End of the latest packet of any stream."""
        self._last_s: dict[int, Fraction] = {}
        """Decoding time of the last packet, by stream."""

    def correct(self, packet: Packet[Any]) -> None:
        """Shift the time stamps of the next packet of the file in place."""
        dts = packet.pts if packet.dts is None else packet.dts
        if dts is None or packet.time_base is None:
            return
        dts_s = dts * packet.time_base
        offset_s = min(self._offsets_s, key=lambda offset_s: abs(dts_s + offset_s - self._end_s))
        last_s = self._last_s.get(packet.stream.index)
        is_behind = last_s is not None and dts_s + offset_s < last_s - JITTER_S
        if is_behind and self._may_restart:
            offset_s = self._end_s - dts_s
            self._offsets_s = [self._offsets_s[-1], offset_s]
        ticks = round(offset_s / packet.time_base)
        if packet.dts is not None:
            packet.dts += ticks
        if packet.pts is not None:
            packet.pts += ticks
        self._last_s[packet.stream.index] = dts_s + offset_s
        duration_s = (packet.duration or 0) * packet.time_base
        self._end_s = max(self._end_s, dts_s + offset_s + duration_s)


class FrameTimes:
    """Assigns strictly increasing time stamps to the frames."""

    def __init__(self, container: InputContainer) -> None:
        self._is_untimed = container.format.name in UNTIMED
        self._pending: deque[int] = deque()
        """Times of the packets without a frame yet, for UNTIMED formats."""
        self._last: int | None = None

    def add_packet(self, packet: Packet[Any]) -> None:
        """Record a packet that goes to the decoder."""
        if self._is_untimed and packet.dts is not None:
            self._pending.append(packet.dts)

    def drop_packet(self) -> None:
        """Forget the last packet, which could not be decoded."""
        if self._pending:
            self._pending.pop()

    def next_time(self, frame: VideoFrame, *, is_reordered: bool = True) -> int:
        """Return the time of the next frame, in ticks.

        It is the frame's own, or that of a pending packet for UNTIMED formats: the first one if
        the codec reorders frames, or else the frame's own packet. A frame without a time follows
        the frame before it.
        """
        pts = frame.dts if frame.pts is None else frame.pts
        if self._pending:
            pts = self._pending_time(frame.dts, is_reordered=is_reordered)
        if self._last is not None:
            if pts is None:
                pts = self._last + (frame.duration or 1)
            pts = max(pts, self._last + 1)
        self._last = pts or 0
        return self._last

    def _pending_time(self, dts: int | None, *, is_reordered: bool) -> int:
        """Return the time for a frame whose packet had this decoding time.

        Decoders drop frames without an error, for example those before the first key frame.
        """
        if dts is not None:
            first = dts - (MAX_REORDERED_FRAMES if is_reordered else 0)
            while len(self._pending) > 1 and self._pending[0] < first:
                self._pending.popleft()
            if not is_reordered:
                if self._pending[0] <= dts:
                    self._pending.popleft()
                return dts
        return self._pending.popleft()


class FrameGrid:
    """Places frames in a format that counts time in frames."""

    def __init__(self, rate: Fraction, *, has_gaps: bool, start_s: Fraction | None = None) -> None:
        """`rate` is in frames per second. With `has_gaps`, a frame can last several periods.

        `start_s` is the origin of the format's time; by default, the time of the first frame.
        """
        self.rate = rate
        self.max_error_s = Fraction(0)
        """Largest deviation of a frame so far from its time."""
        self._has_gaps = has_gaps
        self._start_s = start_s
        self._last = -1

    def place(self, time_s: Fraction) -> int:
        """Return the index, from 0, of a frame at `time_s`; larger than all before."""
        self._start_s = time_s if self._start_s is None else self._start_s
        exact = (time_s - self._start_s) * self.rate
        self._last = max(round(exact), self._last + 1) if self._has_gaps else self._last + 1
        self.max_error_s = max(self.max_error_s, abs(self._last - exact) / self.rate)
        return self._last


class AudioDrift:
    """Measures how early audio plays in a format that plays its packets back to back."""

    def __init__(self, start_s: Fraction) -> None:
        """`start_s` is the origin of the format's time."""
        self._start_s = start_s
        self._end_s: dict[int, Fraction] = {}
        """End of the last packet, by stream."""
        self._gaps_s: dict[int, Fraction] = {}
        """Sum of the gaps, by stream."""

    def add(self, packet: Packet[Any]) -> None:
        """Add the next audio packet of the output."""
        if packet.pts is None or packet.time_base is None or not packet.duration:
            return
        time_s, index = packet.pts * packet.time_base, packet.stream.index
        gap_s = time_s - self._end_s.get(index, self._start_s)
        if gap_s > MIN_GAP_S:
            self._gaps_s[index] = self._gaps_s.get(index, Fraction(0)) + gap_s
        self._end_s[index] = time_s + packet.duration * packet.time_base

    @property
    def max_error_s(self) -> Fraction:
        """The longest time by which a packet so far plays too early."""
        return max(self._gaps_s.values(), default=Fraction(0))


class TruncationCheck:
    """Compares the packets that were read with the declared length of the file."""

    def __init__(self, container: InputContainer, origin_s: Fraction = Fraction(0)) -> None:
        """`origin_s` was subtracted from the times of the packets."""
        self._container = container
        self._origin_s = origin_s
        self._first_s: Fraction | None = None
        """Decoding time of the first packet."""
        self._end_s = Fraction(0)
        self._last_s: dict[int, Fraction] = {}
        """Display time of the last packet, by stream."""

    def add(self, packet: Packet[Any]) -> None:
        """Add the next packet. A packet without a duration lasts as long as its predecessor."""
        time = packet.dts if packet.pts is None else packet.pts
        if time is None or packet.time_base is None:
            return
        start_s, index = time * packet.time_base, packet.stream.index
        if self._first_s is None and packet.dts is not None:
            self._first_s = packet.dts * packet.time_base
        duration_s = (packet.duration or 0) * packet.time_base
        since_last_s = max(start_s - self._last_s.get(index, start_s), Fraction(0))
        self._last_s[index] = start_s
        self._end_s = max(self._end_s, start_s + (duration_s or since_last_s))

    @property
    def missing(self) -> tuple[float, float] | None:
        """(read, declared) in seconds if a file, read to its end, is truncated; otherwise None."""
        if self._container.duration is None:
            return None
        start = (self._container.start_time or 0) / av.time_base - float(self._origin_s)
        declared = max(self._container.duration / av.time_base, self._counted_s)
        if "matroska" in self._container.format.name and start < declared:
            declared -= start  # FFmpeg stores the end there, not the length
        if self._container.format.name in FROM_DECODING and self._first_s is not None:
            start = min(start, float(self._first_s))
        read = float(self._end_s) - start
        # read is 0 if the only packet has no duration
        is_truncated = 0 < read < min(MIN_READ_SHARE * declared, declared - MIN_MISSING_S)
        return (read, declared) if is_truncated else None

    @property
    def _counted_s(self) -> float:
        """Length in seconds by the number of frames that an UNTIMED file declares, 0 for others.

        FFmpeg reduces the duration of such a file if it is truncated.
        """
        if self._container.format.name not in UNTIMED:
            return 0.0
        streams = self._container.streams.video
        return max(
            (float(stream.frames * (stream.time_base or 0)) for stream in streams), default=0
        )
