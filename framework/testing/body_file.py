"""A body model file with the layout of SMPL-X and made-up content: the real ones are licensed and can't be shipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np

_PARENTS = "-1 0 0 0 1 2 3 4 5 6 7 8 9 9 9 12 13 14 16 17 18 19 15 15 15"
_FINGERS = ((20, 25), (21, 40))  # wrist and first finger joint of each hand: five fingers of three joints
_LANDMARKS, _CONTOUR_LANDMARKS, _CONTOUR_ANGLES = 51, 17, 79


def smplx_parents() -> list[int]:
    """The parent of each of the 55 joints: pelvis, 21 of the body, jaw, two eyes, 15 of each hand."""
    parents = [int(joint) for joint in _PARENTS.split()]
    for wrist, first in _FINGERS:
        parents += [wrist if joint % 3 == 0 else first + joint - 1 for joint in range(15)]
    return parents


def write_body_file(path: Path, vertices: int = 10475, seed: int = 0) -> Path:
    """Write a random `SMPLX_NEUTRAL.npz` with 300 shape and 100 expression directions; return `path`."""
    random = np.random.default_rng(seed)
    parents = np.array(smplx_parents())
    joints = len(parents)

    def normal(*shape: int) -> np.ndarray:
        return random.standard_normal(shape, dtype=np.float32)

    def shares(*shape: int) -> np.ndarray:
        values = random.random(shape, dtype=np.float32) ** 8
        return values / values.sum(axis=1, keepdims=True)

    faces = np.stack([np.arange(vertices - 2), np.arange(vertices - 2) + 1, np.arange(vertices - 2) + 2], axis=1)
    np.savez(
        path,
        v_template=normal(vertices, 3),
        f=faces.astype(np.uint32),
        shapedirs=0.05 * normal(vertices, 3, 400),
        posedirs=0.002 * normal(vertices, 3, 9 * (joints - 1)),
        J_regressor=shares(joints, vertices),
        weights=shares(vertices, joints),
        kintree_table=np.stack([parents, np.arange(joints)]).astype(np.uint32),
        lmk_faces_idx=np.zeros(_LANDMARKS, np.int64),
        lmk_bary_coords=np.full((_LANDMARKS, 3), 1 / 3, np.float32),
        dynamic_lmk_faces_idx=np.zeros((_CONTOUR_ANGLES, _CONTOUR_LANDMARKS), np.int64),
        dynamic_lmk_bary_coords=np.full((_CONTOUR_ANGLES, _CONTOUR_LANDMARKS, 3), 1 / 3, np.float32),
        hands_meanl=normal(45),
        hands_meanr=normal(45),
        hands_componentsl=normal(45, 45),
        hands_componentsr=normal(45, 45),
    )
    return path
