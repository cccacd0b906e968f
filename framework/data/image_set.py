"""A set of square pictures at several sizes in one LMDB folder, in the published layout of StyleGAN2's relatives.

    <set>/data.mdb      "<size>-<index, at least 5 digits>" -> PNG file; "length" -> number of pictures, as text
    <set>/val.json      indexes of pictures that are for validation, and
    <set>/test.json     for the test; both optional and unknown to other readers of this layout

Without such lists a fixed rule of the index says what is held back from training.

Legend: S side of a picture in pixels.
"""

from __future__ import annotations

import io
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from PIL import Image as PilImage

from framework.artifacts.picture_files import MAX_PIXELS, UNREADABLE, TooManyPixels, opened_picture
from framework.artifacts.reading import read_json
from framework.data.lmdb_reading import LmdbError, LmdbFile, opened_lmdb

SET_FILE, UNFINISHED_FILE = "data.mdb", "unfinished.mdb"
"""The set, and what `prepare` has of it before it is whole."""

LENGTH = b"length"
HELD_BACK = ("val", "test")
"""Splits that have a list each; what is in neither is for training."""

_GOLDEN = 0.6180339887498949
_MOST = 10**9


class ImageSetError(ValueError):
    """A set of pictures can't be read: says which file and key, what was expected, and what to do."""

    def __init__(self, path: Path, problem: str, hint: str = "") -> None:
        super().__init__(f"{path}: {problem}. {hint}".rstrip(" "))
        self.problem = problem


class ImageSet:
    """The pictures of one set. The file is opened when it is first needed, anew in every process."""

    def __init__(self, root: Path) -> None:
        """Take the folder of a set, or an LMDB file itself; ImageSetError when there is none."""
        self.root = root
        self.path = root if root.is_file() else root / SET_FILE
        self._open: tuple[ExitStack, LmdbFile] | None = None
        if not self.path.is_file():
            raise ImageSetError(root, *_absence(root))

    def length(self) -> int:
        """Return how many pictures there are; ImageSetError when the file doesn't say so or is empty."""
        value = self._get(LENGTH)
        if value is None:
            hint = "Preparing it was interrupted, or it holds something else: prepare it again"
            raise ImageSetError(self.path, "has no key 'length'", hint)
        text = value[:32].decode(errors="replace")
        if not (text.isascii() and text.isdigit() and 0 < int(text) < _MOST):
            raise ImageSetError(
                self.path, f"key 'length' is '{text}', expected the number of pictures", "Prepare again"
            )
        return int(text)

    def sizes(self) -> list[int]:
        """Return the sizes that picture 0 is there at, ascending. Goes through all keys."""
        try:
            first = [key.partition(b"-")[0] for key in self._file() if key.endswith(b"-00000")]
        except (LmdbError, OSError) as error:
            raise _unreadable(self.path, error) from error
        return sorted(int(size) for size in first if size.isdigit())

    def resolution(self, wanted: int | None, least: int) -> int:
        """Return `wanted`, or without it the smallest size of at least `least`; ImageSetError if the set lacks it."""
        if wanted is not None and self._get(picture_key(wanted, 0)) is not None:
            return wanted
        sizes = self.sizes()
        present = ", ".join(map(str, sizes)) or "none"
        fitting = [size for size in sizes if size >= least] if wanted is None else []
        if not fitting:
            lacking = f"no pictures of {least} pixels or more" if wanted is None else f"no pictures of {wanted} pixels"
            hint = "Choose one of these with data.resolution, or prepare the set again with data.sizes"
            raise ImageSetError(self.path, f"holds {lacking}; sizes present: {present}", hint)
        return fitting[0]

    def check_last(self, size: int) -> None:
        """ImageSetError unless the last picture that `length` promises is there at `size`."""
        length = self.length()
        key = picture_key(size, length - 1)
        if self._get(key) is None:
            problem = f"has no key '{key.decode()}', but 'length' says that there are {length} pictures"
            raise ImageSetError(self.path, problem, "It is damaged or not whole: prepare it again")

    def png(self, size: int, index: int) -> bytes:
        """Return the file of a picture; ImageSetError when the set lacks it or can't be read."""
        key = picture_key(size, index)
        value = self._get(key)
        if value is None:
            hint = "The set is not whole: prepare it again"
            raise ImageSetError(self.path, f"has no key '{key.decode()}'", hint)
        return value

    def picture(self, size: int, index: int) -> PilImage.Image:
        """Return a picture, decoded, as RGB (S x S); ImageSetError when it is none of that size."""
        value, key = self.png(size, index), picture_key(size, index).decode()
        try:
            with opened_picture(io.BytesIO(value), max_pixels=min(size * size, MAX_PIXELS)) as picture:
                kind = f"{picture.width} x {picture.height} pixels of mode {picture.mode}"
                if (picture.size, picture.mode) != ((size, size), "RGB"):
                    problem = f"key '{key}' holds {kind}, expected {size} x {size} of mode RGB"
                    raise ImageSetError(self.path, problem, "Prepare the set again")
                picture.load()
                return picture.copy()
        except ImageSetError:
            raise
        except TooManyPixels as error:
            problem = f"key '{key}' holds a picture that {error}, expected {size} x {size}"
            raise ImageSetError(self.path, problem, "Prepare the set again") from error
        except PilImage.UnidentifiedImageError as error:
            raise ImageSetError(self.path, f"key '{key}' is no PNG file", "Prepare the set again") from error
        except UNREADABLE as error:
            problem = f"key '{key}' is a PNG file that is damaged or cut off ({error})"
            raise ImageSetError(self.path, problem, "Prepare the set again") from error

    def indexes(self, split: str, val_fraction: float, test_fraction: float) -> list[int]:
        """Return the pictures of "train", "val" or "test", ascending.

        Where the set has lists, these count; else `split_of` says so. ImageSetError when a list is damaged.
        """
        length = self.length()
        folder = self.path.parent
        if not any((folder / f"{name}.json").is_file() for name in HELD_BACK):
            return [index for index in range(length) if split_of(index, val_fraction, test_fraction) == split]
        lists = {name: read_indexes(folder / f"{name}.json", length) for name in HELD_BACK}
        if split in lists:
            return sorted(lists[split])
        return sorted(set(range(length)).difference(*lists.values()))

    def _file(self) -> LmdbFile:
        if self._open is None:
            stack = ExitStack()
            self._open = stack, stack.enter_context(opened_lmdb(self.path))
        return self._open[1]

    def _get(self, key: bytes) -> bytes | None:
        try:
            return self._file().get(key)
        except (LmdbError, OSError) as error:
            raise _unreadable(self.path, error) from error

    def __getstate__(self) -> dict[str, Any]:
        """Loader processes open the file for themselves."""
        return self.__dict__ | {"_open": None}


def picture_key(size: int, index: int) -> bytes:
    """The key of a picture: `64-00017`."""
    return f"{size}-{index:05d}".encode()


def split_of(index: int, val_fraction: float, test_fraction: float) -> str:
    """The split of a picture in a set without lists: the same whatever else the set holds.

    Multiples of the golden ratio fill [0, 1) evenly, so that any run of indexes gives close to the shares asked for.
    """
    place = (index + 1) * _GOLDEN % 1
    if place < val_fraction:
        return "val"
    return "test" if place < val_fraction + test_fraction else "train"


def read_indexes(path: Path, length: int) -> set[int]:
    """Return the indexes of a list, none where there is no file; ImageSetError for anything but indexes of the set."""
    if not path.is_file():
        return set()
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise ImageSetError(path, f"can't be read: {error}", f"Expected a list of indexes below {length}") from error
    wrong = content if not isinstance(content, list) else [value for value in content if not _is_index(value, length)]
    if wrong or not isinstance(content, list):
        shown = str(wrong[0] if isinstance(wrong, list) and wrong else wrong)[:40]
        raise ImageSetError(path, f"holds {shown}", f"Expected a list of indexes from 0 to {length - 1}")
    return set(content)


def _is_index(value: Any, length: int) -> bool:
    return type(value) is int and 0 <= value < length


def _absence(root: Path) -> tuple[str, str]:
    """What is wrong with a place that holds no set, and what to do."""
    if not root.exists():
        return "does not exist", "Give data.root=<folder that prepare wrote, or an existing LMDB folder>"
    if (root / UNFINISHED_FILE).is_file():
        return "is not finished", "Run the same prepare command again: it goes on where it stopped"
    hint = "Prepare one: launch.py prepare data=image_lmdb source=<pictures> output=<set>"
    return f"holds no {SET_FILE}", hint


def _unreadable(path: Path, error: Exception) -> ImageSetError:
    return ImageSetError(path, f"can't be read as LMDB: {error}", "Copy it again, or prepare it again")
