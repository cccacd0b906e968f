"""Mesh files: round trips, what other programs read, and files that can't be used."""

import json
import re
import resource
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from framework.export.mesh_files import WRITTEN, load_mesh, save_mesh
from framework.geometry.mesh import Mesh, MeshError, smooth_normals

RANDOM = np.random.default_rng(0)
PLAIN = Mesh(
    np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]]) / 3, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
)
COLORED = replace(PLAIN, vertex_colors=RANDOM.random((4, 3)), vertex_normals=smooth_normals(PLAIN))


def save_trimesh(path: Path, geometry: trimesh.Trimesh | trimesh.Scene) -> Path:
    geometry.export(path)
    return path


# ---- what we write comes back


@pytest.mark.parametrize("suffix", WRITTEN)
@pytest.mark.parametrize("mesh", [PLAIN, COLORED], ids=["plain", "colored"])
def test_round_trip(mesh: Mesh, suffix: str, tmp_path: Path) -> None:
    path = save_mesh(mesh, tmp_path / "new" / f"shape{suffix}")
    again = load_mesh(path)
    np.testing.assert_allclose(again.triangles, mesh.triangles, atol=1e-7)
    if suffix != ".stl":  # STL has no shared vertices and no colours
        np.testing.assert_array_equal(again.faces, mesh.faces)
    if mesh.vertex_colors is None or suffix == ".stl":
        assert again.vertex_colors is None
    else:
        assert again.vertex_colors is not None
        tolerance = 2e-6 if suffix == ".glb" else 0.5 / 255 + 1e-6
        np.testing.assert_allclose(again.vertex_colors[:, :3], mesh.vertex_colors, atol=tolerance)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".glb", ".ply"])
def test_alpha_survives(suffix: str, tmp_path: Path) -> None:
    rgba = np.concatenate([COLORED.vertex_colors, [[0.2], [0.4], [0.6], [1.0]]], axis=1)  # type: ignore[list-item]
    again = load_mesh(save_mesh(replace(PLAIN, vertex_colors=rgba), tmp_path / f"glass{suffix}"))
    assert again.vertex_colors is not None
    np.testing.assert_allclose(again.vertex_colors, rgba, atol=0.5 / 255 + 1e-6)


def test_glb_is_what_the_standard_asks(tmp_path: Path) -> None:
    content = save_mesh(COLORED, tmp_path / "shape.glb").read_bytes()
    magic, version, length, json_length, json_kind = struct.unpack("<4sIIII", content[:20])
    assert (magic, version, length, json_kind) == (b"glTF", 2, len(content), 0x4E4F534A)
    assert json_length % 4 == 0
    header = json.loads(content[20 : 20 + json_length])
    assert header["nodes"] == [{"mesh": 0, "name": "shape"}]  # no rotation: +Y up as it stands
    attributes = header["meshes"][0]["primitives"][0]["attributes"]
    position = header["accessors"][attributes["POSITION"]]
    np.testing.assert_allclose([position["min"], position["max"]], PLAIN.bounds)
    view = header["bufferViews"][header["accessors"][attributes["COLOR_0"]]["bufferView"]]
    start = 20 + json_length + 8 + view["byteOffset"]
    stored = np.frombuffer(content[start : start + view["byteLength"]], np.float32).reshape(4, 3)
    srgb = np.asarray(COLORED.vertex_colors, dtype=float)
    np.testing.assert_allclose(stored, [[_to_linear(value) for value in row] for row in srgb], atol=1e-6)
    assert header["materials"][0]["pbrMetallicRoughness"]["metallicFactor"] == 0


def _to_linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def test_written_normals_are_read_by_others(tmp_path: Path) -> None:
    for suffix in (".glb", ".obj", ".ply"):
        scene = trimesh.load_scene(str(save_mesh(COLORED, tmp_path / f"a{suffix}")), process=False)
        normals = next(iter(scene.geometry.values())).vertex_normals
        np.testing.assert_allclose(normals, COLORED.vertex_normals, atol=1e-5)


def test_unknown_suffix_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match=r"\.fbx.*\.glb"):
        save_mesh(PLAIN, tmp_path / "new" / "shape.fbx")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    big = Mesh(RANDOM.random((5000, 3)), RANDOM.integers(0, 5000, (9000, 3)))
    old = save_mesh(PLAIN, tmp_path / "shape.glb").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_mesh(big, tmp_path / "shape.glb")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [file.name for file in tmp_path.iterdir()] == ["shape.glb"]
    assert (tmp_path / "shape.glb").read_bytes() == old


# ---- what others write


def test_scene_parts_stand_in_place(tmp_path: Path) -> None:
    box = trimesh.creation.box((1, 1, 1))
    scene = trimesh.Scene()
    scene.add_geometry(box, node_name="a", transform=trimesh.transformations.translation_matrix([2, 0, 0]))
    scene.add_geometry(box, node_name="b", transform=np.diag([1.0, 1.0, -2.0, 1.0]))  # mirrored
    mesh = load_mesh(save_trimesh(tmp_path / "two.glb", scene))
    np.testing.assert_allclose(mesh.bounds, [[-0.5, -0.5, -1], [2.5, 0.5, 1]], atol=1e-6)
    assert mesh.volume == pytest.approx(3.0)  # both look outwards
    assert len(mesh.faces) == 24


def test_face_colours_split_only_where_they_differ(tmp_path: Path) -> None:
    colors = np.array([[255, 0, 0, 255]] * 2 + [[0, 0, 255, 255]] * 2, np.uint8)
    source = trimesh.Trimesh(PLAIN.vertices, PLAIN.faces, face_colors=colors, process=False)
    mesh = load_mesh(save_trimesh(tmp_path / "faces.ply", source))
    np.testing.assert_allclose(mesh.triangles, PLAIN.triangles, atol=1e-6)
    assert mesh.vertex_colors is not None
    np.testing.assert_allclose(mesh.vertex_colors[mesh.faces], np.repeat(colors[:, None] / 255, 3, axis=1))
    assert len(mesh.vertices) == 8  # each colour touches all four vertices


def test_a_texture_is_baked_at_the_corners(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4, :4], pixels[:4, 4:], pixels[4:, :4], pixels[4:, 4:] = (200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 90, 90)
    uv = np.array([[0.25, 0.75], [0.75, 0.75], [0.25, 0.25], [0.75, 0.25]])  # v upwards: first two in the top row
    for suffix, material in {
        ".glb": trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(pixels)),
        ".obj": trimesh.visual.material.SimpleMaterial(image=Image.fromarray(pixels)),
    }.items():
        visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
        source = trimesh.Trimesh(PLAIN.vertices, PLAIN.faces, visual=visual, process=False)
        mesh = load_mesh(save_trimesh(tmp_path / f"textured{suffix}", source))
        expected = np.array([[200, 0, 0], [0, 200, 0], [0, 0, 200], [90, 90, 90]]) / 255
        assert mesh.vertex_colors is not None
        corners = {tuple(np.round(p, 4)): c[:3] for p, c in zip(mesh.vertices, mesh.vertex_colors, strict=True)}
        for vertex, color in zip(PLAIN.vertices, expected, strict=True):
            np.testing.assert_allclose(corners[tuple(np.round(vertex, 4))], color, atol=1e-3)


def test_a_material_colour_is_taken_without_a_texture(tmp_path: Path) -> None:
    material = trimesh.visual.material.PBRMaterial(baseColorFactor=[128, 255, 0, 255])
    visual = trimesh.visual.TextureVisuals(uv=np.zeros((4, 2)), material=material)
    source = trimesh.Trimesh(PLAIN.vertices, PLAIN.faces, visual=visual, process=False)
    mesh = load_mesh(save_trimesh(tmp_path / "tinted.glb", source))
    assert mesh.vertex_colors is not None
    np.testing.assert_allclose(mesh.vertex_colors[0], [0.7366, 1, 0, 1], atol=2e-3)  # 0.502 of linear light
    (tmp_path / "paint.mtl").write_text("newmtl paint\nKd 1.0 0.5 0.0\n")
    text = "mtllib paint.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nusemtl paint\nf 1/1 2/1 3/1\n"
    (tmp_path / "painted.obj").write_text(text)
    painted = load_mesh(tmp_path / "painted.obj")
    assert painted.vertex_colors is not None
    np.testing.assert_allclose(painted.vertex_colors[0], [1, 0.5, 0, 1], atol=3e-3)


def test_an_obj_without_materials_has_no_colours_and_quads_are_split(tmp_path: Path) -> None:
    text = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nf 1/1 2/1 3/1 4/1\n"
    (tmp_path / "quad.obj").write_text(text)
    mesh = load_mesh(tmp_path / "quad.obj")
    assert mesh.vertex_colors is None
    assert mesh.area == pytest.approx(1.0)
    assert len(mesh.faces) == 2


# ---- files that can't be used

TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nan.obj", b"v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n", "NaN"),
        ("points.obj", TRIANGLE.encode(), "no triangles"),
        ("index.obj", (TRIANGLE + "f 1 2 9\n").encode(), "damaged"),
        ("one_point.obj", b"v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n", "one point"),
        ("far.obj", b"v 4e6 0 0\nv 4000001 0 0\nv 4e6 1 0\nf 1 2 3\n", "from the origin"),
        ("empty.glb", b"", "empty"),
        ("empty.stl", b"", "empty"),
        ("noise.glb", b"not a mesh at all", "damaged"),
        ("noise.ply", b"not a mesh at all", "damaged"),
        ("noise.obj", b"not a mesh at all", "no triangles"),
        ("noise.stl", b"not a mesh at all", "no triangles"),
        ("list.gltf", b"[]", "damaged"),
        ("nothing.gltf", b"{}", "no triangles"),
        ("shape.txt", b"v", r"can't read '\.txt'.*\.glb"),
    ],
)
def test_bad_files_are_named(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MeshError, match=f"{re.escape(name)}: .*{message}"):
        load_mesh(tmp_path / name)


@pytest.mark.parametrize("suffix", [".glb", ".ply", ".stl"])
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.99])
def test_cut_off_files_are_refused(suffix: str, kept: float, tmp_path: Path) -> None:
    path = save_mesh(COLORED, tmp_path / f"cut{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(MeshError, match=re.escape(path.name)):
        load_mesh(path)


def test_missing_huge_and_folder_paths_are_named(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match="no such file"):
        load_mesh(tmp_path / "absent.glb")
    (tmp_path / "folder.glb").mkdir()
    with pytest.raises(MeshError, match="no such file"):
        load_mesh(tmp_path / "folder.glb")
    path = save_mesh(PLAIN, tmp_path / "shape.glb")
    with pytest.raises(MeshError, match="more than the limit"):
        load_mesh(path, max_bytes=100)
