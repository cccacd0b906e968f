"""Display colours (sRGB, what pictures hold) and linear light (what glTF factors and vertex colours hold)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def linear_from_srgb(srgb: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Linear light of display values in [0, 1] (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(linear: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Display values of linear light in [0, 1] (IEC 61966-2-1)."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)
