"""RESCAN: dilated convolutions with gated recurrence from stage to stage.

Li, Wu, Lin, Liu and Zha, "Recurrent Squeeze-and-Excitation Context Aggregation Net for Single Image
Deraining", ECCV 2018, arXiv 1807.05698. Sources: sections 3 and 4 of the paper, and the code at
https://github.com/XiaLiPKU/RESCAN with its published settings: ConvGRU, four stages, the whole
picture predicted in each stage ("full").

Layer j of stage s computes with a dilated convolution * of the layer below and the layer's state:

    z = sigmoid(W_z * x + U_z * h),  r = sigmoid(W_r * x + U_r * h)
    n = tanh(W_n * x + U_n * (r h)),  h = (1 - z) h + z n

then squeeze and excitation and a leaky ReLU, whose result is also the state of the next stage.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from derain.rivals.rival import Rival, SqueezeExcitation, conv3x3


class ConvGRU(nn.Module):
    """One layer; see the module. (N, in, H, W), state (N, C, H, W) or None -> (N, C, H, W)."""

    def __init__(self, inputs: int, channels: int, *, dilation: int) -> None:
        super().__init__()
        self.x_update = conv3x3(inputs, channels, dilation=dilation)
        self.x_reset = conv3x3(inputs, channels, dilation=dilation)
        self.x_new = conv3x3(inputs, channels, dilation=dilation)
        self.h_update = conv3x3(channels, channels)
        self.h_reset = conv3x3(channels, channels)
        self.h_new = conv3x3(channels, channels)
        self.se = SqueezeExcitation(channels, squeezed=6)

    def forward(self, x: Tensor, h: Tensor | None) -> Tensor:
        update, new = self.x_update(x), self.x_new(x)
        if h is None:  # the convolutions of the state, with their biases, start at stage 2
            h = update.sigmoid() * new.tanh()
        else:
            z = (update + self.h_update(h)).sigmoid()
            r = (self.x_reset(x) + self.h_reset(h)).sigmoid()
            h = (1 - z) * h + z * (new + self.h_new(r * h)).tanh()
        return F.leaky_relu(self.se(h), 0.2)


class RESCAN(Rival):
    """Four stages, each of which predicts the rain layer from the result before; see `Rival`.

    Channels are B, G, R inside, because the authors' data loader reads them in that order.
    """

    NAMES = (
        (r"^layers\.(\d)\.(x|h)_update", r"rnns.\1.conv_\2z"),
        (r"^layers\.(\d)\.(x|h)_reset", r"rnns.\1.conv_\2r"),
        (r"^layers\.(\d)\.(x|h)_new", r"rnns.\1.conv_\2n"),
        (r"^layers", "rnns"),
        (r"^decode", "dec.0"),
        (r"^se", "dec.1"),
        (r"^leave", "dec.3"),
        (r"\.squeeze", ".fc.0"),
        (r"\.excite", ".fc.2"),
    )

    def __init__(
        self,
        *,
        channels: int = 24,
        dilations: tuple[int, ...] = (1, 1, 2, 4, 8),
        stages: int = 4,
    ) -> None:
        super().__init__()
        self.stages = stages
        self.layers = nn.ModuleList(
            ConvGRU(channels if index else 3, channels, dilation=dilation)
            for index, dilation in enumerate(dilations)
        )
        self.decode = conv3x3(channels, channels)
        self.se = SqueezeExcitation(channels, squeezed=6)
        self.leave = nn.Conv2d(channels, 3, 1)

    def forward(self, rainy: Tensor) -> Tensor:
        return self.outputs(rainy)[0]

    def outputs(self, rainy: Tensor) -> list[Tensor]:
        """Return the estimate of every stage, each (N, 3, H, W), the last one first."""
        reversed_rainy = rainy.flip(1)
        states: list[Tensor | None] = [None] * len(self.layers)
        estimates, x = [], reversed_rainy
        for _ in range(self.stages):
            for index, layer in enumerate(self.layers):
                x = states[index] = layer(x, states[index])
            rain = self.leave(F.leaky_relu(self.se(self.decode(x)), 0.2))
            x = reversed_rainy - rain
            estimates.append(x.flip(1))
        return estimates[::-1]
