"""Tags of clips: title, location, camera and the like."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError

from derain.video.containers import ffmpeg_url

FILE_TAGS = re.compile(
    r"encoder|encoding_tool|duration|timecode|major_brand|minor_version|compatible_brands|"
    r"software|wmfsdk.*|wm/enc.*|isvbr|deviceconformance.*|metadatacreator|"
    r"has(keyframes|video|audio|metadata|cuepoints)|canseektoend|(data|video|audio|file)?size|"
    r"(video|audio)(codecid|datarate)|audiosample(size|rate)|lastkeyframe.*|lasttimestamp|"
    r"stereo|width|height|framerate",
    re.IGNORECASE,
)
"""Tags of a clip that describe its file, or the program that wrote it."""
ENCODER_TAGS = re.compile(r"encoder|duration", re.IGNORECASE)
"""Tags of a stream that describe its encoding."""
STATISTICS_TAGS = re.compile(r"(bps|number_of_|_statistics_|duration|alpha_mode).*", re.IGNORECASE)
"""Tags of a Matroska stream that were computed from its packets, or announce its transparency."""
STANDARD_TAGS = {
    *("title", "artist", "author", "album_artist", "composer", "album", "date", "comment"),
    *("genre", "copyright", "grouping", "lyrics", "description", "synopsis", "show"),
    *("episode_id", "network", "keywords", "track", "disc", "compilation", "episode_sort"),
    *("season_number", "media_type", "hd_video", "gapless_playback", "location"),
    "creation_time",
}
"""Tags that FFmpeg writes into MP4 and QuickTime in the form that all programs read."""


def read_tags(container: InputContainer) -> dict[str, str]:
    """Return the tags of a clip that are not specific to its file."""
    return {key: value for key, value in container.metadata.items() if not FILE_TAGS.fullmatch(key)}


def are_standard(tags: Iterable[str]) -> bool:
    """True if a movie can hold all tags in the standard form.

    The alternative is QuickTime's own form, which accepts any name.
    """
    return STANDARD_TAGS.issuperset(key.lower() for key in tags)


def stream_tags(tags: Mapping[str, str], *, is_reencoded: bool) -> dict[str, str]:
    """Return the tags that still apply to a copied or re-encoded stream."""
    stale = STATISTICS_TAGS if is_reencoded else ENCODER_TAGS
    valid = {
        key: value
        for key, value in tags.items()
        if not (ENCODER_TAGS.fullmatch(key) or stale.fullmatch(key))
    }
    if "name" in valid:  # FFmpeg reads a stream title of a movie as `name` and writes `title`
        valid.setdefault("title", valid.pop("name"))
    return valid


def dropped_tags(tags: Iterable[str], path: Path) -> list[str]:
    """Return one sentence on the tags that the finished clip at `path` lacks, or nothing."""
    with (
        suppress(FFmpegError, OSError),
        av.open(ffmpeg_url(path), metadata_errors="replace") as result,
    ):
        written = {key.lower() for key in result.metadata}
        if dropped := [key for key in tags if key.lower() not in written]:
            return [f"its tags {', '.join(dropped)} are dropped: {path.suffix} cannot store them"]
    return []
