"""`Restorer`: a model, an engine and tiles behind one call."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain import pictures
from derain.errors import PictureError
from derain.inference.blending import blend, check_blend, read_mask
from derain.inference.dtypes import RANGE_TOLERANCE
from derain.inference.engines.engine import Engine, open_engine
from derain.inference.engines.ensemble import Ensemble
from derain.inference.engines.rival import absolute_name, find_rival, open_rival
from derain.inference.linear_light import for_linear_light
from derain.inference.tile_plan import default_limit_mib, plan_tiles
from derain.inference.tiling import restore_tiled
from derain.inference.transparency import fill_transparent
from derain.pictures import Picture
from derain.pictures.linear_light import is_linear_light
from derain.weights import DEFAULT, MODEL_SUFFIXES, find

SMALL_CHANNELS = 16
"""Feature channels at full resolution of the preset `small`, which `Engine.bytes_per_px` is for."""
MANY_TILES = 4
"""Compiling the network for the size of a tile takes as long as it saves for so many."""
SUPPORTED_MODES = {"L", "RGB", "RGBA", "I;16"}
"""Modes of Pillow images whose values are brightness or colours."""
SUPPORTED_DTYPES = ("uint8", "uint16", "float16", "float32", "float64")
_loading = threading.Lock()
"""Held while `restore` loads a network, so that concurrent first calls load it once."""


class Restorer:
    """Removes rain from pictures with one model that stays loaded. Thread-safe.

    `model` is the name of a shipped model, the path of a weights file, or `NAME:PATH` for a network
    of another paper with its official weights (`derain.rivals`). `tile_px` limits the side
    of a tile; by default, the tile follows from `limit_mib`, the memory of the network. `ensemble`
    is the number of flips of each tile that are averaged: 1 or 4. `open_engine` describes the other
    arguments. Raises WeightsError and EngineError.
    """

    ONE_SIZE: ClassVar[bool] = False
    """True if nearly all pictures have the same size, like the frames of a clip."""

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
        rival = find_rival(model)
        self.model = find(model) if rival is None else rival
        self._check_frames()
        if rival is not None:
            absolute: str | Path = absolute_name(rival)
        else:
            is_file = Path(model).suffix in MODEL_SUFFIXES
            absolute = Path(model).absolute() if is_file else model
        self._rebuild = partial(
            type(self),
            absolute,  # the process that unpickles it may run in another folder
            engine=engine,
            device=device,
            tile_px=tile_px,
            limit_mib=limit_mib,
            threads=threads,
            precision=precision,
            ensemble=ensemble,
        )
        open_model = open_engine if rival is None else partial(open_rival, name=rival.name)
        single = open_model(
            self.model.onnx_path, engine=engine, device=device, threads=threads, precision=precision
        )
        self.engine: Engine = single if ensemble == 1 else Ensemble(single, views=ensemble)
        self.tile_px = tile_px
        self.limit_mib = limit_mib
        self._one_size = threading.Lock()
        """Held for a whole picture whose tiles the network is compiled for."""

    @property
    def description(self) -> str:
        """The model, the engine, the device and the precision, for the user."""
        return f"{self.model.name} on {self.engine.name}, {self.engine.device}"

    def __reduce__(self) -> tuple[Callable[[], Restorer], tuple[()]]:
        """Copies and other processes load the network again."""
        return self._rebuild, ()

    def __call__(
        self,
        image: NDArray[Any],
        *,
        strength: float = 1.0,
        mask: NDArray[Any] | None = None,
        on_tile: Callable[[int, int], None] | None = None,
    ) -> NDArray[Any]:
        """Restore (H, W), (H, W, 3) or (H, W, 4) of uint8, uint16 or floats in 0..1.

        The result has the same shape and dtype. Channels are R, G, B in the encoding of a file
        (sRGB), not linear light. For OpenCV's B, G, R, reverse them before and after:
        `restorer(image[..., ::-1])[..., ::-1]`. The fourth channel is an alpha channel and stays
        unchanged; so do the colours of fully transparent pixels, which the network does not see.
        `strength` and `mask`, (H, W), select how much rain is removed, and where; see
        `derain.inference.blending.blend`. `on_tile(done, total)` is called after each tile and may
        raise an exception to stop.
        Raises PictureError for another shape, dtype or range and for an invalid strength or mask,
        EngineError if the network fails.
        """
        image = _validate(_to_array(image))
        mask = None if mask is None else _to_mask(mask)
        check_blend(image, strength=strength, mask=mask)
        if image.ndim == 3 and image.shape[2] == 4:
            colours, alpha = image[..., :3], image[..., 3]
            restored = self._restore_visible(colours, alpha, on_tile)
            blended = blend(colours, restored, strength=strength, mask=mask)
            return np.concatenate([blended, image[..., 3:]], axis=-1, dtype=image.dtype)
        restored = self._restore_tiled(image, on_tile)
        return blend(image, restored, strength=strength, mask=mask)

    def restore_picture(
        self,
        rainy: Picture,
        *,
        strength: float = 1.0,
        mask: NDArray[Any] | None = None,
        on_tile: Callable[[int, int], None] | None = None,
    ) -> Picture:
        """Restore a picture from `derain.pictures.read`, and keep its alpha channel and metadata.

        The network sees linear light, which the colour description tells, in the encoding of sRGB.
        Raises PictureError for an invalid strength or mask, EngineError if the network fails.
        """
        mask = None if mask is None else _to_mask(mask)
        check_blend(rainy.image, strength=strength, mask=mask)
        restored = self._restore_visible(
            rainy.image, rainy.alpha, on_tile, is_linear=is_linear_light(rainy.metadata)
        )
        return rainy.with_image(blend(rainy.image, restored, strength=strength, mask=mask))

    def _restore_visible(
        self,
        image: NDArray[Any],
        alpha: NDArray[Any] | None,
        on_tile: Callable[[int, int], None] | None,
        *,
        is_linear: bool = False,
    ) -> NDArray[Any]:
        """Restore the visible pixels; fully transparent ones are left unchanged."""
        if alpha is None or alpha.all():
            return self._restore_tiled(image, on_tile, is_linear=is_linear)
        transparent = alpha == 0
        filled = fill_transparent(image, transparent)
        restored = self._restore_tiled(filled, on_tile, is_linear=is_linear)
        where = transparent if image.ndim == 2 else transparent[..., None]
        np.copyto(restored, image, where=where)  # an index would take 16 bytes per pixel
        return restored

    def _check_frames(self) -> None:
        """Raise WeightsError for a network for clips."""
        self.model.require_pictures()

    def _restore_tiled(
        self,
        image: NDArray[Any],
        on_tile: Callable[[int, int], None] | None,
        neighbours: tuple[NDArray[Any], NDArray[Any]] | tuple[()] = (),
        *,
        is_linear: bool = False,
    ) -> NDArray[Any]:
        """`is_linear`: the values are linear light, not encoded."""
        if not neighbours:
            self.model.require_pictures()
        limit_mib = default_limit_mib(image.nbytes) if self.limit_mib is None else self.limit_mib
        plan_for = partial(
            plan_tiles,
            image.shape[:2],
            tile_px=self.tile_px,
            limit_mib=limit_mib,
            multiple_px=self.model.multiple_px,
        )
        channels = self.model.channels
        plan = plan_for(bytes_per_px=self.engine.bytes_per_px * channels // SMALL_CHANNELS)
        one_size = self.ONE_SIZE or len(plan) >= MANY_TILES
        if one_size:
            bytes_per_px = self.engine.one_size_bytes_per_px * channels // SMALL_CHANNELS
            plan = plan_for(bytes_per_px=bytes_per_px)
        network = partial(self.engine, one_size=one_size)
        with self._one_size if one_size else nullcontext():
            return restore_tiled(
                image,
                network=for_linear_light(network) if is_linear else network,
                plan=plan,
                neighbours=neighbours,
                on_tile=on_tile,
            )


def restore(
    image_or_path: NDArray[Any] | str | os.PathLike[str],
    *,
    strength: float = 1.0,
    mask: NDArray[Any] | str | os.PathLike[str] | None = None,
    **options: Any,
) -> NDArray[Any]:
    """Remove rain from one picture: an array (RGB), see `Restorer.__call__`, or a file.

    `mask` is an array, or the path of a picture, whose brightness is used. `options` are those of
    `Restorer`. The last model stays loaded, so that calling this in a loop is fast; a weights file
    is read again after it has changed.
    Returns pixels. Raises PictureError, WeightsError and EngineError, all of them DerainError.
    """
    with _loading:
        restorer = _load(_cache_key(options.get("model", DEFAULT)), **options)
    mask_pixels = read_mask(mask) if isinstance(mask, (str, os.PathLike)) else mask
    if isinstance(image_or_path, (str, os.PathLike)):
        rainy = pictures.read(Path(image_or_path))
        array = restorer.restore_picture(rainy, strength=strength, mask=mask_pixels).as_array()
        return array if array.flags.writeable else array.copy()
    return restorer(image_or_path, strength=strength, mask=mask_pixels)


@lru_cache(maxsize=1)
def _load(cache_key: tuple[Any, ...], **options: Any) -> Restorer:
    return Restorer(**options)


def _cache_key(model: str | Path) -> tuple[Any, ...]:
    """Return path, time and size of a weights file, which distinguish it from an older version."""
    path = Path(model)
    if path.suffix not in MODEL_SUFFIXES:
        return ()
    with suppress(OSError):  # opening the file will report the error
        status = path.with_suffix(".onnx").stat()
        return path.absolute(), status.st_mtime_ns, status.st_size
    return (path.absolute(),)


def _to_array(image: Any) -> NDArray[Any]:
    """Return the pixels of an array-like object.

    Raises PictureError for a path, which only `restore` takes, and for some Pillow modes.
    """
    if isinstance(image, (str, os.PathLike)):
        raise PictureError(
            f"{os.fspath(image)}: a Restorer takes pixels, not a path; use derain.restore(path), "
            "or pass derain.pictures.read(path) to restore_picture"
        )
    if isinstance(image, Image.Image) and image.mode not in SUPPORTED_MODES:
        raise PictureError(
            f"a Pillow image of mode {image.mode} has no R, G, B values; "
            "pass image.convert('RGB') or the path of the file"
        )
    return np.asarray(image)


def _to_mask(mask: Any) -> NDArray[Any]:
    """Return the pixels of an array-like mask. Raises PictureError for a path."""
    if isinstance(mask, (str, os.PathLike)):
        raise PictureError(
            f"{os.fspath(mask)}: the mask of a Restorer is an array, not a path; use "
            "derain.restore, or derain.inference.blending.read_mask(path)"
        )
    return np.asarray(mask)


def _validate(image: NDArray[Any]) -> NDArray[Any]:
    if image.dtype.name not in SUPPORTED_DTYPES:
        raise PictureError(
            f"an array of {image.dtype} cannot be restored; "
            f"convert it to one of {', '.join(SUPPORTED_DTYPES)}"
        )
    has_channels = image.ndim == 3 and image.shape[2] in {3, 4}
    if not (image.ndim == 2 or has_channels) or 0 in image.shape:
        shape = ", ".join(str(side) for side in image.shape)
        raise PictureError(
            f"an array of shape ({shape}) cannot be restored; "
            "pass (H, W), (H, W, 3) or (H, W, 4) with H and W of at least 1"
        )
    if image.dtype.kind == "f":
        low, high = float(image.min()), float(image.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise PictureError(
                "the array has values that are not finite; replace them, "
                "for example with np.nan_to_num"
            )
        if low < -RANGE_TOLERANCE or high > 1 + RANGE_TOLERANCE:
            raise PictureError(
                f"the array has floats from {low:g} to {high:g}, expected 0 to 1; "
                "divide it by its white first"
            )
    return image
