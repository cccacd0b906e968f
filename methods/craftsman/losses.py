"""Losses and validation numbers of the shape autoencoder (fixture `v1_vae_losses`)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss


def reconstruction_loss(logits: Float[Tensor, "B P"], occupancy: Float[Tensor, "B P"]) -> Float[Tensor, ""]:
    """Binary cross-entropy of occupancy (1 inside), averaged over points and batch."""
    return binary_cross_entropy_with_logits(logits.float(), occupancy.float())


def distance_loss(values: Float[Tensor, "B P"], distance: Float[Tensor, "B P"]) -> Float[Tensor, ""]:
    """Mean squared error to signed distances, truncated or not, which must be positive inside like the field itself."""
    return mse_loss(values.float(), distance.float())


def occupancy_scores(logits: Float[Tensor, "B P"], occupancy: Float[Tensor, "B P"]) -> tuple[Tensor, Tensor]:
    """Accuracy and intersection over union at logit 0, both (B,) in [0, 1].

    As in the original, 1e-5 is added to the IoU, which keeps an empty shape at a finite value.
    """
    predicted, true = logits >= 0, occupancy >= 0.5
    accuracy = (predicted == true).float().mean(dim=1)
    union = (predicted | true).sum(dim=1).clamp(min=1)
    return accuracy, (predicted & true).sum(dim=1) / union + 1e-5
