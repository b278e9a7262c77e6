"""`Restorer`: a model, an engine and tiles behind one call."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain import pictures
from derain.errors import PictureError
from derain.inference.blending import blend, check_blend, read_mask
from derain.inference.dtypes import RANGE_TOLERANCE
from derain.inference.engines.engine import Engine, open_engine
from derain.inference.engines.ensemble import Ensemble
from derain.inference.tile_plan import default_limit_mib, plan_tiles
from derain.inference.tiling import restore_tiled
from derain.inference.transparency import fill_transparent
from derain.pictures import Picture
from derain.weights import DEFAULT, MODEL_SUFFIXES, find

SMALL_CHANNELS = 16
"""Feature channels at full resolution of the preset whose memory the engines know."""
_LOADING = threading.Lock()
"""So that threads that begin at once load one network."""
PILLOW_MODES = {"L", "RGB", "RGBA", "I;16"}
DTYPES = ("uint8", "uint16", "float16", "float32", "float64")


class Restorer:
    """Takes the rain out of pictures with one model that stays loaded; may be called from several threads.

    `model` is the name of a shipped model or the path of a weights file. `tile_px` bounds the side of a tile; without it the tile
    follows from `limit_mib`, the memory that the network may take. `ensemble` is the number of views of each tile whose mean is
    taken: 1, 4 or 8.
    Raises WeightsError and EngineError.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT,
        *,
        engine: str | None = None,
        device: str = "cpu",
        tile_px: int | None = None,
        limit_mib: int | None = None,
        threads: int | None = None,
        precision: str | None = None,
        ensemble: int = 1,
    ) -> None:
        self.model = find(model)
        is_file = Path(model).suffix in MODEL_SUFFIXES
        self._given = partial(
            type(self),
            Path(model).absolute()
            if is_file
            else model,  # whoever is given a copy may be in another folder
            engine=engine,
            device=device,
            tile_px=tile_px,
            limit_mib=limit_mib,
            threads=threads,
            precision=precision,
            ensemble=ensemble,
        )
        opened = open_engine(
            self.model.onnx_path, engine=engine, device=device, threads=threads, precision=precision
        )
        self.engine: Engine = opened if ensemble == 1 else Ensemble(opened, views=ensemble)
        self.tile_px = tile_px
        self.limit_mib = limit_mib

    def __reduce__(self) -> tuple[Callable[[], Restorer], tuple[()]]:
        """In another process, or as a copy, the network is loaded anew."""
        return self._given, ()

    def __call__(
        self,
        image: NDArray[Any],
        *,
        strength: float = 1.0,
        mask: NDArray[Any] | None = None,
        on_tile: Callable[[int, int], None] | None = None,
    ) -> NDArray[Any]:
        """Restore (H, W), (H, W, 3) or (H, W, 4): uint8, uint16, or floats in 0..1; the same shape and type come out.

        The channels are R, G, B as a file holds them (sRGB), not linear light. OpenCV's three are B, G, R: turn them round before
        and after, `restorer(image[..., ::-1])[..., ::-1]`.
        The fourth channel is an alpha and is handed through; colours where it is 0 stay as they are and are not looked at.
        `strength` and `mask`, (H, W), say how much of the rain is taken out, see `derain.inference.blending.blend`.
        `on_tile(done, total)` is called after every tile, and may raise to stop. Raises PictureError for another shape, type or
        range, and for a strength or mask that cannot be used; EngineError where the network cannot be run.
        """
        image = _validate(_array_of(image))
        mask = None if mask is None else np.asarray(mask)
        check_blend(image, strength=strength, mask=mask)
        if image.ndim == 3 and image.shape[2] == 4:
            colours = self._visible(image[..., :3], image[..., 3], on_tile)
            seen = blend(image[..., :3], colours, strength=strength, mask=mask)
            return np.concatenate([seen, image[..., 3:]], axis=-1, dtype=image.dtype)
        return blend(image, self._tiled(image, on_tile), strength=strength, mask=mask)

    def restore_picture(
        self,
        rainy: Picture,
        *,
        strength: float = 1.0,
        mask: NDArray[Any] | None = None,
        on_tile: Callable[[int, int], None] | None = None,
    ) -> Picture:
        """Restore a picture that `derain.pictures.read` gave; what it carries besides its pixels stays.

        Raises PictureError for a strength or mask that cannot be used, EngineError where the network cannot be run.
        """
        mask = None if mask is None else np.asarray(mask)
        check_blend(rainy.image, strength=strength, mask=mask)
        restored = self._visible(rainy.image, rainy.alpha, on_tile)
        return rainy.with_image(blend(rainy.image, restored, strength=strength, mask=mask))

    def _visible(
        self,
        image: NDArray[Any],
        alpha: NDArray[Any] | None,
        on_tile: Callable[[int, int], None] | None,
    ) -> NDArray[Any]:
        """Restore what an alpha lets see."""
        if alpha is None or alpha.all():
            return self._tiled(image, on_tile)
        hidden = alpha == 0
        restored = self._tiled(fill_transparent(image, hidden), on_tile)
        np.copyto(
            restored, image, where=hidden if image.ndim == 2 else hidden[..., None]
        )  # an index would be 16 bytes a pixel
        return restored

    def _tiled(
        self, image: NDArray[Any], on_tile: Callable[[int, int], None] | None
    ) -> NDArray[Any]:
        plan = plan_tiles(
            image.shape[:2],
            tile_px=self.tile_px,
            limit_mib=default_limit_mib(image.nbytes) if self.limit_mib is None else self.limit_mib,
            bytes_px=self.engine.bytes_px * self.model.channels // SMALL_CHANNELS,
            multiple_px=self.model.multiple_px,
        )
        return restore_tiled(image, network=self.engine, plan=plan, on_tile=on_tile)


def restore(
    image_or_path: NDArray[Any] | str | os.PathLike[str],
    *,
    strength: float = 1.0,
    mask: NDArray[Any] | str | os.PathLike[str] | None = None,
    **options: Any,
) -> NDArray[Any]:
    """Take the rain out of one picture: an array (RGB), see `Restorer.__call__`, or the path of a file, whose pixels come back.

    `mask` is an array or the path of a picture, whose brightness counts.
    `options` are those of `Restorer`. The last model used stays loaded, so that calling this in a loop is fine; its file is read
    anew when it has changed. Raises
    PictureError, WeightsError and EngineError, all of them DerainError.
    """
    with _LOADING:
        restorer = _loaded(_cache_key(options.get("model", DEFAULT)), **options)
    where = read_mask(mask) if isinstance(mask, (str, os.PathLike)) else mask
    if isinstance(image_or_path, (str, os.PathLike)):
        array = restorer.restore_picture(
            pictures.read(Path(image_or_path)), strength=strength, mask=where
        ).as_array()
        return array if array.flags.writeable else array.copy()
    return restorer(image_or_path, strength=strength, mask=where)


@lru_cache(maxsize=1)
def _loaded(version: tuple[Any, ...], **options: Any) -> Restorer:
    return Restorer(**options)


def _cache_key(model: str | Path) -> tuple[Any, ...]:
    """What tells a network from another one that is named alike: of a file, which and when it was written."""
    path = Path(model)
    if path.suffix not in MODEL_SUFFIXES:
        return ()
    with suppress(OSError):  # it is told of where it is opened
        facts = path.with_suffix(".onnx").stat()
        return path.absolute(), facts.st_mtime_ns, facts.st_size
    return (path.absolute(),)


def _array_of(image: Any) -> NDArray[Any]:
    """Pixels; of a Pillow picture only where they are what they look like. Raises PictureError."""
    if isinstance(image, Image.Image) and image.mode not in PILLOW_MODES:
        raise PictureError(
            f"a Pillow picture of mode {image.mode} holds no R, G, B; give image.convert('RGB'), or the path of the file"
        )
    return np.asarray(image)


def _validate(image: NDArray[Any]) -> NDArray[Any]:
    if image.dtype.name not in DTYPES:
        raise PictureError(
            f"an array of {image.dtype} is not a picture that derain reads; convert it to one of {', '.join(DTYPES)}"
        )
    if (
        image.ndim not in {2, 3}
        or (image.ndim == 3 and image.shape[2] not in {3, 4})
        or 0 in image.shape
    ):
        shape = ", ".join(str(side) for side in image.shape)
        raise PictureError(
            f"an array of shape ({shape}) is not a picture; give (H, W), (H, W, 3) or (H, W, 4), H and W at least 1"
        )
    if image.dtype.kind == "f":
        low, high = float(image.min()), float(image.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise PictureError(
                "the array holds numbers that are not finite; replace them first, for instance with np.nan_to_num"
            )
        if low < -RANGE_TOLERANCE or high > 1 + RANGE_TOLERANCE:
            raise PictureError(
                f"the array holds floats from {low:g} to {high:g}, and 0 to 1 are expected; divide by its white first"
            )
    return image
