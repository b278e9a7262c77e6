"""What clips say of themselves: title, place, camera and the like."""

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
    r"encoder|encoding_tool|duration|timecode|major_brand|minor_version|compatible_brands|software|wmfsdk.*|wm/enc.*|isvbr|"
    r"deviceconformance.*|metadatacreator|has(keyframes|video|audio|metadata|cuepoints)|canseektoend|(data|video|audio|file)?size|"
    r"(video|audio)(codecid|datarate)|audiosample(size|rate)|lastkeyframe.*|lasttimestamp|stereo|width|height|framerate",
    re.IGNORECASE,
)
"""Tags of a clip that tell of the bytes of its file, or of the program that wrote it."""
ENCODER_TAGS = re.compile(r"encoder|duration", re.IGNORECASE)
"""The same of a stream."""
COUNTED = re.compile(r"(bps|number_of_|_statistics_|duration).*", re.IGNORECASE)
"""What Matroska says of a stream that was counted on its packets."""
PLAIN = {
    "title",
    "artist",
    "author",
    "album_artist",
    "composer",
    "album",
    "date",
    "comment",
    "genre",
    "copyright",
    "grouping",
}
PLAIN |= {
    "lyrics",
    "description",
    "synopsis",
    "show",
    "episode_id",
    "network",
    "keywords",
    "track",
    "disc",
    "compilation",
}
PLAIN |= {
    "episode_sort",
    "season_number",
    "media_type",
    "hd_video",
    "gapless_playback",
    "location",
    "creation_time",
}
"""What FFmpeg writes into a movie as all programs read it."""


def tags_of(container: InputContainer) -> dict[str, str]:
    """What a clip says of itself, without what is true of its file only."""
    return {key: value for key, value in container.metadata.items() if not FILE_TAGS.fullmatch(key)}


def are_plain(tags: Iterable[str]) -> bool:
    """Whether FFmpeg writes all of them into a movie in the usual way, and not only in QuickTime's, which takes any name."""
    return PLAIN.issuperset(key.lower() for key in tags)


def stream_tags(tags: Mapping[str, str], *, is_anew: bool) -> dict[str, str]:
    """What is still true of a stream whose packets are copied, or which is written `is_anew`."""
    stale = COUNTED if is_anew else ENCODER_TAGS
    kept = {
        key: value
        for key, value in tags.items()
        if not (ENCODER_TAGS.fullmatch(key) or stale.fullmatch(key))
    }
    if "name" in kept:  # as a title is called in a movie, which FFmpeg reads and does not write
        kept.setdefault("title", kept.pop("name"))
    return kept


def dropped_tags(tags: Iterable[str], path: Path) -> list[str]:
    """The sentence on tags of a clip that its result at `path` does not have, if there are any."""
    with (
        suppress(FFmpegError, OSError),
        av.open(ffmpeg_url(path), metadata_errors="replace") as result,
    ):
        there = {key.lower() for key in result.metadata}
        if lost := [key for key in tags if key.lower() not in there]:
            return [f"its tags {', '.join(lost)} are left out: a {path.suffix} does not hold them"]
    return []
