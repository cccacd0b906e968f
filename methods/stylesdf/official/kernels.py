"""The resampling kernels that lie in published files: constants, which ours must equal."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from framework.weights.folder import WeightsError

ENDING = ".kernel"
TOLERANCE = 1e-6


def complete_kernels(state: Mapping[str, Tensor], module: nn.Module, prefix: str, where: str) -> dict[str, Tensor]:
    """Return `state` with the kernels of `module` that it lacks; WeightsError for a kernel that is not ours."""
    own = {f"{prefix}{key}": value for key, value in module.state_dict().items() if key.endswith(ENDING)}
    check_kernels({key: value for key, value in state.items() if key in own}, own, where)
    return {**{key: value for key, value in own.items() if key not in state}, **state}


def check_kernels(given: Mapping[str, Tensor], expected: Mapping[str, Tensor], where: str) -> None:
    """Raise WeightsError unless the kernels `given` are those `expected`: other ones would not be used."""
    for key, value in given.items():
        ours = expected[key]
        if value.shape == ours.shape and not torch.allclose(value.float(), ours.float(), atol=TOLERANCE):
            raise WeightsError(f"{where}: {key} is not the kernel of [1, 3, 3, 1], which all published models have")
