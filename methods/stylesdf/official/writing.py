"""Weights of our systems -> a published checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

from framework.config.build import from_dict
from framework.weights.folder import SavedWeights, WeightsError
from framework.weights.official import OfficialFiles
from methods.stylesdf.config import FullConfig, VolumeConfig
from methods.stylesdf.official.reading import FULL, PREFIXES, VOLUME, check_parts, published_shapes

FILE = "model.pt"
"""The published program looks for `full_models/<experiment>.pt`, whatever the experiment is called."""
CONFIGS: Mapping[str, type[VolumeConfig | FullConfig]] = {VOLUME: VolumeConfig, FULL: FullConfig}


def write(systems: Mapping[str, SavedWeights]) -> OfficialFiles:
    """Return the published form of one system's weights; WeightsError when they don't fit their config.

    The two stages lie in files of their own. What a training of ours keeps beside the networks is left out.
    """
    if len(systems) != 1:
        raise WeightsError(f"{' and '.join(systems)} are published in files of their own: export one folder at a time")
    name, saved = next(iter(systems.items()))
    config = from_dict(CONFIGS[name], saved.config, f"the config of '{name}'")
    parts = {
        part: {key.removeprefix(prefix): value for key, value in saved.tensors.items() if key.startswith(prefix)}
        for part, prefix in PREFIXES.items()
    }
    check_parts(parts, config, name)
    tensors = {f"{part}.{key}": value for part, state in parts.items() for key, value in state.items()}
    return OfficialFiles({key: tensors[key] for key in published_shapes(config)})
