"""Runner of linear blend skinning."""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import Tensor

from framework.geometry.body import BodyModel, posed
from framework.geometry.rotations import matrix_from_6d
from tests.parity import fill
from tests.parity.expressions import evaluate
from tests.parity.fixture import Fixture

_NORMAL = re.compile(r"^(?:(?P<factor>[\d.e-]+) *\* *)?inputs (?P<shape>\[[\d, ]+\])")


def smplx_lbs(fixture: Fixture) -> dict[str, Tensor]:
    """Family smplx_lbs: vertices and joints of a small body in the poses given.

    `config.parents` tells the joints. Inputs are sentences: `[factor *] inputs [shape]` (normal numbers named like the
    input), an expression with `, rows normalised`, or stored; `pose6d` is `rotation = rot6d(<expression>)` or six
    numbers per joint.
    """
    parents = torch.tensor(fixture.config["parents"])
    body = BodyModel(
        template=_input(fixture, "v_template"),
        shape_directions=_input(fixture, "shapedirs"),
        pose_directions=_input(fixture, "posedirs"),
        joint_regressor=_input(fixture, "J_regressor"),
        skinning_weights=_input(fixture, "weights"),
        parents=parents,
        faces=torch.zeros(0, 3, dtype=torch.int64),
    )
    rotations = matrix_from_6d(_input(fixture, "pose6d").reshape(-1, len(parents), 6))
    vertices, joints = posed(body, rotations, _input(fixture, "betas"))
    return {"vertices": vertices, "joints": joints}


def _input(fixture: Fixture, name: str) -> Tensor:
    sentence = fixture.descriptions.get(name, "stored")
    if sentence.startswith("stored"):
        return fixture.tensor(name)
    normal = _NORMAL.match(sentence)
    if normal:
        value = fill.inputs(name, evaluate(normal["shape"], fixture.salt), fixture.salt)
        value = value * np.float32(normal["factor"] or 1)
    else:
        rotation = re.search(r"rot6d\((.*)\)(?: ->|$)", sentence)
        expression = rotation[1] if rotation else sentence.partition(", rows")[0]
        value = np.asarray(evaluate(expression, fixture.salt), dtype=np.float32)
    if "normalised" in sentence:
        value = value / value.sum(axis=1, keepdims=True)
    return torch.from_numpy(np.ascontiguousarray(value, dtype=np.float32))
