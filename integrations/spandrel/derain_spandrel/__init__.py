"""PLNLIN for spandrel: after `install()`, its `ModelLoader` reads files of derain."""

from __future__ import annotations

from spandrel import MAIN_REGISTRY, Architecture, ArchSupport, ImageModelDescriptor, StateDict
from spandrel.util import KeyCondition
from torch import nn

from derain.network import PLNLIN, PLNLINConfiguration

CONFIGURATION = "derain.configuration"
"""The tensor, uint8, that holds the configuration as JSON."""


class DerainArch(Architecture[PLNLIN]):
    """Builds the network that its file describes."""

    def __init__(self) -> None:
        super().__init__(id="derain", name="PLNLIN", detect=KeyCondition.has_all(CONFIGURATION))

    def load(self, state_dict: StateDict) -> ImageModelDescriptor[PLNLIN]:
        """Return the network in (N, 3, H, W), RGB in 0..1, for any H and W."""
        text = bytes(state_dict[CONFIGURATION].tolist()).decode()
        configuration = PLNLINConfiguration.from_json(text)
        network = PLNLIN(configuration)
        network.heads = nn.ModuleList()  # for training only
        weights = {name: tensor for name, tensor in state_dict.items() if name != CONFIGURATION}
        return ImageModelDescriptor(
            network,
            weights,
            architecture=self,
            purpose="Restoration",
            tags=["deraining", configuration.preset],
            supports_half=False,
            supports_bfloat16=True,
            scale=1,
            input_channels=3,
            output_channels=3,
        )


def install() -> None:
    """Add the architecture to spandrel's registry. Calling it again changes nothing."""
    architecture = DerainArch()
    if not any(support.architecture.id == architecture.id for support in MAIN_REGISTRY):
        MAIN_REGISTRY.add(ArchSupport.from_architecture(architecture))
