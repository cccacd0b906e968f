"""A body that is posed by joint rotations: linear blend skinning, and the SMPL family's model files.

Vertices are shaped, corrected for the pose and then carried along by the bones (Loper et al., "SMPL: a skinned
multi-person linear model", SIGGRAPH Asia 2015, equations 6 to 9). The model files are licensed by their authors and not
part of this project; `load_body` reads what a user has.

Legend: B bodies, V vertices, F faces, J joints, C coefficients (shape, then expression).
"""

from __future__ import annotations

import io
import zipfile
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from framework.geometry.mesh import MeshError
from framework.optional import require

# What the library raises for files that are no models: it takes what it finds for arrays of the right shapes.
_READ_ERRORS = (
    LookupError,
    ValueError,
    OSError,
    EOFError,
    AttributeError,
    TypeError,
    AssertionError,
    RuntimeError,
    zipfile.BadZipFile,
)


@dataclass(frozen=True, eq=False)
class BodyModel:
    """The tensors of a body; all on one device."""

    template: Float[Tensor, "V 3"]
    """Vertices of the average body at rest."""

    shape_directions: Float[Tensor, "V 3 C"]
    """How each coefficient moves the vertices."""

    pose_directions: Float[Tensor, "P V3"]
    """How the entries of (rotation - identity) of all joints but the first, P = 9 (J - 1), move the vertices."""

    joint_regressor: Float[Tensor, "J V"]
    """Weights of the vertices whose mean each joint is."""

    skinning_weights: Float[Tensor, "V J"]
    """Share of each joint in the motion of a vertex; rows sum to one."""

    parents: Int[Tensor, " J"]
    """Each joint's parent, which comes before it; -1 for the first."""

    faces: Int[Tensor, "F 3"]
    """Triangles, vertex indices."""

    def to(self, target: torch.device | torch.dtype | str) -> BodyModel:
        """The same body on another device, or with its floats in another dtype."""
        moved = {field.name: getattr(self, field.name) for field in fields(self)}
        whole = ("parents", "faces") if isinstance(target, torch.dtype) else ()
        return BodyModel(**{name: value if name in whole else value.to(target) for name, value in moved.items()})


def posed(
    body: BodyModel, rotations: Float[Tensor, "B J 3 3"], coefficients: Float[Tensor, "B C"]
) -> tuple[Float[Tensor, "B V 3"], Float[Tensor, "B J 3"]]:
    """Vertices and joints of `body` with joint `rotations` relative to their parents; differentiable in both inputs.

    Fewer coefficients than the model has stand for zeros behind them. ValueError for other shapes.
    """
    joints = len(body.parents)
    if rotations.shape[1:] != (joints, 3, 3) or coefficients.shape[1] > body.shape_directions.shape[2]:
        expected = f"(B, {joints}, 3, 3) and at most {body.shape_directions.shape[2]} coefficients"
        raise ValueError(f"posed: got {tuple(rotations.shape)} and {tuple(coefficients.shape)}, expected {expected}")
    directions = body.shape_directions[..., : coefficients.shape[1]]
    shaped = body.template + torch.einsum("bc,vxc->bvx", coefficients, directions)
    rest_joints = body.joint_regressor @ shaped
    bend = (rotations[:, 1:] - torch.eye(3).to(rotations)).flatten(1)
    bent = shaped + (bend @ body.pose_directions).view_as(shaped)
    world_from_joint = _chained(rotations, rest_joints, body.parents.tolist())
    linear, moved = world_from_joint[..., :3], world_from_joint[..., 3]
    # Each bone carries what lies around its joint at rest, so the joint's own place is taken off first.
    offset = moved - torch.einsum("bjxy,bjy->bjx", linear, rest_joints)
    blended = torch.einsum("vj,bjxy->bvxy", body.skinning_weights, torch.cat([linear, offset[..., None]], -1))
    vertices = torch.einsum("bvxy,bvy->bvx", blended[..., :3], bent) + blended[..., 3]
    return vertices, moved


def _chained(
    rotations: Float[Tensor, "B J 3 3"], joints: Float[Tensor, "B J 3"], parents: list[int]
) -> Float[Tensor, "B J 3 4"]:
    """World rotation and place of every joint, from the root to the leaves."""
    linear, place = [rotations[:, 0]], [joints[:, 0]]
    for joint, parent in enumerate(parents[1:], start=1):
        bone = joints[:, joint] - joints[:, parent]
        linear.append(linear[parent] @ rotations[:, joint])
        place.append(place[parent] + torch.einsum("bxy,by->bx", linear[parent], bone))
    return torch.cat([torch.stack(linear, 1), torch.stack(place, 1)[..., None]], dim=-1)


def load_body(path: Path | str, coefficients: int = 10, expression: int = 10) -> BodyModel:
    """The body of a model file `SMPLX_<gender>.npz` as its authors publish it, float32 on the CPU.

    coefficients, expression: how many shape and expression coefficients to keep; a file with fewer keeps what it has.
    Needs the extra 'human' (MissingExtra). MeshError when the file is missing or is no such model.
    """
    path = Path(path)
    if path.suffix != ".npz" or not path.is_file():
        raise MeshError(f"{path}: no such body model. Expected the file SMPLX_NEUTRAL.npz of smpl-x.is.tue.mpg.de")
    library = require("smplx", extra="human", attribute="SMPLX", needed_by="the body model")
    options = {"use_pca": False, "flat_hand_mean": True, "use_face_contour": False, "create_transl": False}
    sizes = {"num_betas": coefficients, "num_expression_coeffs": expression}
    try:
        # The library unpickles what a file asks for, so it gets a copy of the plain arrays; and it prints warnings.
        with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
            plain = Path(folder) / path.name
            np.savez(plain, **_plain_arrays(path))
            layer = library.SMPLX(str(plain), **sizes, **options)
    except _READ_ERRORS as error:
        message = f"{path}: damaged or no SMPL-X model ({type(error).__name__}: {error}). Download the file again"
        raise MeshError(message) from error
    _check_faces(layer, path)
    return BodyModel(
        template=layer.v_template.detach(),
        shape_directions=torch.cat([layer.shapedirs, layer.expr_dirs], -1).detach(),
        pose_directions=layer.posedirs.detach(),
        joint_regressor=layer.J_regressor.detach(),
        skinning_weights=layer.lbs_weights.detach(),
        parents=layer.parents.detach(),
        faces=torch.from_numpy(np.asarray(layer.faces, dtype=np.int64)),
    )


def _plain_arrays(path: Path) -> dict[str, Any]:
    """All arrays of a file that are numbers; what would have to be unpickled is left out."""
    arrays: dict[str, Any] = {}
    with np.load(path, allow_pickle=False) as content:
        for name in content.files:
            try:
                arrays[name] = content[name]
            except ValueError:  # an object array
                continue
    return arrays


def _check_faces(layer: Any, path: Path) -> None:
    faces, count = np.asarray(layer.faces, dtype=np.int64), len(layer.v_template)
    if not faces.size or faces.min() < 0 or faces.max() >= count:
        raise MeshError(f"{path}: faces name vertices outside 0..{count - 1}. Download the file again")
