"""Which pictures show the same background: candidates from fingerprints, each one confirmed by its pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain.data.duplicates.fingerprints import BITS, Fingerprint, join
from derain.data.duplicates.registration import Transform, correlation

Ints = NDArray[np.int64]

BANDS = 3  # two patches meet if one third of their bits agree ...
ALIKE_BITS = 13  # ... and no more than these differ in all
NEIGHBOURS = 8  # in a crowded third: frames of a video chain up instead of squaring
VOTES = 3  # patches that must agree on how one picture lies on the other
VOTE_PX = 20
TRIES = 3  # placements that are compared by pixels
AGREEMENT = 0.6  # measured on 902 photos: unrelated ones below 0.4, two photos of one building up to 0.65, one photo above 0.8


@dataclass(frozen=True)
class Match:
    """Two pictures, by their place in the list that was searched, that show the same background."""

    first: int
    second: int
    correlation: float
    """Correlation of the fine detail of the part that both show, at most 1."""


def find_matches(
    fingerprints: Sequence[Fingerprint], load: Callable[[int], Image.Image]
) -> list[Match]:
    """Return pairs of pictures that share a background.

    `load(index)` returns the working picture that was fingerprinted. A background is found whichever way up, mirrored,
    compressed, resized, or cropped to half its area. Of three pictures of one background two pairs are enough to tell, and are
    returned.
    """
    found: list[Match] = []
    joined = _Groups(len(fingerprints))
    loaded = _Recent(load)
    for first, second, lies in _candidates(fingerprints):
        if not joined.same(first, second):
            one, two = loaded(first), loaded(second)
            best = 0.0
            for lie in lies:
                if best < AGREEMENT:
                    best = max(best, correlation(one, two, lie.placement(one.size, two.size)))
            if best >= AGREEMENT:
                found.append(Match(first, second, best))
                joined.join(first, second)
    return found


def groups(count: int, overlaps: Sequence[Match]) -> list[list[int]]:
    """The parts of range(count) that overlaps connect, of two and more, each in ascending order."""
    joined = _Groups(count)
    for overlap in overlaps:
        joined.join(overlap.first, overlap.second)
    members: dict[int, list[int]] = {}
    for index in sorted(
        {index for overlap in overlaps for index in (overlap.first, overlap.second)}
    ):
        members.setdefault(joined.root(index), []).append(index)
    return sorted(members.values())


class _Groups:
    """Disjoint sets: what has been found to be one background need not be compared again."""

    def __init__(self, count: int) -> None:
        self.parent = list(range(count))

    def root(self, index: int) -> int:
        while self.parent[index] != index:
            self.parent[index] = self.parent[self.parent[index]]
            index = self.parent[index]
        return index

    def same(self, first: int, second: int) -> bool:
        return self.root(first) == self.root(second)

    def join(self, first: int, second: int) -> None:
        self.parent[self.root(second)] = self.root(first)


class _Recent:
    """Loads pictures and keeps the last few."""

    def __init__(self, load: Callable[[int], Image.Image], *, keep: int = 200) -> None:
        self.load, self.keep = load, keep
        self.pictures: dict[int, Image.Image] = {}

    def __call__(self, index: int) -> Image.Image:
        if index not in self.pictures:
            while len(self.pictures) >= self.keep:
                self.pictures.pop(next(iter(self.pictures)))
            self.pictures[index] = self.load(index)
        return self.pictures[index]


@dataclass(frozen=True)
class _Alignment:
    """Patches that agree on one placement, as points in both pictures; no seeds if it was the whole pictures that met."""

    matrix: NDArray[np.float64]
    scale: float
    seeds: tuple[NDArray[np.float64], NDArray[np.float64]]
    points: tuple[NDArray[np.float64], NDArray[np.float64]]
    """All patches that met and lie the same way."""

    def placement(self, size: tuple[int, int], onto: tuple[int, int]) -> Transform:
        if not len(self.seeds[0]):
            return Transform.of_whole(self.matrix, size, onto)
        return Transform.fitted(self.matrix, self.scale, seeds=self.seeds, points=self.points)


def _candidates(fingerprints: Sequence[Fingerprint]) -> Iterator[tuple[int, int, list[_Alignment]]]:
    """Yield pairs of pictures with the placements, the best supported first, on which enough of their patches agree."""
    if len(fingerprints) < 2:
        return
    patches = join(list(fingerprints))
    owner = np.repeat(np.arange(len(fingerprints)), [len(one) for one in fingerprints])
    one, two = _patch_matches(patches, owner)
    pair = owner[one] * len(fingerprints) + owner[two]
    whole = patches.scale[one] == 0
    _, inverse, counts = np.unique(pair, return_inverse=True, return_counts=True)
    likely = (counts[inverse] >= VOTES) | whole
    one, two, pair, whole = one[likely], two[likely], pair[likely], whole[likely]
    if not len(one):
        return
    first, second = (
        np.stack([patches.x[side], patches.y[side]], -1).astype(np.float64) for side in (one, two)
    )
    matrix = np.einsum(
        "nji,njk->nik", _turn_matrix(patches.turn[two]), _turn_matrix(patches.turn[one])
    )
    scale = np.where(whole, 1, patches.scale[one] / np.where(whole, 1, patches.scale[two])).astype(
        np.float64
    )
    shift = second - scale[:, None] * np.einsum("nij,nj->ni", matrix, first)
    lie = np.rint(matrix.reshape(-1, 4) @ (27, 9, 3, 1) + 40).astype(np.int64) * 64 + np.rint(
        3 * np.log2(scale)
    ).astype(np.int64)
    votes, names = count_votes(pair, lie, shift)
    votes[whole], names[whole] = VOTES, 0

    order = np.lexsort((names, -votes, pair))
    for rows in np.split(order, np.flatnonzero(np.diff(pair[order])) + 1):
        lies: list[_Alignment] = []
        for name in dict.fromkeys(names[rows[votes[rows] >= VOTES]].tolist()):
            if len(lies) == TRIES:
                break
            seeds = rows[names[rows] == name]
            alike = rows[(matrix[rows] == matrix[seeds[0]]).all(axis=(1, 2)) & ~whole[rows]]
            seeds_but_whole = seeds[~whole[seeds]]
            lies.append(
                _Alignment(
                    matrix[seeds[0]],
                    float(scale[seeds[0]]),
                    seeds=(first[seeds_but_whole], second[seeds_but_whole]),
                    points=(first[alike], second[alike]),
                )
            )
        if lies:
            yield (
                int(pair[rows[0]] // len(fingerprints)),
                int(pair[rows[0]] % len(fingerprints)),
                lies,
            )


def _patch_matches(patches: Fingerprint, owner: Ints) -> tuple[Ints, Ints]:
    """Indices (one, two) of patches of different pictures with nearly the same bits, the earlier picture first.

    Whole pictures meet whole ones only.
    """
    met: list[Ints] = []
    for band in range(BANDS):
        turned = _rotated(patches.bits, band * BITS // BANDS)
        order = np.argsort(
            turned, kind="stable"
        )  # in a crowd of equal thirds the other bits bring like to like
        ranked = turned[order] >> np.uint64(BITS - BITS // BANDS)
        for distance in range(1, NEIGHBOURS + 1):
            near = np.flatnonzero(ranked[distance:] == ranked[:-distance])
            one, two = order[near], order[near + distance]
            fits = (owner[one] != owner[two]) & (
                (patches.scale[one] == 0) == (patches.scale[two] == 0)
            )
            one, two = one[fits], two[fits]
            close = _differing(patches.bits[one], patches.bits[two]) <= ALIKE_BITS
            met.append(np.minimum(one, two)[close] * len(owner) + np.maximum(one, two)[close])
    pairs = np.unique(np.concatenate(met))
    return pairs // len(owner), pairs % len(owner)


def count_votes(pair: Ints, lie: Ints, shift: NDArray[np.float64]) -> tuple[Ints, Ints]:
    """For each meeting, how many of its pair agree with it on lie and shift, and a name for that agreement.

    Shifts are counted in squares of VOTE_PX, laid in four ways so that no agreement is cut by a border.
    """
    votes = np.zeros(len(pair), np.int64)
    names = np.zeros(len(pair), np.int64)
    for dx, dy in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5)):
        bins = np.floor(shift / VOTE_PX + (dx, dy)).astype(np.int64)
        name = np.zeros(len(pair), np.uint64)
        for part in (pair, lie, bins[:, 0], bins[:, 1], np.full(len(pair), round(4 * dx + 2 * dy))):
            name = (name ^ part.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
            name ^= name >> np.uint64(29)
        _, inverse, counts = np.unique(name, return_inverse=True, return_counts=True)
        better = counts[inverse] > votes
        votes = np.where(better, counts[inverse], votes)
        names = np.where(better, name.view(np.int64), names)
    return votes, names


def _rotated(bits: NDArray[np.uint64], count: int) -> NDArray[np.uint64]:
    low = (np.uint64(1) << np.uint64(BITS - count)) - np.uint64(1)
    return ((bits & low) << np.uint64(count)) | (bits >> np.uint64(BITS - count))


_ONES = np.array(
    [
        number.bit_count() if hasattr(int, "bit_count") else bin(number).count("1")
        for number in range(1 << 16)
    ],
    np.uint8,
)


def _differing(one: NDArray[np.uint64], two: NDArray[np.uint64]) -> Ints:
    counts: Ints = _ONES[(one ^ two).view(np.uint16).reshape(-1, 4)].sum(axis=1)
    return counts


def _turn_matrix(turn: NDArray[np.int8]) -> NDArray[np.float64]:
    """(N,) turns -> (N, 2, 2): from (x, y) in the picture to (x, y) in the patch as it was laid."""
    matrix = np.zeros((len(turn), 2, 2))
    matrix[:, 0, 0] = np.where(turn & 1, -1, 1)
    matrix[:, 1, 1] = np.where(turn & 2, -1, 1)
    return np.where(((turn & 4) > 0)[:, None, None], matrix[:, ::-1], matrix)
