"""A ComfyUI node (V3 schema) that removes rain from a batch of images."""

from __future__ import annotations

from functools import lru_cache

import torch
from comfy_api.latest import ComfyExtension, io

import derain
from derain.weights import DEFAULT, picture_models


@lru_cache(maxsize=2)
def _restorer(model: str) -> derain.Restorer:
    return derain.Restorer(model)


def _images_of(mask: torch.Tensor) -> torch.Tensor:
    """Return a mask as (B, H, W) in 0..1; nodes also give (H, W) and (B, 1, H, W)."""
    return mask.cpu().float().clip(0, 1).reshape(-1, *mask.shape[-2:])


class RemoveRain(io.ComfyNode):
    """Remove rain. IMAGE is (B, H, W, C), MASK is (B, H, W), both float in 0..1."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="DerainRemoveRain",
            display_name="Remove Rain (derain)",
            category="image/restoration",
            description="Removes rain streaks with PLNLIN, on the CPU. Also for frames of a video.",
            inputs=[
                io.Image.Input("image"),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Share of the estimated rain to remove.",
                ),
                io.Combo.Input("model", options=sorted(picture_models()), default=DEFAULT),
                io.Mask.Input(
                    "mask", optional=True, tooltip="Where to remove rain: white means fully."
                ),
            ],
            outputs=[io.Image.Output(display_name="restored")],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        strength: float,
        model: str,
        mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        """Restore each image of the batch; a mask of one image serves all of them."""
        restorer = _restorer(model)
        masks = None if mask is None else _images_of(mask)
        restored = torch.empty_like(image, device="cpu")
        for index, rainy in enumerate(image.cpu()):
            where = None if masks is None else masks[min(index, len(masks) - 1)].numpy()
            restored[index] = torch.from_numpy(
                restorer(rainy.numpy().clip(0, 1), strength=strength, mask=where)
            )
        return io.NodeOutput(restored.to(image.device))


class DerainExtension(ComfyExtension):
    """The nodes of this package."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Return the nodes."""
        return [RemoveRain]


async def comfy_entrypoint() -> DerainExtension:
    """Return the extension; ComfyUI calls this when it starts."""
    return DerainExtension()
