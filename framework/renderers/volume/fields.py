"""What a volume renderer draws: a field that answers questions about points in space.

Dimension letters: ... batch axes, rays and samples; C feature channels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

CHANNELS = ("colour", "features", "semantics")
"""The answers with a last axis of channels."""


class FieldAnswerError(ValueError):
    """A field's answer does not fit the question: says which part and what was expected."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FieldSamples:
    """A field's answers; a field gives those that it has."""

    sdf: Tensor | None = None
    """(...) signed distance, negative inside."""

    density: Tensor | None = None
    """(...) density, not negative; or the raw number that a renderer's density makes it from."""

    colour: Tensor | None = None
    """(..., 3) light towards the viewer."""

    features: Tensor | None = None
    """(..., C) anything to be averaged like colour."""

    semantics: Tensor | None = None
    """(..., K) shares of classes."""

    def named(self) -> dict[str, Tensor]:
        """The answers that are there."""
        values = ((item.name, getattr(self, item.name)) for item in fields(self))
        return {name: value for name, value in values if value is not None}

    def shape(self) -> Tensor:
        """(...) the number that says where matter is: signed distance, else density; FieldAnswerError without both."""
        value = self.sdf if self.sdf is not None else self.density
        if value is None:
            raise FieldAnswerError("the field gives neither sdf nor density, so there is nothing to see")
        return value


class Field(Protocol):
    """Implemented by networks; what a batch of networks answers has its batch axes in front."""

    def query(self, points: Tensor, directions: Tensor) -> FieldSamples:
        """Answer for `points` (..., 3) seen along unit `directions` (..., 3)."""
        ...


@runtime_checkable
class FieldWithGradient(Field, Protocol):
    """A field that says its gradient by itself, for less than differentiating its answers costs."""

    def query_with_gradient(self, points: Tensor, directions: Tensor) -> tuple[FieldSamples, Tensor]:
        """Answers, and the gradient (..., 3) of the signed distance (else the density) with respect to `points`."""
        ...


def ask(field: Field, points: Tensor, directions: Tensor) -> FieldSamples:
    """The field's answers in the dtype of `points`, checked; FieldAnswerError names what does not fit."""
    return _checked(field.query(points, directions), points)


def _checked(answer: FieldSamples, points: Tensor) -> FieldSamples:
    answer.shape()
    for name, value in answer.named().items():
        places = value.shape[:-1] if name in CHANNELS else value.shape
        if places != points.shape[:-1] or value.device != points.device:
            raise FieldAnswerError(
                f"the field's {name} has shape {tuple(value.shape)} on {value.device} for points of shape "
                f"{tuple(points.shape)} on {points.device}"
            )
    return replace(answer, **{name: value.to(points.dtype) for name, value in answer.named().items()})


def ask_with_gradient(field: Field, points: Tensor, directions: Tensor) -> tuple[FieldSamples, Tensor]:
    """Answers, and the gradient (..., 3) of the signed distance (else the density) with respect to the points.

    With gradients enabled outside, the result can be differentiated once more (eikonal terms). A `FieldWithGradient`
    is asked for both.
    """
    if isinstance(field, FieldWithGradient):
        answer, gradient = field.query_with_gradient(points, directions)
        return _checked(answer, points), gradient.to(points.dtype)
    keep = torch.is_grad_enabled()
    with torch.enable_grad():
        if not points.requires_grad:
            points = points.detach().requires_grad_()
        answer = ask(field, points, directions)
        (gradient,) = torch.autograd.grad(answer.shape().sum(), points, create_graph=keep, retain_graph=True)
    if keep:
        return answer, gradient
    return replace(answer, **{name: value.detach() for name, value in answer.named().items()}), gradient


def outward(samples: FieldSamples, gradient: Tensor) -> Tensor:
    """(..., 3) unit normals from a gradient; zero where it vanishes."""
    return torch.nn.functional.normalize(gradient if samples.sdf is not None else -gradient, dim=-1)
