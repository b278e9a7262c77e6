import io

import numpy as np
import pytest
from PIL import Image, ImageOps
from skimage import data

from derain.data.duplicates.fingerprints import LONGEST_PX, fingerprint, working
from derain.data.duplicates.matches import VOTE_PX, count_votes, find_matches, groups
from derain.data.duplicates.registration import Transform, correlation

PEOPLE_AND_THINGS = ["astronaut", "chelsea", "coffee", "rocket", "camera", "clock"]
TEXTURES_AND_SPOTS = ["brick", "grass", "gravel", "coins", "page", "immunohistochemistry"]
NAMES = PEOPLE_AND_THINGS + TEXTURES_AND_SPOTS


@pytest.fixture(scope="module")
def photos():
    """Twelve photos that ship with scikit-image, one of them halved into two that share nothing."""
    images = [Image.fromarray(getattr(data, name)()).convert("RGB") for name in NAMES]
    hubble = Image.fromarray(data.hubble_deep_field())
    return [*images, hubble.crop((0, 0, 480, 872)), hubble.crop((520, 0, 1000, 872))]


def jpeg(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def cropped(image, share, *, left=0.6, top=0.3):
    """A part with `share` of each side."""
    width, height = round(image.width * share), round(image.height * share)
    x, y = round((image.width - width) * left), round((image.height - height) * top)
    return image.crop((x, y, x + width, y + height))


def look(image):
    picture = working(image)
    return picture, fingerprint(picture)


@pytest.fixture(scope="module")
def seen(photos):
    return [look(photo) for photo in photos]


def overlaps_of(seen):
    return find_matches([one for _, one in seen], lambda index: seen[index][0])


def overlaps(images):
    return overlaps_of([look(image) for image in images])


CHANGES = {
    "as it is": lambda image: image,
    "JPEG 30": lambda image: jpeg(image, 30),
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "turned by 90 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "turned by 180 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "turned by 270 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_270),
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


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_every_planted_background_is_found_and_no_other(photos, seen, change):
    found = overlaps_of([*seen, *(look(change(photo)) for photo in photos)])
    assert {(one.first, one.second) for one in found} == {
        (index, index + len(photos)) for index in range(len(photos))
    }


def test_different_photos_share_nothing(photos):
    assert overlaps(photos) == []


def test_plain_pictures_share_nothing():
    assert (
        overlaps([Image.new("RGB", (100, 80), (value, value, value)) for value in (0, 128, 255)])
        == []
    )


def test_noise_shares_nothing(rng):
    assert (
        overlaps(
            [Image.fromarray(rng.integers(0, 256, (200, 300), dtype=np.uint8)) for _ in range(12)]
        )
        == []
    )


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (30, 30), (40, 500)])
def test_small_pictures_are_searched_without_failing(rng, size):
    assert (
        overlaps([Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)) for _ in range(2)])
        == []
    )


def test_nothing_is_found_among_nothing():
    assert overlaps([]) == []


def test_many_copies_of_one_background_form_one_group(photos):
    images = [photos[0], photos[1], *(jpeg(photos[0], 40 + index) for index in range(20))]
    assert groups(len(images), overlaps(images)) == [[0, *range(2, 22)]]


def test_a_large_picture_is_compared_at_a_smaller_size(photos):
    large = photos[0].resize((3000, 3000))
    assert max(working(large).size) == LONGEST_PX and len(overlaps([large, photos[0]])) == 1


def test_groups_are_what_overlaps_connect(photos):
    a, b = photos[:2]
    assert groups(
        6, overlaps([a, b, ImageOps.mirror(a), photos[2], jpeg(b, 60), cropped(a, 0.8)])
    ) == [[0, 2, 5], [1, 4]]


TURNS = {
    Image.Transpose.FLIP_LEFT_RIGHT: [[-1, 0], [0, 1]],
    Image.Transpose.FLIP_TOP_BOTTOM: [[1, 0], [0, -1]],
    Image.Transpose.ROTATE_90: [[0, 1], [-1, 0]],
    Image.Transpose.ROTATE_180: [[-1, 0], [0, -1]],
    Image.Transpose.ROTATE_270: [[0, -1], [1, 0]],
    Image.Transpose.TRANSPOSE: [[0, 1], [1, 0]],
    Image.Transpose.TRANSVERSE: [[0, -1], [-1, 0]],
}


@pytest.mark.parametrize("turn", TURNS, ids=lambda turn: turn.name)
def test_a_turned_picture_agrees_with_itself_under_its_own_placement_only(photos, turn):
    one = working(photos[1])
    two = one.transpose(turn)
    scores = {
        other: correlation(one, two, Transform.of_whole(np.array(lie, float), one.size, two.size))
        for other, lie in TURNS.items()
    }
    assert scores.pop(turn) > 0.99 and max(scores.values()) < 0.5


def test_pictures_that_touch_in_a_corner_do_not_agree(photos):
    one = working(photos[0])
    far = Transform(np.eye(2), np.ones(2), np.array([one.width - 20.0, one.height - 20.0]))
    assert correlation(one, one, far) == 0


@pytest.mark.parametrize("border", [(VOTE_PX, 0.3), (0.3, VOTE_PX), (VOTE_PX, VOTE_PX)])
def test_an_agreement_is_not_cut_by_the_border_of_a_square(border):
    shifts = np.array([(-1, -1), (-1, 1), (1, -1), (1, 1), (500, 500)]) + border
    votes, _ = count_votes(np.zeros(5, int), np.zeros(5, int), shifts)
    assert votes.tolist() == [4, 4, 4, 4, 1]


def test_patches_that_lie_in_different_ways_do_not_agree():
    votes, _ = count_votes(np.zeros(4, int), np.array([0, 0, 1, 1]), np.full((4, 2), 5.0))
    assert votes.tolist() == [2, 2, 2, 2]


def test_a_placement_is_fitted_to_points_despite_wrong_ones(rng):
    lie = np.array([[0.0, -1.0], [1.0, 0.0]])
    first = rng.uniform(0, 400, (40, 2))
    second = 1.1 * first @ lie.T + (300, 20)
    second[30:] = rng.uniform(0, 400, (10, 2))
    fitted = Transform.fitted(lie, 1.0, seeds=(first[:4], second[:4]), points=(first, second))
    np.testing.assert_allclose([*fitted.scale, *fitted.shift], [1.1, 1.1, 300, 20], rtol=0.02)
