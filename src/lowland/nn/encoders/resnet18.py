"""ResNet-18 for small images: the network that most published figures on CIFAR-10 are measured with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lowland.errors import OptionError
from lowland.nn.residual import Residual, normed
from lowland.registry import register


@register("encoder")
class ResNet18(nn.Module):
    """(B, C, H, W) → (B, F): four stages of two residual blocks each, the last three with stride 2; then the mean.

    He et al. 2016, table 1, with the stem that self-supervised learning on CIFAR-10 uses (Chen et al. 2020, appendix
    B.9): one 3 × 3 convolution with stride 1, and no max pooling. Weights are drawn as He et al. 2015, equation 14, has
    it. The maps lie channels last in memory, which is how a CPU's convolutions are fastest.

    Args:
        shape: (C, H, W).
        width: feature maps of the first stage, 64 in the paper; each stage doubles them, and F is eight times as many.
        generator: draws the weights.

    Raises:
        OptionError: for images below 8 × 8, of which the last stage would see nothing but padding.

    >>> encoder = ResNet18((3, 32, 32))
    >>> encoder.size, sum(weights.numel() for weights in encoder.parameters())
    (512, 11168832)
    >>> encoder(torch.zeros(2, 3, 32, 32)).shape, encoder.maps(torch.zeros(2, 3, 32, 32)).shape
    (torch.Size([2, 512]), torch.Size([2, 512, 4, 4]))
    """

    def __init__(self, shape: tuple[int, int, int], width: int = 64, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if min(shape[1:]) < 8:
            raise OptionError(f"ResNet18 takes images of at least 8 × 8, but these are {shape[1]} × {shape[2]}.")
        generator = generator or torch.Generator().manual_seed(0)
        self.shape, self.size = tuple(shape), 8 * width
        self.stem = normed(shape[0], width, 3, 1, generator)
        blocks: list[nn.Module] = []
        inputs = width
        for stage in range(4):
            outputs = width * 2**stage
            blocks += [Residual(inputs, outputs, 1 if stage == 0 else 2, generator)]
            blocks += [Residual(outputs, outputs, 1, generator)]
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  missing in the stubs

    def maps(self, image: Tensor) -> Tensor:
        """The feature maps before the mean, (B, F, H / 8, W / 8)."""
        return self.blocks(self.stem(image.contiguous(memory_format=torch.channels_last)).relu_())

    def stages(self, image: Tensor) -> list[Tensor]:
        """The maps after each stage of two blocks, of an image of any size."""
        found, maps = [], self.stem(image.contiguous(memory_format=torch.channels_last)).relu_()
        for number, block in enumerate(self.blocks):
            maps = block(maps)
            found += [maps] if number % 2 else []
        return found

    def forward(self, image: Tensor) -> Tensor:
        return self.maps(image).mean(dim=(2, 3))
