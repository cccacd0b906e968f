"""Looking at a network before memory is taken for it: a config from outside may ask for any size."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from framework.weights.folder import WeightsError

SLACK = 2
"""How many more parameters may be made than are kept: some are replaced while a network is built."""


def check_outline(build: Callable[[], Any], tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise WeightsError when `build` would make a network with far more parameters than `tensors` has values.

    It is built on the device `meta`, which takes no memory, and only as far as needed. One that can't be built there
    is not judged.
    """
    values, count = sum(tensor.numel() for tensor in tensors.values()), len(tensors)
    made = [0, 0]

    def counted(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        made[0] += 0 if parameter is None else parameter.numel()
        made[1] += 1
        if made[0] > SLACK * values or made[1] > SLACK * count:
            raise WeightsError(
                f"{where}: the config asks for a larger network than its {values} values fill. They were made with "
                "another config: load them with the config saved beside them, or export them again"
            )

    hook = register_module_parameter_registration_hook(counted)
    try:
        with torch.device("meta"):
            build()
    except (RuntimeError, TypeError):
        return
    finally:
        hook.remove()
