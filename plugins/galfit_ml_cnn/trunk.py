"""`Trunk`: pixels to feature maps, convolutions alone, so that a shifted spectrum has shifted features."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(relu(x)))) (He et al. 2016, arXiv:1603.05027), at first the identity.

    That needs no normalisation (Zhang et al. 2019, arXiv:1901.09321), which would mix one end of a spectrum with the
    other.

    Args:
        width: channels.
        dilation: of the first convolution.
        kernel: pixels.
    """

    def __init__(self, width: int, dilation: int = 1, kernel: int = 5) -> None:
        super().__init__()
        reach = dilation * (kernel // 2)
        self.first = nn.Conv2d(width, width, (1, kernel), padding=(0, reach), dilation=(1, dilation))
        self.second = nn.Conv2d(width, width, (1, kernel), padding=(0, kernel // 2))
        nn.init.zeros_(self.second.weight)
        assert self.second.bias is not None
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[n, width, 1, n_pix] to the same."""
        return x + self.second(torch.relu(self.first(torch.relu(x))))


class Trunk(nn.Module):
    """Pixels [n, n_channels, n_pix] to features [n, width, 1, n_pix / (3 * 2)].

    Args:
        n_channels: of the input.
        width: feature maps.
        dilations: of the residual blocks, one each.
    """

    def __init__(self, n_channels: int, width: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        half = width // 2
        self.stem = nn.Sequential(
            nn.Conv2d(n_channels, half, (1, 9), stride=(1, 3), padding=(0, 3)),
            nn.ReLU(),
            nn.Conv2d(half, half, (1, 5), padding=(0, 2)),
            nn.ReLU(),
            nn.Conv2d(half, width, (1, 6), stride=(1, 2), padding=(0, 2)),
        )
        self.blocks = nn.Sequential(*(ResidualBlock(width, dilation) for dilation in dilations))

    def forward(self, channels: Tensor) -> Tensor:
        """Feature maps."""
        x = channels.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        return self.blocks(self.stem(x))
