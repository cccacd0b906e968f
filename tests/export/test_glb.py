"""Textured meshes and named parts in GLB files: what other libraries read, and what comes back to us."""

import io
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from framework.artifacts.errors import ArtifactError
from framework.artifacts.layered_mesh import LayeredMesh
from framework.export.glb import glb_bytes
from framework.export.mesh_files import load_layers, load_mesh, save_layers, save_mesh
from framework.geometry.appearance import Appearance, Material, uniform_appearance
from framework.geometry.mesh import Mesh, MeshError, concatenate

RANDOM = np.random.default_rng(0)
COLOR, ROUGH, BUMPS = (RANDOM.integers(0, 255, (8, 8, 3), dtype=np.uint8) for _ in range(3))
PBR = Material(
    "skin",
    base_color=(0.8, 0.6, 0.4, 1.0),
    metallic=0.25,
    roughness=0.5,
    base_color_picture=COLOR,
    metallic_roughness_picture=ROUGH,
    normal_picture=BUMPS,
    double_sided=True,
)
GLASS = Material("glass", base_color_picture=np.dstack([COLOR, COLOR[..., :1]]), alpha="blend")
TETRA = Mesh(
    np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]]), np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
)
LOOKS = Appearance(
    [PBR, GLASS], np.array([0, 0, 1, 0]), RANDOM.random((7, 2)), np.array([[0, 1, 2], [2, 3, 4], [5, 1, 0], [6, 5, 4]])
)
TEXTURED = replace(TETRA, appearance=LOOKS)


def corner_rows(mesh: Mesh) -> list[tuple[float, ...]]:
    """Position and texture coordinate of every corner, in an order that doesn't depend on numbering."""
    assert mesh.appearance is not None
    rows = np.concatenate([mesh.triangles, mesh.appearance.uv[mesh.appearance.corners]], axis=2).reshape(-1, 5)
    return sorted(map(tuple, rows.round(5).tolist()))


def test_materials_come_back(tmp_path: Path) -> None:
    again = load_mesh(save_mesh(TEXTURED, tmp_path / "a.glb"))
    assert again.appearance is not None
    assert corner_rows(again) == corner_rows(TEXTURED)
    skin, glass = again.appearance.materials
    np.testing.assert_array_equal(skin.base_color_picture, COLOR)  # type: ignore[arg-type]
    np.testing.assert_array_equal(skin.metallic_roughness_picture, ROUGH)  # type: ignore[arg-type]
    np.testing.assert_array_equal(skin.normal_picture, BUMPS)  # type: ignore[arg-type]
    np.testing.assert_array_equal(glass.base_color_picture, GLASS.base_color_picture)  # type: ignore[arg-type]
    np.testing.assert_allclose(skin.base_color, PBR.base_color, atol=1 / 255)
    assert (skin.name, skin.metallic, skin.roughness, skin.double_sided) == ("skin", 0.25, 0.5, True)
    assert (glass.alpha, skin.alpha) == ("blend", "opaque")
    second = load_mesh(save_mesh(again, tmp_path / "b.glb"))
    assert corner_rows(second) == corner_rows(again)
    assert len(second.vertices) == len(again.vertices)  # seams are not split again


def test_textures_reach_formats_without_them_as_vertex_colours(tmp_path: Path) -> None:
    single = replace(
        TETRA, appearance=Appearance([replace(PBR, base_color=(1, 1, 1, 1))], [0] * 4, LOOKS.uv[:4], TETRA.faces)
    )
    textured = load_mesh(save_mesh(single, tmp_path / "a.glb"))
    plain = load_mesh(save_mesh(textured, tmp_path / "a.ply"))
    assert plain.appearance is None
    assert plain.vertex_colors is not None and textured.vertex_colors is not None
    np.testing.assert_allclose(plain.vertex_colors, textured.vertex_colors, atol=0.51 / 255)
    assert plain.vertex_colors[:, :3].std() > 0.05


def test_pygltflib_reads_a_textured_file(tmp_path: Path) -> None:
    pygltflib = pytest.importorskip("pygltflib", reason="needs the extra 'mesh'")
    file = pygltflib.GLTF2().load(str(save_mesh(TEXTURED, tmp_path / "a.glb")))
    assert [material.name for material in file.materials] == ["skin", "glass"]
    surface = file.materials[0].pbrMetallicRoughness
    assert surface.baseColorFactor == [0.8, 0.6, 0.4, 1.0]
    assert (surface.metallicFactor, surface.roughnessFactor) == (0.25, 0.5)
    assert file.materials[1].alphaMode == "BLEND"
    for info, expected in (
        (surface.baseColorTexture, COLOR),
        (surface.metallicRoughnessTexture, ROUGH),
        (file.materials[0].normalTexture, BUMPS),
    ):
        view = file.bufferViews[file.images[file.textures[info.index].source].bufferView]
        png = file.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), expected)
    primitives = file.meshes[0].primitives
    assert [file.accessors[part.indices].count for part in primitives] == [9, 3]
    uv = _rows(file, primitives[1].attributes.TEXCOORD_0)
    stored = sorted(map(tuple, uv.round(5).tolist()))
    expected_uv = LOOKS.uv[LOOKS.corners[2]] * [1, -1] + [0, 1]  # glTF's v runs downwards
    assert stored == sorted(map(tuple, np.float32(expected_uv).round(5).tolist()))
    assert all(view.byteOffset % 4 == 0 for view in file.bufferViews)


def _rows(file: Any, number: int) -> np.ndarray:
    accessor = file.accessors[number]
    view = file.bufferViews[accessor.bufferView]
    block = file.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
    return np.frombuffer(block, np.float32).reshape(accessor.count, -1)


def test_a_file_has_only_what_its_mesh_has() -> None:
    content = glb_bytes({"a": TETRA})
    header = json.loads(content[20 : 20 + struct.unpack("<I", content[12:16])[0]])
    assert set(header) == {
        "asset", "scene", "scenes", "nodes", "meshes", "materials", "accessors", "bufferViews", "buffers",
    }  # fmt: skip
    assert "doubleSided" not in header["materials"][0]  # a closed mesh


def test_colours_in_8_bits() -> None:
    colored = replace(TETRA, vertex_colors=np.array([[0.0, 0.5, 1.0]] * 4))
    scene = trimesh.load_scene(io.BytesIO(glb_bytes({"a": colored}, small_colors=True)), file_type="glb", process=False)
    stored = (
        scene.geometry["a"].visual.vertex_attributes["color"]
        if scene.geometry["a"].visual.kind == "texture"
        else (scene.geometry["a"].visual.vertex_colors)
    )
    np.testing.assert_array_equal(np.asarray(stored)[0], [0, 55, 255, 255])  # 0.5 is 0.214 of linear light


# ---- parts


def layers() -> LayeredMesh:
    hair = TETRA.transformed(np.diag([0.5, 0.5, 0.5, 1.0]))
    cloth = replace(TETRA, appearance=uniform_appearance(Material("cloth", metallic=0.5, roughness=1.0), 4))
    return LayeredMesh({"hair": hair, "body": TEXTURED, "cloth 2": cloth})


def test_parts_come_back_under_their_names(tmp_path: Path) -> None:
    again = load_layers(save_layers(layers(), tmp_path / "person.glb"))
    assert list(again.parts) == ["hair", "body", "cloth 2"]
    np.testing.assert_allclose(again.parts["hair"].triangles, layers().parts["hair"].triangles)
    assert again.parts["hair"].appearance is None
    assert corner_rows(again.parts["body"]) == corner_rows(TEXTURED)
    cloth = again.parts["cloth 2"].appearance
    assert cloth is not None
    assert (cloth.materials[0].metallic, cloth.materials[0].roughness) == (0.5, 1.0)
    merged = load_mesh(tmp_path / "person.glb")
    np.testing.assert_allclose(merged.bounds, concatenate(list(layers().parts.values())).bounds)
    assert len(merged.faces) == 12


def test_other_programs_see_the_parts(tmp_path: Path) -> None:
    pygltflib = pytest.importorskip("pygltflib", reason="needs the extra 'mesh'")
    file = pygltflib.GLTF2().load(str(save_layers(layers(), tmp_path / "person.glb")))
    assert [file.nodes[node].name for node in file.scenes[0].nodes] == ["hair", "body", "cloth 2"]
    assert len(file.meshes[file.nodes[1].mesh].primitives) == 2


def test_parts_need_names_and_a_format_that_has_them(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match=r"\.glb files only"):
        save_layers(layers(), tmp_path / "person.ply")
    with pytest.raises(ArtifactError, match="no part"):
        LayeredMesh({})
    with pytest.raises(ArtifactError, match="needs a name"):
        LayeredMesh({" ": TETRA})


# ---- files of others


def test_a_picture_times_vertex_colours_is_left_to_the_vertices(tmp_path: Path) -> None:
    visual = trimesh.visual.TextureVisuals(
        uv=np.full((4, 2), 0.5),
        material=trimesh.visual.material.PBRMaterial(baseColorTexture=Image.new("RGB", (4, 4), (255, 0, 0))),
    )
    source = trimesh.Trimesh(TETRA.vertices, TETRA.faces, visual=visual, process=False)
    source.visual.vertex_attributes["color"] = np.array([[255, 255, 255, 255], [0, 0, 0, 255]] * 2, np.uint8)
    source.export(tmp_path / "a.glb")
    mesh = load_mesh(tmp_path / "a.glb")
    assert mesh.appearance is None
    assert mesh.vertex_colors is not None
    np.testing.assert_allclose(mesh.vertex_colors[:2, :3], [[1, 0, 0], [0, 0, 0]], atol=1e-3)


def test_a_damaged_picture_is_an_error_or_left_out(tmp_path: Path) -> None:
    content = bytearray(save_mesh(TEXTURED, tmp_path / "a.glb").read_bytes())
    start = content.index(b"\x89PNG")
    content[start + 40 : start + 60] = bytes(20)
    (tmp_path / "b.glb").write_bytes(bytes(content))
    try:
        mesh = load_mesh(tmp_path / "b.glb")
    except MeshError as error:
        assert "b.glb" in str(error)
    else:
        np.testing.assert_allclose(mesh.bounds, TETRA.bounds)


@pytest.mark.parametrize(
    "changes",
    [
        {"baseColorTexture": {"index": 70}},
        {"roughnessFactor": "rough"},
        {"metallicFactor": float("nan")},
        {"metallicFactor": 7.0, "baseColorFactor": [9, 9, 9, 9]},
        {"baseColorFactor": [0.5]},
    ],
)
def test_materials_that_break_the_rules_give_a_mesh_or_an_error(changes: dict[str, Any], tmp_path: Path) -> None:
    content = glb_bytes({"a": TEXTURED})
    length = struct.unpack("<I", content[12:16])[0]
    header = json.loads(content[20 : 20 + length])
    header["materials"][0]["pbrMetallicRoughness"].update(changes)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text + content[20 + length :]
    (tmp_path / "b.glb").write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body)
    try:
        mesh = load_mesh(tmp_path / "b.glb")
    except MeshError as error:
        assert "b.glb" in str(error)
    else:
        np.testing.assert_allclose(mesh.bounds, TETRA.bounds)
        assert mesh.appearance is not None


def test_texture_coordinates_that_are_no_numbers_count_as_zero(tmp_path: Path) -> None:
    content = bytearray(save_mesh(TEXTURED, tmp_path / "a.glb").read_bytes())
    place = content.index(np.float32([LOOKS.uv[0, 0], 1.0 - LOOKS.uv[0, 1]]).tobytes())
    content[place : place + 8] = np.float32([np.nan, np.inf]).tobytes()
    (tmp_path / "b.glb").write_bytes(bytes(content))
    mesh = load_mesh(tmp_path / "b.glb")
    assert mesh.appearance is not None
    assert np.isfinite(mesh.appearance.uv).all()
