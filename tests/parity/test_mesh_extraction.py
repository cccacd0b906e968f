"""The fixture `craftsman/mesh_extraction` beyond what its runner checks: refining near the surface changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.parity.fixture import Fixture
from tests.parity.runners.craftsman.extraction import field_of, surface

FIXTURE = Path(__file__).parent / "fixtures" / "craftsman" / "mesh_extraction.json"


def test_coarse_to_fine_gives_the_dense_mesh() -> None:
    fixture = Fixture.read(FIXTURE)
    mesh = surface(fixture, field_of(fixture), method="coarse_to_fine", coarse=16)
    assert mesh is not None
    stored, atol = fixture.expected, fixture.facts["tolerance"]["atol"]
    np.testing.assert_allclose(mesh.vertices, stored["vertices"], atol=atol, rtol=0)
    np.testing.assert_array_equal(mesh.faces, stored["faces"])
