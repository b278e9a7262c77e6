"""Render the example pictures: `python examples/make.py` (needs the extra `test`)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from derain.rain import PRESETS, Rain, render

HERE = Path(__file__).parent
JPEG = {"quality": 92, "subsampling": 0, "optimize": True}

EXAMPLES: dict[str, Rain] = {
    "astronaut": PRESETS["light"],
    "chelsea": replace(PRESETS["moderate"], angle_deg=-12),
    "coffee": replace(PRESETS["moderate"], angle_deg=20, composite="blend"),
    "camera": replace(PRESETS["heavy"], angle_deg=-6, composite="blend"),
    "rocket": PRESETS["heavy"],
}


def main() -> None:
    """Write each picture of EXAMPLES to `clean/`, and with rain to `rainy/`."""
    for seed, (name, rain) in enumerate(EXAMPLES.items()):
        clean: np.ndarray = getattr(data, name)()
        for folder, image in (("clean", clean), ("rainy", render(clean, rain=rain, seed=seed))):
            (HERE / folder).mkdir(exist_ok=True)
            Image.fromarray(image).save(HERE / folder / f"{name}.jpg", **JPEG)


if __name__ == "__main__":
    main()
