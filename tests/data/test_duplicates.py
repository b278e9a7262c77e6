"""Detection of shared backgrounds among photos that ship with scikit-image."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps
from skimage import data

from derain.data.duplicates.fingerprints import MAX_SIDE_PX, comparison_image, fingerprint
from derain.data.duplicates.matches import VOTE_PX, connected_groups, count_votes, find_matches
from derain.data.duplicates.registration import Transform, correlation

PEOPLE_AND_THINGS = ["astronaut", "chelsea", "coffee", "rocket", "camera", "clock"]
TEXTURES_AND_SPOTS = ["brick", "grass", "gravel", "coins", "page", "immunohistochemistry"]


@pytest.fixture(scope="module")
def pictures():
    """Fourteen pictures that share nothing: twelve photos, and two parts of another one."""
    names = PEOPLE_AND_THINGS + TEXTURES_AND_SPOTS
    images = [Image.fromarray(getattr(data, name)()).convert("RGB") for name in names]
    hubble = Image.fromarray(data.hubble_deep_field())
    return [*images, hubble.crop((0, 0, 480, 872)), hubble.crop((520, 0, 1000, 872))]


def jpeg(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def cropped(image, share, *, left=0.6, top=0.3):
    """Return a part with `share` of each side."""
    width, height = round(image.width * share), round(image.height * share)
    x, y = round((image.width - width) * left), round((image.height - height) * top)
    return image.crop((x, y, x + width, y + height))


def prepare(image):
    compared = comparison_image(image)
    return compared, fingerprint(compared)


@pytest.fixture(scope="module")
def prepared(pictures):
    return [prepare(picture) for picture in pictures]


def matches_of(prepared):
    return find_matches([print_ for _, print_ in prepared], lambda index: prepared[index][0])


def matches_among(images):
    return matches_of([prepare(image) for image in images])


CHANGES = {
    "none": lambda image: image,
    "JPEG 30": lambda image: jpeg(image, 30),
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "rotated by 90 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "rotated by 180 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "rotated by 270 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_270),
    "transposed": lambda image: image.transpose(Image.Transpose.TRANSPOSE),
    "cropped to 0.9": lambda image: cropped(image, 0.9),
    "cropped to 0.7": lambda image: cropped(image, 0.7),
    "brighter": lambda image: image.point(lambda value: round(255 * (value / 255) ** 0.7)),
    "half as bright": lambda image: image.point(lambda value: value // 2),
    "without colour": lambda image: image.convert("L").convert("RGB"),
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "smaller": lambda image: image.resize((image.width * 4 // 5, image.height * 4 // 5)),
    "stretched": lambda image: image.resize((512, 384)),
    "cropped, mirrored, JPEG 50": lambda image: jpeg(ImageOps.mirror(cropped(image, 0.75)), 50),
}


@pytest.mark.parametrize("name", CHANGES)
def test_planted_backgrounds_are_found_and_no_others(pictures, prepared, name):
    """Every other change is applied to the pictures at even places, the rest to those at odd."""
    change, is_odd = CHANGES[name], [*CHANGES].index(name) % 2
    changed = range(is_odd, len(pictures), 2)
    matches = matches_of([*prepared, *(prepare(change(pictures[index])) for index in changed)])
    planted = {(index, len(pictures) + position) for position, index in enumerate(changed)}
    assert {(match.first, match.second) for match in matches} == planted


def test_different_photos_share_nothing(prepared):
    assert matches_of(prepared) == []


def test_plain_pictures_share_nothing():
    plain = [Image.new("RGB", (100, 80), (value, value, value)) for value in (0, 128, 255)]
    assert matches_among(plain) == []


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (30, 30), (40, 500), (200, 300)])
def test_noise_of_any_size_shares_nothing(rng, size):
    noise = [Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)) for _ in range(8)]
    if size == (1, 1):  # every picture of one pixel is plain
        noise = noise[:2]
    assert matches_among(noise) == []


def test_no_pictures_have_no_matches():
    assert matches_among([]) == []


def test_copies_of_one_background_form_one_group(pictures):
    """More copies than each one is compared with."""
    picture = pictures[0].reduce(2)
    images = [picture, pictures[1], *(jpeg(picture, 40 + index) for index in range(20))]
    assert connected_groups(len(images), matches_among(images)) == [[0, *range(2, 22)]]


def test_groups_connect_matches(pictures):
    a, b, c = pictures[:3]
    images = [a, b, ImageOps.mirror(a), c, jpeg(b, 60), cropped(a, 0.8)]
    assert connected_groups(6, matches_among(images)) == [[0, 2, 5], [1, 4]]


def test_large_picture_is_compared_at_a_smaller_size(pictures):
    large = pictures[0].resize((3000, 3000))
    assert max(comparison_image(large).size) == MAX_SIDE_PX
    assert len(matches_among([large, pictures[0]])) == 1


ORIENTATIONS = {
    Image.Transpose.FLIP_LEFT_RIGHT: [[-1, 0], [0, 1]],
    Image.Transpose.FLIP_TOP_BOTTOM: [[1, 0], [0, -1]],
    Image.Transpose.ROTATE_90: [[0, 1], [-1, 0]],
    Image.Transpose.ROTATE_180: [[-1, 0], [0, -1]],
    Image.Transpose.ROTATE_270: [[0, -1], [1, 0]],
    Image.Transpose.TRANSPOSE: [[0, 1], [1, 0]],
    Image.Transpose.TRANSVERSE: [[0, -1], [-1, 0]],
}


@pytest.mark.parametrize("transpose", ORIENTATIONS, ids=lambda transpose: transpose.name)
def test_only_the_right_orientation_correlates(pictures, transpose):
    first = comparison_image(pictures[1])
    second = first.transpose(transpose)
    scores = {
        other: correlation(
            first, second, Transform.of_whole(np.array(matrix, float), first.size, second.size)
        )
        for other, matrix in ORIENTATIONS.items()
    }
    assert scores.pop(transpose) > 0.99
    assert max(scores.values()) < 0.5


def test_touching_corners_do_not_correlate(pictures):
    picture = comparison_image(pictures[0])
    shift = np.array([picture.width - 20.0, picture.height - 20.0])
    assert correlation(picture, picture, Transform(np.eye(2), np.ones(2), shift)) == 0


@pytest.mark.parametrize("border", [(VOTE_PX, 0.3), (0.3, VOTE_PX), (VOTE_PX, VOTE_PX)])
def test_border_of_a_square_does_not_split_votes(border):
    shifts = np.array([(-1, -1), (-1, 1), (1, -1), (1, 1), (500, 500)]) + border
    votes, _ = count_votes(np.zeros(5, int), np.zeros(5, int), shifts)
    assert votes.tolist() == [4, 4, 4, 4, 1]


def test_different_orientations_do_not_agree():
    votes, _ = count_votes(np.zeros(4, int), np.array([0, 0, 1, 1]), np.full((4, 2), 5.0))
    assert votes.tolist() == [2, 2, 2, 2]


def test_fit_ignores_wrong_points(rng):
    orientation = np.array([[0.0, -1.0], [1.0, 0.0]])
    first = rng.uniform(0, 400, (40, 2))
    second = 1.1 * first @ orientation.T + (300, 20)
    second[30:] = rng.uniform(0, 400, (10, 2))
    fitted = Transform.fitted(
        orientation, 1.0, seeds=(first[:4], second[:4]), points=(first, second)
    )
    np.testing.assert_allclose([*fitted.scale, *fitted.shift], [1.1, 1.1, 300, 20], rtol=0.02)
