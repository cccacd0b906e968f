"""Runner of normals blended by their differences."""

from __future__ import annotations

import numpy as np

from framework.renderers.poisson import poisson_blend
from tests.parity.fixture import Fixture


def refine_poisson(fixture: Fixture) -> dict[str, np.ndarray]:
    """Family refine_poisson: `enhanced` normals with the low frequencies of `coarse` ones inside `mask`."""
    raw = poisson_blend(fixture.input("enhanced"), fixture.input("coarse"), fixture.input("mask") > 0)
    return {"fused_raw": raw, "fused_unit": raw / np.linalg.norm(raw, axis=-1, keepdims=True)}
