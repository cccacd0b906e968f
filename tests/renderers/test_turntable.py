"""Preview sheets and turntables of meshes of any size and place."""

import numpy as np
import pytest
import torch
import trimesh

from framework.geometry.mesh import Mesh
from framework.renderers.studio import around, exhibit
from framework.renderers.torch_rasterizer import TorchRasterizer
from framework.renderers.turntable import preview, turntable


@pytest.fixture(scope="module")
def cone() -> Mesh:
    """A red cone with its tip upwards, far from the origin and large."""
    shape = trimesh.creation.cone(0.5, 1.0, sections=48)
    points = shape.vertices[:, [0, 2, 1]] * 40 + 300
    return Mesh(points, shape.faces[:, ::-1], np.tile([0.9, 0.1, 0.1], (len(points), 1)))


def is_red(picture: np.ndarray) -> np.ndarray:
    wide = picture.astype(int)
    return wide[..., 0] > wide[..., 1:].max(-1) + 40


def test_preview_shows_five_views(cone: Mesh) -> None:
    sheet = preview(cone, cell=64, supersample=1)
    assert sheet.shape == (2 * 64 + 16 + 32, 2 * (2 * 64 + 16) + 48, 3) and sheet.dtype == np.uint8
    red = is_red(sheet)
    large = red[16:160, 16:160]
    assert 0.1 < large.mean() < 0.6
    for row, column in ((16, 176), (16, 256), (96, 176), (96, 256)):
        view = red[row : row + 64, column : column + 64]
        widths = view.sum(1)
        assert 0.1 < view.mean() < 0.6
        # The tip points upwards, and nothing touches the frame.
        assert widths[view.any(1)][0] < widths[view.any(1)][-1] and not (view[0].any() or view[-1].any())


def test_turntable_goes_round_once(cone: Mesh) -> None:
    calls: list[tuple[int, int]] = []
    frames = list(turntable(cone, frames=4, resolution=48, progress=lambda done, total: calls.append((done, total))))
    assert [frame.shape for frame in frames] == [(48, 48, 3)] * 4 and frames[0].dtype == np.uint8
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    shares = [is_red(frame).mean() for frame in frames]
    assert min(shares) > 0.1 and max(shares) - min(shares) < 0.02


def test_turntable_starts_at_the_front_and_turns_towards_the_right() -> None:
    """A ball at +X stands right of the middle in the front view and before it, larger, in the second of four."""
    ball, other = (trimesh.creation.icosphere(subdivisions=2, radius=0.3).apply_translation([x, 0, 0]) for x in (1, -1))
    colors = np.concatenate([np.tile([0.9, 0.1, 0.1], (len(ball.vertices), 1)), np.ones((len(other.vertices), 3))])
    both = trimesh.util.concatenate([ball, other])
    red = [is_red(frame) for frame in turntable(Mesh(both.vertices, both.faces, colors), frames=4, resolution=64)]
    centres = [np.nonzero(picture)[1].mean() for picture in red]
    assert centres[0] > 40 and abs(centres[1] - 31.5) < 1.5
    assert red[1].sum() > red[0].sum()


def test_same_frames_again(cone: Mesh) -> None:
    first, second = (next(turntable(cone, frames=2, resolution=32)) for _ in range(2))
    assert (first == second).all()


def test_everything_is_in_the_frame() -> None:
    stick = trimesh.creation.box((0.01, 3.0, 0.02))
    shown = exhibit(Mesh(stick.vertices, stick.faces), TorchRasterizer())
    for elevation in (-60.0, 0.0, 15.0, 89.0):
        ndc = around(shown, torch.arange(0.0, 360.0, 30.0), elevation).project(shown.surface.positions)
        assert ndc.abs().max() < 1
        assert abs(float(ndc[..., :2].abs().max()) - 0.8) < 1e-3


@pytest.mark.parametrize(("frames", "resolution"), [(0, 64), (4, 1)])
def test_wrong_arguments(cone: Mesh, frames: int, resolution: int) -> None:
    with pytest.raises(ValueError, match="expected at least 1 frame"):
        next(turntable(cone, frames=frames, resolution=resolution))
