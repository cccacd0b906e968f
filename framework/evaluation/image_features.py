"""Features of pictures, whose distributions are compared: a published network's, or a fixed random one's.

The published network is Inception-v3 with the weights of 2015-12-05 (Heusel et al. 2017), which a user downloads; the
other one needs no file, and its numbers compare with nothing but themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from framework.artifacts.digest import digest
from framework.nets.inception import InceptionV3
from framework.weights.checkpoint_file import read_tensor_file
from framework.weights.folder import WeightsError, check_finite, check_tensors

PUBLISHED_ADDRESS = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
)
"""Where the published weights are; their SHA-256 begins with the last part of the name."""
PUBLISHED_DIGEST = "6726825d"
RANDOM_SEED = 20_151_205
"""Of the weights of `random-conv-v1`; another one would be another network and need another name."""
RANDOM_SIDE = 64
RANDOM_CHANNELS = (32, 64, 128, 128)
_COUNTERS = ".num_batches_tracked"
"""Ending of batch norm's counters, which older files lack and evaluation does not use."""


@dataclass(frozen=True, eq=False)
class FeatureNetwork:
    """A network that turns pictures into features, and what a report must say about it."""

    name: str
    """What numbers made with it are labelled with."""
    module: nn.Module
    """(B, 3, H, W) in [0, 1] to (B, D); in eval mode, without gradients."""
    comparable: bool
    """Whether published numbers were made with these very weights."""

    @property
    def label(self) -> str:
        """Name for a report, with a warning where numbers made with it must not be put beside published ones."""
        return self.name if self.comparable else f"{self.name} (not comparable with published numbers)"

    def to(self, device: torch.device | str) -> FeatureNetwork:
        """Move the network's weights, in place."""
        self.module.to(device)
        return self


class RandomConv(nn.Module):
    """Four convolutions with orthogonal weights from a fixed seed: how bright, coloured, rough a picture is, and where.

    Features are mean and deviation of each channel behind each layer, and the last layer's means by quadrant. What it
    sees is texture and coarse layout: enough to see a training improve, nothing to compare two papers by.
    """

    features = 2 * sum(RANDOM_CHANNELS) + 4 * RANDOM_CHANNELS[-1]

    def __init__(self) -> None:
        super().__init__()
        random = np.random.RandomState(RANDOM_SEED)  # whose numbers NumPy keeps as they are
        sizes = zip((3, *RANDOM_CHANNELS[:-1]), RANDOM_CHANNELS, strict=True)
        for layer, (inputs, outputs) in enumerate(sizes):
            # Not parameters: what is trained beside this network is all that counts as its system's size.
            self.register_buffer(f"weight_{layer}", _orthogonal(random, outputs, inputs))

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Pictures of [0, 1], whose sides are resampled to 64 pixels, to D = 1,216 features."""
        if images.shape[-2:] != (RANDOM_SIDE, RANDOM_SIDE):
            images = F.interpolate(images, (RANDOM_SIDE, RANDOM_SIDE), mode="bilinear", antialias=True)
        x, found = 2.0 * images - 1.0, []
        for weight in self.buffers():
            x = F.relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight, stride=2))
            found += [x.mean(dim=(2, 3)), x.flatten(2).std(dim=2)]
        return torch.cat([*found, F.adaptive_avg_pool2d(x, 2).flatten(1)], dim=1)


def feature_network(weights: str | Path = "") -> FeatureNetwork:
    """Return the network whose weights are in the file `weights`; without one `random-conv-v1`.

    The file holds the published Inception-v3 for PyTorch (`pt_inception-2015-12-05-6726825d.pth`): tensors only, with
    its keys and shapes. Raises WeightsError where it is missing, damaged, or holds anything else.
    """
    if not str(weights):
        return FeatureNetwork("random-conv-v1", _frozen(RandomConv()), comparable=False)
    path = Path(weights)
    if not path.is_file():
        raise WeightsError(
            f"{path}: there is no such file. The feature network of FID and KID is not shipped: download it from "
            f"{PUBLISHED_ADDRESS}, or leave its path out for random-conv-v1, whose numbers compare with no others"
        )
    network = _read_inception(path)
    beginning = digest(path)[: len(PUBLISHED_DIGEST)]
    published = beginning == PUBLISHED_DIGEST
    name = "inception-2015-12-05" if published else f"inception-v3 with weights {beginning}"
    return FeatureNetwork(name, network, comparable=published)


@torch.no_grad()
def features(images: Float[Tensor, "B 3 H W"], network: FeatureNetwork) -> Float[Tensor, "B D"]:
    """Features of pictures in [0, 1], in float32 on their device, where the network must be. Raises ValueError for
    other shapes.

    Values beyond [0, 1] are cut off, as they are when a picture is written.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"pictures: expected shape (B, 3, H, W), got {tuple(images.shape)}")
    with torch.autocast(images.device.type, enabled=False):
        found: Tensor = network.module(images.detach().float().clamp(0.0, 1.0))
    return found


def _read_inception(path: Path) -> nn.Module:
    try:
        tensors, _ = read_tensor_file(path)
    except WeightsError as error:
        raise WeightsError(f"{error}. The file that is wanted is {PUBLISHED_ADDRESS}") from error
    module = InceptionV3()
    own = {key: value for key, value in module.state_dict().items() if not key.endswith(_COUNTERS)}
    given = {key: value for key, value in tensors.items() if not key.endswith(_COUNTERS)}
    check_tensors({key: tuple(value.shape) for key, value in own.items()}, given, str(path))
    check_finite(given, str(path))
    module.load_state_dict(given, strict=False)
    return _frozen(module)


def _frozen(module: nn.Module) -> nn.Module:
    return module.eval().requires_grad_(False)


def _orthogonal(random: np.random.RandomState, outputs: int, inputs: int) -> Tensor:
    """(outputs, inputs, 3, 3) with orthogonal rows (or columns, where rows are longer), which keep a signal's power
    behind a rectifier."""
    fan = 9 * inputs
    long, short = max(outputs, fan), min(outputs, fan)
    basis, triangle = np.linalg.qr(random.standard_normal((long, short)))
    basis = basis * np.sign(np.diag(triangle))
    rows = basis if outputs == long else basis.T
    scale = np.sqrt(2.0 * max(1.0, outputs / fan))
    return torch.from_numpy(scale * rows).float().view(outputs, inputs, 3, 3)
