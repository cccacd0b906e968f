"""Skinned bodies: poses with known results, and files of the SMPL-X layout."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from framework.geometry.body import BodyModel, load_body, posed
from framework.geometry.mesh import MeshError
from framework.geometry.rotations import matrix_from_6d, matrix_from_axis_angle
from framework.testing.body_file import smplx_parents, write_body_file

VERTICES = 60


def two_bones() -> BodyModel:
    """An arm along x: shoulder at 0, elbow at 1, a hand at 2; each vertex belongs to one bone."""
    return BodyModel(
        template=torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]),
        shape_directions=torch.tensor([[[0.0], [0], [0]], [[1], [0], [0]], [[2], [0], [0]]]),
        pose_directions=torch.zeros(9, 9),
        joint_regressor=torch.tensor([[1.0, 0, 0], [0, 1, 0]]),
        skinning_weights=torch.tensor([[1.0, 0], [1, 0], [0, 1]]),
        parents=torch.tensor([-1, 0]),
        faces=torch.tensor([[0, 1, 2]]),
    )


def test_bending_the_elbow_carries_the_hand() -> None:
    quarter = matrix_from_axis_angle(torch.tensor([[[0.0, 0, 0], [0, 0, torch.pi / 2]]]))
    vertices, joints = posed(two_bones(), quarter, torch.zeros(1, 1))
    torch.testing.assert_close(vertices[0], torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(joints[0], torch.tensor([[0.0, 0, 0], [1, 0, 0]]), atol=1e-6, rtol=0)
    longer, _ = posed(two_bones(), quarter, torch.ones(1, 1))  # twice as long, and the joints go with it
    torch.testing.assert_close(longer[0, 2], torch.tensor([2.0, 2, 0]), atol=1e-6, rtol=0)


def test_gradients_reach_pose_and_shape() -> None:
    body = two_bones()
    angles = torch.zeros(1, 2, 3, dtype=torch.float64, requires_grad=True)
    shape = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)

    def hand(angles: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
        return posed(body.to(torch.float64), matrix_from_axis_angle(angles), shape)[0]

    assert torch.autograd.gradcheck(hand, (angles, shape))


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"expected \(B, 2, 3, 3\) and at most 1"):
        posed(two_bones(), torch.eye(3).expand(1, 3, 3, 3), torch.zeros(1, 1))
    with pytest.raises(ValueError, match="at most 1"):
        posed(two_bones(), torch.eye(3).expand(1, 2, 3, 3), torch.zeros(1, 4))


def test_rotations() -> None:
    vectors = torch.tensor([[0.0, 0, 0], [0, 0, torch.pi / 2], [0.3, -1.2, 2.0]])
    matrices = matrix_from_axis_angle(vectors)
    torch.testing.assert_close(matrices[0], torch.eye(3))
    torch.testing.assert_close(matrices[1] @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(matrix_from_6d(matrices[..., :2].flatten(1)), matrices, atol=1e-6, rtol=0)
    skewed = matrix_from_6d(torch.randn(20, 6, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(skewed @ skewed.transpose(1, 2), torch.eye(3).expand(20, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(skewed), torch.ones(20))


# ---- model files


def test_a_model_file_is_read_and_posed_as_by_its_authors_package(tmp_path: Path) -> None:
    skinning = pytest.importorskip("smplx.lbs", reason="needs the extra 'human'")
    body = load_body(write_body_file(tmp_path / "SMPLX_NEUTRAL.npz", VERTICES), coefficients=20, expression=5)
    assert body.parents.tolist() == smplx_parents()
    assert body.shape_directions.shape == (VERTICES, 3, 25)
    stored = np.load(tmp_path / "SMPLX_NEUTRAL.npz")["shapedirs"]
    np.testing.assert_array_equal(body.shape_directions[..., 20:], stored[..., 300:305])  # expression lies behind 300
    random = torch.Generator().manual_seed(0)
    rotations = matrix_from_axis_angle(0.4 * torch.randn(2, 55, 3, generator=random))
    coefficients = torch.randn(2, 25, generator=random)
    vertices, joints = posed(body, rotations, coefficients)
    theirs = skinning.lbs(
        coefficients,
        rotations,
        body.template,
        body.shape_directions,
        body.pose_directions,
        body.joint_regressor,
        body.parents,
        body.skinning_weights,
        pose2rot=False,
    )
    torch.testing.assert_close(vertices, theirs[0], atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(joints, theirs[1], atol=2e-5, rtol=1e-5)


class _Trap:
    """Unpickling this ends the test."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("the file was unpickled",)


def test_nothing_in_a_model_file_is_unpickled(tmp_path: Path) -> None:
    pytest.importorskip("smplx", reason="needs the extra 'human'")
    path = write_body_file(tmp_path / "SMPLX_NEUTRAL.npz", VERTICES)
    content = dict(np.load(path))
    np.savez(path, part2num=np.array(_Trap(), dtype=object), **content)
    assert len(load_body(path).template) == VERTICES
    np.savez(path, **(content | {"v_template": np.array([_Trap()], dtype=object)}))
    with pytest.raises(MeshError, match="SMPLX_NEUTRAL"):
        load_body(path)


def test_files_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match="no such body model"):
        load_body(tmp_path / "SMPLX_NEUTRAL.npz")
    pytest.importorskip("smplx", reason="needs the extra 'human'")
    path = tmp_path / "SMPLX_NEUTRAL.npz"
    path.write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(MeshError, match="damaged or no SMPL-X model"):
        load_body(path)
    np.savez(path, v_template=np.zeros((3, 3)))
    with pytest.raises(MeshError, match="damaged or no SMPL-X model"):
        load_body(path)
    content = dict(np.load(write_body_file(path, VERTICES)))
    np.savez(path, **(content | {"f": content["f"] + 9}))
    with pytest.raises(MeshError, match=r"outside 0\.\.59"):
        load_body(path)


def test_moving_to_another_dtype_keeps_the_topology() -> None:
    body = replace(two_bones()).to(torch.float64)
    assert body.template.dtype == torch.float64
    assert body.faces.dtype == body.parents.dtype == torch.int64
