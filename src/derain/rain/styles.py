"""Rain styles: recipes of published rain generators and our own, each seeded, over a clean picture.

They complement `derain.rain.render`, whose streaks are modelled on drops in the air. Published
styles were implemented from their parameters, without code of their sources. Where a source leaves
a number open, the docstring names our range. Our own are in `derain.rain.photo_styles`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from derain.errors import DerainError
from derain.rain.filters import (
    Floats,
    convolve,
    gaussian_kernel,
    motion_kernel,
    otsu_threshold,
    resize,
)
from derain.rain.model import Seed, generator
from derain.rain.photo_styles import draw_close_drops, draw_drips, draw_lines, draw_specks
from derain.rain.render import (
    WHITE,
    Pixels,
    check_picture,
    convert_like,
    resolve_scale,
    smooth_field,
)
from derain.rain.streak_masks import (
    StreakMasks,
    change_mask,
    crop_mask,
    draw_streaks,
    fitting_zoom,
)

StyleComposite = Literal["add", "screen", "alpha"]
Draw = Callable[[np.random.Generator, int, int, StreakMasks], Floats]
"""Draws a rain layer, (H, W) in 0 and up, from random numbers, its size and streak masks."""
Change = Callable[[np.random.Generator, Floats], Floats]
"""Changes a picture, (H, W, C) in 0..1."""


ALPHA_WHITE = 0.9
"""Brightness of opaque rain with the composite `alpha`."""


@dataclass(frozen=True)
class Style:
    """A recipe for rain."""

    draw: Draw
    composite: StyleComposite
    needs_masks: bool = False
    """True if the rain layer is made of streak masks, grey on black."""
    before: Change | None = None
    """Change of the clean picture before rain is added."""
    after: Change | None = None
    """Change of the picture after rain was added. It may not depend on the number of channels."""


def render_style(
    clean: Pixels,
    *,
    style: str,
    seed: Seed = 0,
    scale: float | None = None,
    masks: StreakMasks | None = None,
) -> Pixels:
    """Add the rain of a style to `clean`, (H, W, 3) or (H, W), uint8, uint16 or float in 0..1.

    `style` is a key of STYLES. `scale` enlarges the rain; None uses 1 up to 400 x 400 pixels and
    grows with larger pictures. `masks` are the streak masks of styles that need them.
    The same seed gives the same rain. Raises DerainError for an unknown style, for missing masks,
    and where `derain.rain.render` does.
    """
    return render_style_pair(clean, style=style, seed=seed, scale=scale, masks=masks)[0]


def render_style_pair(
    clean: Pixels,
    *,
    style: str,
    seed: Seed = 0,
    scale: float | None = None,
    masks: StreakMasks | None = None,
) -> tuple[Pixels, Pixels]:
    """Return the picture of `render_style`, and the same picture without its streaks.

    The second one is `clean`, but for `outdoor-rain`, whose defocus and haze it has.
    """
    check_picture(clean)
    masks = masks or StreakMasks()
    recipe = resolve_style(style, masks)
    rng = generator(seed)
    height, width = clean.shape[:2]
    scale = resolve_scale(scale, height, width)
    dry = clean.astype(np.float32).reshape(height, width, -1)
    dry /= np.float32(WHITE[clean.dtype.name])
    if recipe.before is not None:
        dry = recipe.before(rng, dry)
    small_height, small_width = (max(1, round(side / scale)) for side in (height, width))
    rain = recipe.draw(rng, small_height, small_width, masks)
    rain = np.maximum(resize(rain, height, width), 0)
    rainy = combine(dry, rain, recipe.composite)
    if recipe.after is not None:
        both = recipe.after(rng, np.concatenate([rainy, dry], axis=-1))
        rainy, dry = np.split(both, 2, axis=-1)
    is_changed = recipe.before is not None or recipe.after is not None
    return convert_like(clean, rainy), convert_like(clean, dry) if is_changed else clean


def resolve_style(name: str, masks: StreakMasks) -> Style:
    """Return the style of that name. Raises DerainError if it is unknown or lacks masks."""
    if name not in STYLES:
        raise DerainError(f"{name}: no such style of rain; choose one of {', '.join(STYLES)}")
    style = STYLES[name]
    if style.needs_masks and not masks:
        raise DerainError(
            f"{name}: needs streak masks; name a folder of them with --streaks (Python: masks=)"
        )
    return style


def combine(image: Floats, rain: Floats, composite: StyleComposite) -> Floats:
    """Combine a picture, (H, W, C), with a rain layer, (H, W).

    - add: I + R
    - screen: I + R - I R
    - alpha: I (1 - R) + 0.9 R
    """
    layer = rain[..., None]
    opacity = np.minimum(layer, 1)
    if composite == "add":
        combined = image + layer
    elif composite == "screen":
        combined = image + opacity - image * opacity
    else:
        combined = image * (1 - opacity) + ALPHA_WHITE * opacity
    return np.asarray(combined, np.float32)


def levels(image: Floats, black: float, white: float) -> Floats:
    """Map `black` to 0 and `white` to 1, and clip, like Levels in Photoshop."""
    return np.asarray(np.clip((image - black) / max(white - black, 1e-6), 0, 1), np.float32)


def draw_rain1400(rng: np.random.Generator, height: int, width: int, masks: StreakMasks) -> Floats:
    """Rain1400, also called DDN (Fu et al., CVPR 2017): noise, motion blur, Levels, screen.

    The data set follows a Photoshop tutorial (photoshopessentials.com, "Photoshop weather effects:
    rain"). Published: grey noise of mean 25 and deviation 85 (of 255), enlarged fourfold, motion
    blur of 75 pixels at 65 degrees from the horizontal, Levels, screen. The set has 14 rains for
    each background, so ours vary around these numbers: enlargement 2 to 4, length 30 to 90 pixels,
    up to 40 degrees from the vertical. Levels start between 1 deviation below the mean and 0.3
    above it and end 5 to 8 deviations later, which fits 56 pairs of the set.
    """
    grain = rng.uniform(2.0, 4.0)
    small = [int(np.ceil(side / grain)) + 1 for side in (height, width)]
    noise = rng.normal(25 / 255, 85 / 255, small).astype(np.float32)
    enlarged = resize(noise, *(round(side * grain) for side in small))[:height, :width]
    kernel = motion_kernel(rng.uniform(30, 90), rng.uniform(-40, 40))
    blurred = convolve(enlarged, kernel)
    deviation = float(blurred.std())
    black = float(blurred.mean()) + rng.uniform(-1.0, 0.3) * deviation
    return levels(blurred, black, black + rng.uniform(5.0, 8.0) * deviation)


def draw_hq_rain(rng: np.random.Generator, height: int, width: int, masks: StreakMasks) -> Floats:
    """HQ-RAIN and 4K-Rain13k (Chen et al.): sparse points, stretched along a line, alpha-blended.

    Published: uniform noise of which the brightest v / 100 levels of 256 are kept, v = 300 to 500;
    sharpening; a diagonal kernel of 20 to 40 pixels, rotated to -10 to 40 degrees and scaled by
    1 - length / 100; Gaussian blur of the kernel with 3, 5 or 7 pixels; stretched to 0..1;
    I (1 - R) + 0.9 R.
    """
    share = rng.uniform(3.0, 5.0) / 256
    points = (rng.random((height, width)) < share).astype(np.float32)
    diagonal = rng.integers(20, 41)
    length_px = float(diagonal * np.sqrt(2) * (1 - diagonal / 100))
    sigma_px = float(rng.choice([0.8, 1.1, 1.4]))  # OpenCV's sigma of kernels of 3, 5 and 7 pixels
    line = motion_kernel(length_px, rng.uniform(-10, 40))
    streaks = convolve(convolve(points, line), gaussian_kernel(sigma_px))
    return levels(streaks, 0.0, float(streaks.max()))


def draw_outdoor_rain(
    rng: np.random.Generator, height: int, width: int, masks: StreakMasks
) -> Floats:
    """Outdoor-Rain, also called HeavyRain (Li et al., CVPR 2019): dense noise, motion blur, haze.

    Published: Gaussian noise of mean -0.8 to -1.0 and variance 0.7 to 1.0, clipped to 0..1 and
    enlarged by 1.01 to 1.21; motion blur of 21 to 60 pixels at 80, 85, 90, 95 or 100 degrees; added
    with a gain of 0.04 length + 0.2 + U(0, 0.05); a background blurred by
    sigma = min(1, |N(0.5, 0.5)|); haze at three levels of airlight. The haze of the source follows
    the depth of the scene. Ours is a smooth random field of transmission 0.4 to 1, with airlight
    0.4, 0.5 or 0.6.
    """
    mean, variance = -4 * rng.uniform(0.2, 0.25), rng.uniform(0.7, 1.0)
    grain = rng.uniform(1.01, 1.21)
    small = [int(np.ceil(side / grain)) + 1 for side in (height, width)]
    noise = np.clip(rng.normal(mean, np.sqrt(variance), small), 0, 1).astype(np.float32)
    enlarged = resize(noise, *(round(side * grain) for side in small))[:height, :width]
    length_px = int(rng.integers(21, 61))
    kernel = motion_kernel(length_px, float(rng.choice([-10, -5, 0, 5, 10])))
    gain = 0.04 * length_px + 0.2 + rng.uniform(0, 0.05)
    return np.asarray(gain * convolve(enlarged, kernel), np.float32)


def _defocus(rng: np.random.Generator, image: Floats) -> Floats:
    sigma_px = min(1.0, abs(float(rng.normal(0.5, 0.5))))
    if sigma_px < 0.1:
        return image
    kernel = gaussian_kernel(sigma_px)
    channels = [convolve(image[..., channel], kernel) for channel in range(image.shape[2])]
    return np.stack(channels, axis=-1)


def _haze(rng: np.random.Generator, image: Floats) -> Floats:
    height, width, _ = image.shape
    airlight = float(rng.choice([0.4, 0.5, 0.6]))
    opacity = rng.uniform(0.0, 0.6) * smooth_field(height, width, rng=rng)[..., None]
    image = np.minimum(image, 1)
    return np.asarray(image + opacity * (airlight - image), np.float32)


def draw_rain_streak_gen(
    rng: np.random.Generator, height: int, width: int, masks: StreakMasks
) -> Floats:
    """RainStreakGen (github.com/liruoteng/RainStreakGen): streak masks at three depths, added.

    Published, for masks enlarged fourfold: dense, 8 masks, streaks of up to 1,000 pixels, sigma 1,
    resized to the picture, gain 0.25 to 0.45; middle, 8 masks, 800 to 4,000 pixels, sigma 2, at
    half size, 6 crops of each, gain 0.20 to 0.35; sparse, 3 masks, 2,000 to 6,000 pixels, sigma 1,
    6 crops of each, gain 0.10 to 0.20. Sigma is that of a Gaussian before the last resizing, so the
    dense streaks stay sharp here.
    """
    dense, larger = np.zeros((2, height, width), np.float32)
    for _ in range(8):
        streaks = draw_streaks(rng, masks, 0, 1000)
        crop = crop_mask(rng, streaks, height, width, zoom=fitting_zoom(streaks))
        dense += np.float32(rng.uniform(0.25, 0.45)) * crop
    for count, areas, gains, zoom in (
        (8, (800, 4000), (0.20, 0.35), 2.0),
        (3, (2000, 6000), (0.10, 0.20), 4.0),
    ):
        for _ in range(count):
            streaks = draw_streaks(rng, masks, *areas)
            for _ in range(6):
                crop = crop_mask(rng, streaks, height, width, zoom=zoom)
                larger += np.float32(rng.uniform(*gains)) * crop
    return np.asarray(dense + convolve(larger, gaussian_kernel(1.0)), np.float32)


def draw_rain_gen_noise(
    rng: np.random.Generator, height: int, width: int, masks: StreakMasks
) -> Floats:
    """RainGenUsingNoise, a public data generator: sparse noise, motion blur, zoom, threshold.

    Published: noise of sigma 0.5 on 25 % of the pixels; motion blur of 15 pixels, 60 degrees from
    the horizontal; enlarged twofold; Levels from Otsu's threshold t to t + 100, mapped to 0 to 250
    (of 255). Ours falls 10 to 40 degrees from the vertical, to either side. The composite is not
    published; ours is screen.
    """
    small = (height // 2 + 1, width // 2 + 1)
    noise = np.where(rng.random(small) < 0.25, np.abs(rng.normal(0, 0.5, small)), 0)
    angle_deg = float(rng.choice([-1, 1])) * rng.uniform(10, 40)
    blurred = convolve(np.minimum(noise, 1).astype(np.float32), motion_kernel(15, angle_deg))
    enlarged = resize(blurred, 2 * small[0], 2 * small[1])[:height, :width]
    threshold = otsu_threshold(enlarged)
    light = levels(enlarged, threshold, threshold + 100 / 255)
    return np.asarray(light * 250 / 255, np.float32)


def draw_rain_mix(rng: np.random.Generator, height: int, width: int, masks: StreakMasks) -> Floats:
    """RainMix of EfficientDeRain (Guo et al., AAAI 2021): mixed copies of a streak mask, screen.

    Published: three chains of 2 or 3 geometric operations on a streak mask r, weights w from a
    Dirichlet and m from a Beta distribution; the rain layer is
    max(1 - m, 0.7) r + max(m, 0.5 / max w) sum(w chains), combined by screen. Our distributions are
    uniform. Our operations are mirroring, shearing by up to 0.3, and enlarging by 1 to 2.
    """
    mask = masks.image(int(rng.integers(len(masks))))
    zoom = fitting_zoom(mask)
    original = crop_mask(rng, mask, height, width, zoom=zoom)
    weights = rng.dirichlet([1.0, 1.0, 1.0])
    share = rng.beta(1.0, 1.0)
    mixed = np.zeros_like(original)
    for weight in weights:
        chain = mask
        for _ in range(int(rng.integers(2, 4))):
            chain = change_mask(rng, chain)
        mixed += np.float32(weight) * crop_mask(rng, chain, height, width, zoom=zoom)
    keep, add = max(1 - share, 0.7), max(share, 0.5 / float(weights.max()))
    return np.asarray(keep * original + add * mixed, np.float32)


STYLES: dict[str, Style] = {
    "rain1400": Style(draw_rain1400, "screen"),
    "hq-rain": Style(draw_hq_rain, "alpha"),
    "outdoor-rain": Style(draw_outdoor_rain, "add", before=_defocus, after=_haze),
    "rain-streak-gen": Style(draw_rain_streak_gen, "add", needs_masks=True),
    "rain-gen-noise": Style(draw_rain_gen_noise, "screen"),
    "rain-mix": Style(draw_rain_mix, "screen", needs_masks=True),
    "specks": Style(draw_specks, "screen"),
    "lines": Style(draw_lines, "screen"),
    "close-drops": Style(draw_close_drops, "alpha"),
    "drips": Style(draw_drips, "alpha"),
}
"""Recipes by name: published ones first, then ours."""
