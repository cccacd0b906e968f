"""The original remesher's names and layout: a vertex and a face that count for nothing lie at index 0 of every table.

Our functions know no such rows; these put them in front of our results.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from framework.geometry.remeshing.config import RemeshingConfig
from framework.geometry.remeshing.connectivity import Edges, has_three_corners, packed, proper_faces, sides_of_edges

_FIELDS = {
    "lr": "learning_rate",
    "betas": "betas",
    "edge_len_tol": "tolerance",
    "gain": "gain",
    "nu_ref": "speed",
    "laplacian_weight": "smoothing",
    "ramp": "ramp",
    "grad_lim": "gradient_limit",
}
"""The original's names of options and ours."""


def optimizer_config(options: dict[str, Any], **further: Any) -> RemeshingConfig:
    """The optimiser under the original's names; what `options` leave out has the original's default, which is ours."""
    given = {ours: options[name] for name, ours in _FIELDS.items() if name in options}
    if "betas" in given:
        given["betas"] = tuple(given["betas"])
    if "edge_len_lims" in options:
        given["shortest_edge"], given["longest_edge"] = options["edge_len_lims"]
    return RemeshingConfig(**given, shared_length=not options.get("local_edgelen", True), **further)


def headed_rows(rows: Tensor, head: float) -> Tensor:
    """`rows` with one of `head` in front."""
    return torch.cat([rows.new_full((1, *rows.shape[1:]), head), rows])


def headed_faces(faces: Tensor) -> Tensor:
    """Indices counted from the first real vertex; faces that vanished are zero."""
    return headed_rows(torch.where(has_three_corners(faces)[:, None], faces + 1, 0), 0)


def edge_tables(faces: Tensor, edges: Edges) -> dict[str, Tensor]:
    """edges, face_to_edge, edge_to_face (edge, left or right, (face, side); zero where there is none)."""
    sides, _ = sides_of_edges(faces, edges)
    edge_to_face = torch.stack([torch.where(sides < 0, 0, sides // 3 + 1), sides.clamp(min=0) % 3], 2)
    return {
        "edges": headed_rows(torch.stack([edges.low, edges.high], 1) + 1, 0),
        "face_to_edge": headed_rows(edges.of_face + 1, 0),
        "edge_to_face": headed_rows(edge_to_face, 0),
    }


def headed_pack(columns: Tensor, faces: Tensor, head: float) -> tuple[Tensor, Tensor]:
    """Vertices and faces without what vanished."""
    columns, faces = packed(columns, proper_faces(faces))
    return headed_rows(columns, head), headed_faces(faces)
