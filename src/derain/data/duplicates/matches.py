"""Pictures that show the same background: fingerprints give candidates, and pixels confirm them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain.data.duplicates.fingerprints import BITS, Fingerprint, join
from derain.data.duplicates.registration import Transform, correlation

Ints = NDArray[np.int64]

BANDS = 3
"""Two patches are compared if one of this many equal parts of their bits agrees."""
MAX_DIFFERING_BITS = 13
"""Bits of two matching patches that may differ."""
NEIGHBOURS = 8
"""Patches that each patch is compared with if many share a band: frames of a video then form a
chain, instead of as many pairs as the square of their number."""
MIN_VOTES = 3
"""Matching patches that must agree on an alignment."""
VOTE_PX = 20
"""Side of the squares in which the shifts of an alignment are counted."""
MAX_ALIGNMENTS = 3
"""Alignments of two pictures that are compared by pixels."""
MIN_CORRELATION = 0.6
"""Measured on 902 photos: unrelated pictures stay below 0.4, two photos of one building reach 0.65,
and one photo in two versions stays above 0.8."""
CACHED_PICTURES = 200


@dataclass(frozen=True)
class Match:
    """Two pictures that show the same background, by their index in the searched list."""

    first: int
    second: int
    correlation: float
    """Correlation of the fine detail of the part that both show, at most 1."""


def find_matches(
    fingerprints: Sequence[Fingerprint], load: Callable[[int], Image.Image]
) -> list[Match]:
    """Find pairs of pictures that share a background.

    `load(index)` returns the comparison image that was fingerprinted. A background is found even if
    it was mirrored, rotated by a multiple of 90 degrees, compressed, resized, or cropped to half
    its area. Three pictures of one background give only two pairs, enough to connect them.
    """
    matches: list[Match] = []
    sets = _DisjointSets(len(fingerprints))
    load = lru_cache(CACHED_PICTURES)(load)
    for first, second, alignments in _candidates(fingerprints):
        if sets.connected(first, second):
            continue
        pictures = load(first), load(second)
        best = 0.0
        for alignment in alignments:
            if best < MIN_CORRELATION:
                transform = alignment.transform(pictures[0].size, pictures[1].size)
                best = max(best, correlation(*pictures, transform))
        if best >= MIN_CORRELATION:
            matches.append(Match(first, second, best))
            sets.connect(first, second)
    return matches


def connected_groups(count: int, matches: Sequence[Match]) -> list[list[int]]:
    """Return the groups of range(count) that matches connect, two or more in ascending order."""
    sets = _DisjointSets(count)
    for match in matches:
        sets.connect(match.first, match.second)
    members: dict[int, list[int]] = {}
    for index in sorted({index for match in matches for index in (match.first, match.second)}):
        members.setdefault(sets.root(index), []).append(index)
    return sorted(members.values())


class _DisjointSets:
    """Union-find: pictures of one background are connected and not compared again."""

    def __init__(self, count: int) -> None:
        self.parent = list(range(count))

    def root(self, index: int) -> int:
        while self.parent[index] != index:
            self.parent[index] = self.parent[self.parent[index]]
            index = self.parent[index]
        return index

    def connected(self, first: int, second: int) -> bool:
        return self.root(first) == self.root(second)

    def connect(self, first: int, second: int) -> None:
        self.parent[self.root(second)] = self.root(first)


@dataclass(frozen=True)
class _Alignment:
    """An alignment of two pictures that several of their patches agree on."""

    orientation: NDArray[np.float64]
    """(2, 2)"""
    scale: float
    seeds: tuple[NDArray[np.float64], NDArray[np.float64]]
    """Centres of the agreeing patches in both pictures, each (N, 2).
    N = 0 if only the whole pictures match."""
    points: tuple[NDArray[np.float64], NDArray[np.float64]]
    """Centres of all matching patches with this orientation, each (M, 2)."""

    def transform(self, size: tuple[int, int], onto: tuple[int, int]) -> Transform:
        """Return the transform of the first picture, of `size`, to the second, of size `onto`."""
        if not len(self.seeds[0]):
            return Transform.of_whole(self.orientation, size, onto)
        return Transform.fitted(self.orientation, self.scale, seeds=self.seeds, points=self.points)


def _candidates(fingerprints: Sequence[Fingerprint]) -> Iterator[tuple[int, int, list[_Alignment]]]:
    """Yield two pictures and the alignments on which enough patches agree, best supported first."""
    if len(fingerprints) < 2:
        return
    patches = join(list(fingerprints))
    owner = np.repeat(
        np.arange(len(fingerprints)), [len(fingerprint) for fingerprint in fingerprints]
    )
    i, j = _patch_matches(patches, owner)
    pair = owner[i] * len(fingerprints) + owner[j]
    is_whole = patches.scale[i] == 0
    _, inverse, counts = np.unique(pair, return_inverse=True, return_counts=True)
    likely = (counts[inverse] >= MIN_VOTES) | is_whole
    i, j, pair, is_whole = i[likely], j[likely], pair[likely], is_whole[likely]
    if not len(i):
        return
    # Every matching pair of patches proposes an orientation, a scale and a shift.
    first, second = (
        np.stack([patches.x[side], patches.y[side]], -1).astype(np.float64) for side in (i, j)
    )
    orientation = np.einsum(
        "nji,njk->nik",
        _orientation_matrix(patches.orientation[j]),
        _orientation_matrix(patches.orientation[i]),
    )
    scale = np.where(is_whole, 1, patches.scale[i] / np.where(is_whole, 1, patches.scale[j]))
    scale = scale.astype(np.float64)
    shift = second - scale[:, None] * np.einsum("nij,nj->ni", orientation, first)
    votes, names = count_votes(pair, _quantise(orientation, scale), shift)
    votes[is_whole], names[is_whole] = MIN_VOTES, 0

    order = np.lexsort((names, -votes, pair))
    for rows in np.split(order, np.flatnonzero(np.diff(pair[order])) + 1):
        alignments: list[_Alignment] = []
        for name in dict.fromkeys(names[rows[votes[rows] >= MIN_VOTES]].tolist()):
            if len(alignments) == MAX_ALIGNMENTS:
                break
            agreeing = rows[names[rows] == name]
            best = agreeing[0]
            has_orientation = (orientation[rows] == orientation[best]).all(axis=(1, 2))
            points = rows[has_orientation & ~is_whole[rows]]
            seeds = agreeing[~is_whole[agreeing]]
            alignments.append(
                _Alignment(
                    orientation[best],
                    float(scale[best]),
                    seeds=(first[seeds], second[seeds]),
                    points=(first[points], second[points]),
                )
            )
        if alignments:
            earlier, later = divmod(int(pair[rows[0]]), len(fingerprints))
            yield earlier, later, alignments


def _patch_matches(patches: Fingerprint, owner: Ints) -> tuple[Ints, Ints]:
    """Return indices of patches of different pictures with similar bits, earlier picture first.

    Whole pictures are compared with whole pictures only.
    """
    matches: list[Ints] = []
    for band in range(BANDS):
        rotated = _rotate_bits(patches.bits, band * BITS // BANDS)
        # Sorting by all bits brings similar patches together where many share a band.
        order = np.argsort(rotated, kind="stable")
        ranked = rotated[order] >> np.uint64(BITS - BITS // BANDS)
        for distance in range(1, NEIGHBOURS + 1):
            near = np.flatnonzero(ranked[distance:] == ranked[:-distance])
            i, j = order[near], order[near + distance]
            comparable = (owner[i] != owner[j]) & (
                (patches.scale[i] == 0) == (patches.scale[j] == 0)
            )
            i, j = i[comparable], j[comparable]
            close = _differing_bits(patches.bits[i], patches.bits[j]) <= MAX_DIFFERING_BITS
            matches.append(np.minimum(i, j)[close] * len(owner) + np.maximum(i, j)[close])
    pairs = np.unique(np.concatenate(matches))
    return pairs // len(owner), pairs % len(owner)


def _quantise(orientation: NDArray[np.float64], scale: NDArray[np.float64]) -> Ints:
    """Encode orientations, (N, 2, 2), and scales, (N,), in thirds of an octave, as one integer."""
    orientation_code = np.rint(orientation.reshape(-1, 4) @ (27, 9, 3, 1) + 40).astype(np.int64)
    thirds_of_octave = np.rint(3 * np.log2(scale)).astype(np.int64)
    code: Ints = 64 * orientation_code + thirds_of_octave
    return code


def count_votes(
    pair: Ints, orientation_and_scale: Ints, shift: NDArray[np.float64]
) -> tuple[Ints, Ints]:
    """Count, for each of N matching patches, those of its pair that propose the same alignment.

    Returns the votes, (N,), and a name of each alignment, (N,). Shifts, (N, 2), are counted in
    squares of VOTE_PX, on four grids, so that no border of a square splits an alignment.
    """
    votes = np.zeros(len(pair), np.int64)
    names = np.zeros(len(pair), np.int64)
    for dx, dy in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5)):
        squares = np.floor(shift / VOTE_PX + (dx, dy)).astype(np.int64)
        grid = np.full(len(pair), round(4 * dx + 2 * dy))
        name = np.zeros(len(pair), np.uint64)
        for part in (pair, orientation_and_scale, squares[:, 0], squares[:, 1], grid):
            name = (name ^ part.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
            name ^= name >> np.uint64(29)
        _, inverse, counts = np.unique(name, return_inverse=True, return_counts=True)
        better = counts[inverse] > votes
        votes = np.where(better, counts[inverse], votes)
        names = np.where(better, name.view(np.int64), names)
    return votes, names


def _rotate_bits(bits: NDArray[np.uint64], count: int) -> NDArray[np.uint64]:
    """Rotate words of BITS bits to the left by `count`."""
    low = (np.uint64(1) << np.uint64(BITS - count)) - np.uint64(1)
    return ((bits & low) << np.uint64(count)) | (bits >> np.uint64(BITS - count))


_ONES = np.array([number.bit_count() for number in range(1 << 16)], np.uint8)
"""Number of set bits of each 16-bit word."""


def _differing_bits(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> Ints:
    """Return the Hamming distances of words, (N,) and (N,) -> (N,)."""
    counts: Ints = _ONES[(first ^ second).view(np.uint16).reshape(-1, 4)].sum(axis=1)
    return counts


def _orientation_matrix(orientation: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return matrices that map (x, y) of a picture to (x, y) of a patch, (N,) -> (N, 2, 2)."""
    matrix = np.zeros((len(orientation), 2, 2))
    matrix[:, 0, 0] = np.where(orientation & 1, -1, 1)
    matrix[:, 1, 1] = np.where(orientation & 2, -1, 1)
    return np.where(((orientation & 4) > 0)[:, None, None], matrix[:, ::-1], matrix)
