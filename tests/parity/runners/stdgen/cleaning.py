"""Runner of the clean-up behind the refinement."""

from __future__ import annotations

from typing import Any

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from framework.geometry.cleaning import smoothed, subdivided, without_tiny_faces
from tests.parity.comparison import Judged
from tests.parity.fixture import Fixture

STEPS = 2


def refine_clean(fixture: Fixture) -> dict[str, Any]:
    """Family refine_clean: two smoothing steps, tiny faces merged, faces cut in four; of a closed mesh and of one that
    lacks the faces `config.border_faces_removed` (from, up to).

    Merged and subdivided meshes are matched by position, faces as sets of vertices.
    """
    positions, faces = fixture.tensor("mesh_vertices"), fixture.tensor("mesh_faces").long()
    first, last = fixture.config["border_faces_removed"]
    opened = torch.cat([faces[:first], faces[last:]])
    return {
        "smoothed_closed": smoothed(positions, faces, STEPS),
        "smoothed_open": smoothed(positions, opened, STEPS),
        **_matched(fixture, "merged", *without_tiny_faces(positions, faces, fixture.config["merge_threshold"])),
        **_matched(fixture, "subdivided", *subdivided(positions, opened)),
    }


def _matched(fixture: Fixture, name: str, positions: Tensor, faces: Tensor) -> dict[str, Judged]:
    expected, expected_faces = (fixture.expected[f"{name}_{part}"] for part in ("vertices", "faces"))
    there, match = cKDTree(expected).query(positions.numpy())
    back, _ = cKDTree(positions.numpy()).query(expected)
    ours = {tuple(sorted(face)) for face in match[faces.numpy()].tolist()}
    theirs = {tuple(sorted(face)) for face in expected_faces.tolist()}
    atol = float(fixture.facts["tolerance"]["atol"])
    return {
        f"{name}_vertices": Judged(
            {"distance": (max(there.max(), back.max()), atol), "number": (abs(len(positions) - len(expected)), 0)}
        ),
        f"{name}_faces": Judged(
            {"differ": (len(ours ^ theirs), 0), "number": (abs(len(faces) - len(expected_faces)), 0)}
        ),
    }
