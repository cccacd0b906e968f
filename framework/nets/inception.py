"""Inception-v3 as the Frechet distance of pictures uses it: the TensorFlow graph of 2015-12-05 in plain layers.

Szegedy et al. 2016 (arXiv 1512.00567), with what that graph does otherwise than later ones: averages beside
convolutions leave out the padding, the last block takes a maximum in place of its average, and there are 1,008 classes.
Submodules have the names of the published PyTorch weights, so that these load as they are.

Sizes in comments are those of a picture of 299 x 299.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SIDE = 299
"""Side that pictures are resampled to."""
FEATURES = 2048
"""Numbers of a picture's features."""
CLASSES = 1008
"""Rows of the classifier, which the features stand before. It is not used, but part of the weights."""

Size = int | tuple[int, int]


class ConvUnit(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: Size, *, stride: int = 1, padding: Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H', W')."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class BlockA(nn.Module):
    """35 x 35: 1x1, 5x5, two 3x3, average."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = ConvUnit(inputs, 64, 1)
        self.branch5x5_1 = ConvUnit(inputs, 48, 1)
        self.branch5x5_2 = ConvUnit(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = ConvUnit(inputs, 64, 1)
        self.branch3x3dbl_2 = ConvUnit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = ConvUnit(96, 96, 3, padding=1)
        self.branch_pool = ConvUnit(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Channels of all branches, one behind the other."""
        fives = self.branch5x5_2(self.branch5x5_1(x))
        threes = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), fives, threes, self.branch_pool(_average(x))], dim=1)


class BlockB(nn.Module):
    """35 x 35 to 17 x 17: 3x3, two 3x3, maximum."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = ConvUnit(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = ConvUnit(inputs, 64, 1)
        self.branch3x3dbl_2 = ConvUnit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = ConvUnit(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Channels of all branches, one behind the other."""
        threes = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), threes, F.max_pool2d(x, 3, stride=2)], dim=1)


class BlockC(nn.Module):
    """17 x 17: 1x1, 7x7 as 1x7 and 7x1, two such, average."""

    def __init__(self, inputs: int, inner: int) -> None:
        super().__init__()
        self.branch1x1 = ConvUnit(inputs, 192, 1)
        self.branch7x7_1 = ConvUnit(inputs, inner, 1)
        self.branch7x7_2 = ConvUnit(inner, inner, (1, 7), padding=(0, 3))
        self.branch7x7_3 = ConvUnit(inner, 192, (7, 1), padding=(3, 0))
        self.branch7x7dbl_1 = ConvUnit(inputs, inner, 1)
        self.branch7x7dbl_2 = ConvUnit(inner, inner, (7, 1), padding=(3, 0))
        self.branch7x7dbl_3 = ConvUnit(inner, inner, (1, 7), padding=(0, 3))
        self.branch7x7dbl_4 = ConvUnit(inner, inner, (7, 1), padding=(3, 0))
        self.branch7x7dbl_5 = ConvUnit(inner, 192, (1, 7), padding=(0, 3))
        self.branch_pool = ConvUnit(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Channels of all branches, one behind the other."""
        sevens = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return torch.cat([self.branch1x1(x), sevens, twice, self.branch_pool(_average(x))], dim=1)


class BlockD(nn.Module):
    """17 x 17 to 8 x 8: 3x3, 7x7 before 3x3, maximum."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1 = ConvUnit(inputs, 192, 1)
        self.branch3x3_2 = ConvUnit(192, 320, 3, stride=2)
        self.branch7x7x3_1 = ConvUnit(inputs, 192, 1)
        self.branch7x7x3_2 = ConvUnit(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = ConvUnit(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = ConvUnit(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Channels of all branches, one behind the other."""
        sevens = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), sevens, F.max_pool2d(x, 3, stride=2)], dim=1)


class BlockE(nn.Module):
    """8 x 8: 1x1, 3x3 as 1x3 beside 3x1, such a pair behind a 3x3, and an average or a maximum."""

    def __init__(self, inputs: int, *, maximum: bool) -> None:
        super().__init__()
        self.branch1x1 = ConvUnit(inputs, 320, 1)
        self.branch3x3_1 = ConvUnit(inputs, 384, 1)
        self.branch3x3_2a = ConvUnit(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = ConvUnit(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = ConvUnit(inputs, 448, 1)
        self.branch3x3dbl_2 = ConvUnit(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = ConvUnit(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = ConvUnit(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = ConvUnit(inputs, 192, 1)
        self.maximum = maximum

    def forward(self, x: Tensor) -> Tensor:
        """Channels of all branches, one behind the other."""
        once = self.branch3x3_1(x)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self.maximum else _average(x)
        pairs = [self.branch3x3_2a(once), self.branch3x3_2b(once)]
        pairs += [self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice)]
        return torch.cat([self.branch1x1(x), *pairs, self.branch_pool(pooled)], dim=1)


class InceptionV3(nn.Module):
    """Pictures in [0, 1] to the 2,048 features before the classifier. Its values mean something in eval mode only."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvUnit(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = ConvUnit(32, 32, 3)
        self.Conv2d_2b_3x3 = ConvUnit(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = ConvUnit(64, 80, 1)
        self.Conv2d_4a_3x3 = ConvUnit(80, 192, 3)
        self.Mixed_5b = BlockA(192, pooled=32)
        self.Mixed_5c = BlockA(256, pooled=64)
        self.Mixed_5d = BlockA(288, pooled=64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b = BlockC(768, inner=128)
        self.Mixed_6c = BlockC(768, inner=160)
        self.Mixed_6d = BlockC(768, inner=160)
        self.Mixed_6e = BlockC(768, inner=192)
        self.Mixed_7a = BlockD(768)
        self.Mixed_7b = BlockE(1280, maximum=False)
        self.Mixed_7c = BlockE(2048, maximum=True)
        self.fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 2048"]:
        """Resample to 299 x 299, bilinear between pixel centres without a filter before, go to [-1, 1], and encode."""
        x = 2.0 * F.interpolate(images, (SIDE, SIDE), mode="bilinear", align_corners=False) - 1.0
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))  # 147 x 147
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, stride=2)))  # 71 x 71
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, stride=2))))  # 35 x 35
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))  # 17 x 17
        return self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean(dim=(2, 3))  # 8 x 8


def _average(x: Tensor) -> Tensor:
    """Mean of 3 x 3 neighbours; at the border of those that exist."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
