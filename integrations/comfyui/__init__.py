"""What ComfyUI imports when this folder lies in `custom_nodes`."""

from .comfyui_derain import comfy_entrypoint

__all__ = ["comfy_entrypoint"]
