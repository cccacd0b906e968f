"""The files of a set of shapes: one folder per object with sampled points, one with rendered views, lists of splits.

Written: the layout of Objaverse-MIX (CraftsMan, arXiv 2405.14979), so that published preparations can be used as they
are. Read: that one, and its two relatives with signed distances (one npz per object). Points in files may use another
frame or sign; here they are turned into the box [-1, 1]^3 with distances negative inside. Nothing is unpickled, and
every array is checked when it is read.

Legend: N surface points, M volume points, V view files of an object, S side of a view in pixels.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from PIL import Image as PilImage

from framework.artifacts.atomic import atomic_folder, write_json
from framework.artifacts.picture_files import UNREADABLE as UNREADABLE_PICTURE
from framework.artifacts.picture_files import opened_picture
from framework.artifacts.reading import read_json
from framework.data.array_files import UNREADABLE, read_npy, read_npz

SPLITS = ("train", "val", "test")
VIEW_ORDER = ("front", "right", "back", "left")
GROUP = len(VIEW_ORDER)

FILE_SCALE = 2.0
"""Files of the first layout hold points in the box of side 1; the framework's box has side 2."""

OUTSIDE_ABOVE = -1e-3
"""A point counts as inside where its signed distance is at most this, as in the original's targets."""


class ShapeFileError(ValueError):
    """A file of a shape set is missing or wrong: says which file, which key, what was expected."""

    def __init__(self, path: Path, problem: str, hint: str = "") -> None:
        super().__init__(f"{path}: {problem}. {hint}".rstrip(" "))
        self.path = path
        self.problem = problem


@dataclass(frozen=True, eq=False)
class ShapeArrays:
    """What the files hold about one object's geometry, in the box [-1, 1]^3; arrays keep the files' float type."""

    surface: Float[np.ndarray, "N 6"]
    """Surface points and their unit normals."""

    points: Float[np.ndarray, "M 3"]
    """Points uniform in a volume a little larger than the box."""

    occupancy: UInt8[np.ndarray, " M/8"] | None = None
    """Bits of "inside" for `points`, most significant first."""

    sdf: Float[np.ndarray, " M"] | None = None
    """Signed distance at `points`, negative inside; given instead of `occupancy`."""

    near_points: Float[np.ndarray, "K 3"] | None = None
    """Points close to the surface."""

    near_occupancy: UInt8[np.ndarray, " K/8"] | None = None
    """Bits of "inside" for `near_points`."""

    loc: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Centre of the object in its own file."""

    scale: float = 1.0
    """original = points * scale + loc, for points in the box [-1, 1]^3."""

    def inside(self, rows: Int[np.ndarray, " R"]) -> Bool[np.ndarray, " R"]:
        """Whether the chosen `points` lie inside."""
        if self.sdf is not None:
            return self.sdf[rows] <= OUTSIDE_ABOVE
        if self.occupancy is None:
            raise ValueError("these arrays hold neither occupancy nor sdf")
        return bits_at(self.occupancy, rows)

    def near_inside(self, rows: Int[np.ndarray, " R"]) -> Bool[np.ndarray, " R"]:
        """Whether the chosen `near_points` lie inside."""
        if self.near_occupancy is None:
            raise ValueError("these arrays hold no near-surface points")
        return bits_at(self.near_occupancy, rows)

    def inside_share(self) -> float:
        """Share of `points` that lie inside."""
        return float(self.inside(np.arange(len(self.points))).mean())


@dataclass(frozen=True, eq=False)
class ShapeObject:
    """Everything that a set stores of one object."""

    arrays: ShapeArrays
    """Geometry samples."""

    views: tuple[bytes, ...] = ()
    """Encoded pictures, four per group in the order front, right, back, left."""

    rotations: Float[np.ndarray, "V 4 4"] | None = None
    """Rotation of each view's camera in a z-up world; None: all are level."""


def bits_at(packed: UInt8[np.ndarray, " M/8"], rows: Int[np.ndarray, " R"]) -> Bool[np.ndarray, " R"]:
    """The bits at positions `rows` of an array made by `np.packbits`."""
    return ((packed[rows >> 3] >> (7 - (rows & 7)).astype(np.uint8)) & 1).astype(bool)


def read_split(root: Path, split: str) -> list[str]:
    """Return the entries of `<root>/<split>.json`: paths of objects, relative, whose last two parts name the object."""
    path = root / f"{split}.json"
    try:
        entries = read_json(path)
    except FileNotFoundError:
        hint = "Make a set with: python launch.py prepare data=shapes source=<meshes> output=<folder>"
        raise ShapeFileError(path, "does not exist", hint) from None
    except (OSError, ValueError) as error:
        raise ShapeFileError(path, f"can't be read: {error}") from error
    if not isinstance(entries, list) or not all(isinstance(entry, str) and entry for entry in entries):
        raise ShapeFileError(path, "expected a JSON list of texts, one path per object")
    wrong = [entry for entry in entries if entry[0] == "/" or "\0" in entry or _ends_upwards(entry)]
    if wrong:
        raise ShapeFileError(path, f"'{wrong[0][:80]}' is no relative path of an object, as '../geometry/shard/name'")
    return entries


def write_split(root: Path, split: str, entries: Sequence[str]) -> Path:
    """Write the list of a split, whole or not at all."""
    return write_json(root / f"{split}.json", list(entries))


def shape_id(entry: str) -> str:
    """Return `<shard>/<uid>` of a split's entry: its last two parts, also where it leads upwards, as in published sets.

    What is written about an object goes by this name, never by the entry's path.
    """
    return "/".join(Path(entry).parts[-2:])


def read_arrays(path: Path) -> ShapeArrays:
    """Read an object's geometry: a folder of the first layout, or `<path>.npz` with signed distances."""
    if path.is_dir():
        return _read_folder(path)
    file = path.with_name(f"{path.name}.npz")
    if file.is_file():
        return _read_distances(file)
    raise ShapeFileError(path, "no such object: neither this folder nor a file with this name and the suffix .npz")


def write_arrays(folder: Path, arrays: ShapeArrays) -> Path:
    """Write an object's geometry as a folder of the first layout, whole or not at all; points become float16.

    The occupancy should have been tested on points that were rounded to float16 already.
    """
    if arrays.occupancy is None:
        raise ValueError("only occupancy is written; sdf is read only")
    frame: dict[str, Any] = {"loc": np.asarray(arrays.loc, np.float64), "scale": np.float64(arrays.scale * FILE_SCALE)}
    surface = arrays.surface.astype(np.float16)
    with atomic_folder(folder) as temporary:
        cloud: dict[str, Any] = {"points": surface[:, :3] / np.float16(FILE_SCALE), "normals": surface[:, 3:]}
        np.savez(temporary / "pointcloud.npz", **cloud, **frame)
        np.savez(temporary / "points.npz", **_volume(arrays.points, arrays.occupancy), **frame)
        if arrays.near_points is not None and arrays.near_occupancy is not None:
            np.savez(temporary / "near.npz", **_volume(arrays.near_points, arrays.near_occupancy), **frame)
    return folder


def read_views(folder: Path, numbers: Sequence[int], size: int = 0) -> UInt8[np.ndarray, "K S S 4"]:
    """Read the views `numbers` of an object as RGBA, straight alpha; `size` > 0 resamples them to that side.

    Files are `<i>.png`, or `<i:04d>_rgb.jpeg` with an optional `<i:04d>_alpha.jpeg`.
    """
    return np.stack([_read_view(folder, number, size) for number in numbers])


def count_views(folder: Path) -> int:
    """How many views, numbered from 0, an object has."""
    number = 0
    while (folder / f"{number}.png").is_file() or (folder / f"{number:04d}_rgb.jpeg").is_file():
        number += 1
    return number


def read_object(geometry: Path, images: Path) -> ShapeObject:
    """Read everything of an object; ShapeFileError for the first file that can't be."""
    arrays, count = read_arrays(geometry), count_views(images)
    if count == 0:
        return ShapeObject(arrays)
    views = tuple(png_bytes(pixels) for pixels in read_views(images, range(count)))
    return ShapeObject(arrays, views, read_rotations(images))


def png_bytes(pixels: UInt8[np.ndarray, "S S 4"]) -> bytes:
    """One view, encoded."""
    buffer = io.BytesIO()
    PilImage.fromarray(pixels, "RGBA").save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def read_rotations(folder: Path) -> Float[np.ndarray, "V 4 4"] | None:
    """Read `rots.npy`, the rotation of each view's camera in a z-up world; None when there is no such file."""
    path = folder / "rots.npy"
    if not path.is_file():
        return None
    try:
        rotations = read_npy(path)
    except UNREADABLE as error:
        raise ShapeFileError(path, f"can't be read: {error}") from error
    return checked_array(path, "array", rotations, (None, 4, 4))


def write_views(
    folder: Path, views: UInt8[np.ndarray, "V S S 4"], rotations: Float[np.ndarray, "V 4 4"] | None = None
) -> Path:
    """Write an object's views as `<i>.png` and, if given, `rots.npy`, whole or not at all."""
    with atomic_folder(folder) as temporary:
        for number, pixels in enumerate(views):
            (temporary / f"{number}.png").write_bytes(png_bytes(pixels))
        if rotations is not None:
            np.save(temporary / "rots.npy", np.asarray(rotations, np.float64))
    return folder


def _volume(points: np.ndarray, occupancy: np.ndarray) -> dict[str, Any]:
    return {"points": points.astype(np.float16) / np.float16(FILE_SCALE), "occupancies": occupancy}


def _read_folder(folder: Path) -> ShapeArrays:
    """The first layout: pointcloud.npz, points.npz and, of our own, near.npz."""
    cloud = _read_npz(
        folder / "pointcloud.npz", {"points": (None, 3), "normals": (None, 3)}, {"loc": (3,), "scale": ()}
    )
    if len(cloud["points"]) != len(cloud["normals"]):
        problem = f"{len(cloud['points'])} points but {len(cloud['normals'])} normals"
        raise ShapeFileError(folder / "pointcloud.npz", problem)
    near = folder / "near.npz"
    points, occupancy = _read_volume(folder / "points.npz")
    near_points, near_occupancy = _read_volume(near) if near.is_file() else (None, None)
    return ShapeArrays(
        surface=np.concatenate([_doubled(cloud["points"]), cloud["normals"]], axis=1),
        points=points,
        occupancy=occupancy,
        near_points=near_points,
        near_occupancy=near_occupancy,
        loc=_triple(cloud.get("loc", np.zeros(3))),
        scale=float(cloud.get("scale", FILE_SCALE)) / FILE_SCALE,
    )


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z


def _read_volume(path: Path) -> tuple[np.ndarray, np.ndarray]:
    arrays = _read_npz(path, {"points": (None, 3), "occupancies": (None,)})
    check_bits(path, "key 'occupancies'", arrays["occupancies"], len(arrays["points"]))
    return _doubled(arrays["points"]), arrays["occupancies"]


def _read_distances(path: Path) -> ShapeArrays:
    """One npz in the box [-1, 1]^3; its distances are positive inside."""
    wanted = {"surface": (None, 6), "rand_points": (None, 3), "sdfs": (None,)}
    arrays = _read_npz(path, wanted)
    if len(arrays["rand_points"]) != len(arrays["sdfs"]):
        problem = f"{len(arrays['rand_points'])} rand_points but {len(arrays['sdfs'])} sdfs"
        raise ShapeFileError(path, problem)
    return ShapeArrays(surface=arrays["surface"], points=arrays["rand_points"], sdf=-arrays["sdfs"])


def _read_npz(
    path: Path, wanted: Mapping[str, tuple[int | None, ...]], optional: Mapping[str, tuple[int, ...]] | None = None
) -> dict[str, np.ndarray]:
    """The arrays of an npz by key, with their shapes (None: any positive length); `optional` ones may be missing."""
    shapes = {**wanted, **(optional or {})}
    try:
        keys, arrays = read_npz(path, shapes)
    except FileNotFoundError:
        raise ShapeFileError(path, "does not exist") from None
    except UNREADABLE as error:
        raise ShapeFileError(path, f"can't be read: {error}") from error
    for key in wanted:
        if key not in arrays:
            raise ShapeFileError(path, f"key '{key}' is missing, found {', '.join(keys) or 'nothing'}")
    for key, array in arrays.items():
        checked_array(path, f"key '{key}'", array, shapes[key])
    return arrays


def checked_array(path: Path, what: str, array: Any, shape: tuple[int | None, ...]) -> Shaped[np.ndarray, "..."]:
    """Return `array` if it has numbers of this shape (None: any positive length), none of them NaN or infinite.

    Else ShapeFileError, which names the file `path` and `what` in it.
    """
    fits = len(array.shape) == len(shape) and all(
        have == want or (want is None and have > 0) for have, want in zip(array.shape, shape, strict=False)
    )
    if not fits:
        expected = ", ".join("n" if length is None else str(length) for length in shape)
        raise ShapeFileError(path, f"{what}: shape {array.shape}, expected ({expected})")
    if array.dtype.kind not in "fiu":
        raise ShapeFileError(path, f"{what}: {array.dtype}, expected numbers")
    if not _all_finite(array):
        raise ShapeFileError(path, f"{what}: holds NaN or infinity")
    return array


def check_bits(path: Path, what: str, bits: np.ndarray, count: int) -> None:
    """Raise ShapeFileError unless `bits` are the packed bits of `count` points."""
    length = -(-count // 8)
    if bits.dtype != np.uint8 or bits.shape != (length,):
        expected = f"packed bits (uint8) of {count} points in {length} bytes"
        raise ShapeFileError(path, f"{what}: {bits.dtype} of shape {bits.shape}, expected {expected}")


def _all_finite(array: np.ndarray) -> bool:
    """Whether no number is NaN or infinite; half precision, in which sets are stored, is told by its exponent bits."""
    if array.dtype == np.float16:
        return bool(((array.view(np.uint16) & 0x7C00) != 0x7C00).all())
    return bool(np.isfinite(array).all())


def _doubled(points: np.ndarray) -> np.ndarray:
    """Points of the unit box in the framework's box; exact in any float type."""
    return points * points.dtype.type(FILE_SCALE)


def resized_view(path: Path, source: Path | BinaryIO, size: int) -> UInt8[np.ndarray, "S S 4"]:
    """Decode one square RGBA view, resampled to `size` pixels if that isn't 0; `path` is named in errors."""
    return _square(path, _open_picture(path, "RGBA", source), size)


def _read_view(folder: Path, number: int, size: int) -> UInt8[np.ndarray, "S S 4"]:
    path = folder / f"{number}.png"
    if path.is_file():
        return resized_view(path, path, size)
    path = folder / f"{number:04d}_rgb.jpeg"
    if not path.is_file():
        raise ShapeFileError(folder / f"{number}.png", f"no such view, nor {path.name}")
    picture = _open_picture(path, "RGBA", path)
    mask = folder / f"{number:04d}_alpha.jpeg"
    if mask.is_file():
        picture.putalpha(_open_picture(mask, "L", mask).resize(picture.size))
    return _square(path, picture, size)


def _open_picture(path: Path, mode: str, source: Path | BinaryIO) -> PilImage.Image:
    try:
        with opened_picture(source, formats=("PNG", "JPEG")) as picture:
            return picture.convert(mode)
    except FileNotFoundError:
        raise ShapeFileError(path, "does not exist") from None
    except UNREADABLE_PICTURE as error:
        raise ShapeFileError(path, f"can't be read as a picture: {error}") from error


def _square(path: Path, picture: PilImage.Image, size: int) -> UInt8[np.ndarray, "S S 4"]:
    if picture.width != picture.height:
        raise ShapeFileError(path, f"{picture.width} x {picture.height} pixels, expected a square view")
    if size and picture.width != size:
        picture = picture.resize((size, size), PilImage.Resampling.LANCZOS)  # PIL premultiplies RGBA here
    return np.asarray(picture)


def _ends_upwards(entry: str) -> bool:
    """Whether the name of an object is none; the first test alone is fast, for lists of a million."""
    return ".." in entry and ".." in shape_id(entry).split("/")
