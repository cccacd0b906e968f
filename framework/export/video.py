"""Frames as a video file: H.264 in MP4 where PyAV is installed, an animated GIF where it is not.

An MP4 is encoded frame by frame as they come, so a generator needs no memory for the whole film; a GIF needs all frames
for its palette. The file appears under its name only when it is complete.
"""

import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from framework.artifacts.atomic import atomic_file
from framework.artifacts.video import Video
from framework.optional import has, require

Frame = NDArray[np.uint8]

QUALITY = 18
"""Constant quality of x264: 0 is without loss, 18 hardly told from the original, 51 the worst."""


def make_video(
    frames: Iterable[Frame], fps: float = 24.0, kind: Literal["mp4", "gif"] | None = None, crf: int = QUALITY
) -> Video:
    """Encode frames as they come, and return the film as an artifact; arguments and errors as of `save_video`."""
    with tempfile.TemporaryDirectory(prefix="film-") as folder:
        return Video.load(save_video(frames, Path(folder) / "film", fps, kind, crf))


def save_video(
    frames: Iterable[Frame],
    path_without_suffix: Path,
    fps: float = 24.0,
    kind: Literal["mp4", "gif"] | None = None,
    crf: int = QUALITY,
) -> Path:
    """Write `frames`, uint8 (H, W, 3) of one size, and return the path.

    kind: none means MP4 with the extra `video`, else GIF; asking for MP4 without it raises MissingExtra. Odd heights
    and widths grow by one pixel, which H.264 needs. crf: quality of an MP4, see `QUALITY`. Raises ValueError for no
    frames, frames of another shape or type, a frame rate that is not positive or a quality that is not known; then
    nothing is written.
    """
    if not fps > 0:
        raise ValueError(f"save_video: fps is {fps}, expected a positive number of frames per second")
    if not 0 <= crf <= 51:
        raise ValueError(f"save_video: crf is {crf}, expected 0 (without loss) to 51")
    as_mp4 = has("av", "VideoFrame") if kind is None else kind == "mp4"
    # Path.with_suffix would eat a part of names such as "chair-v1.5".
    path = path_without_suffix.with_name(path_without_suffix.name + (".mp4" if as_mp4 else ".gif"))
    av = require("av", "video", "VideoFrame", "an MP4") if as_mp4 else None
    checked = _checked(frames)
    with atomic_file(path) as temporary:
        if av is not None:
            _write_mp4(av, checked, temporary, fps, crf)
        else:
            _write_gif(checked, temporary, fps)
    return path


def _checked(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Yield the frames with even sides; raises at the first one that does not fit, or when there is none."""
    expected: tuple[int, ...] | None = None
    for number, frame in enumerate(frames):
        expected = expected or frame.shape
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or frame.shape != expected:
            wanted = f"uint8 {expected} like the first" if number else "uint8 (H, W, 3)"
            raise ValueError(f"save_video: frame {number} is {frame.dtype} {frame.shape}, expected {wanted}")
        height, width, _ = frame.shape
        yield np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    if expected is None:
        raise ValueError("save_video: no frames, expected at least one")


def _write_mp4(av: ModuleType, frames: Iterator[Frame], path: Path, fps: float, crf: int) -> None:
    first = next(frames)
    with av.open(str(path), mode="w", format="mp4", options={"movflags": "faststart"}) as container:
        # With macroblock trees x264 makes one file or another of the same small frames.
        options = {"crf": str(crf), "x264-params": "mbtree=0"}
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=options)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in chain([first], frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _write_gif(frames: Iterator[Frame], path: Path, fps: float) -> None:
    pictures = [Image.fromarray(frame) for frame in frames]
    # One palette for all frames (with one each, plain areas would flicker), from a strip of small copies of some.
    some = [picture.resize((96, 96)) for picture in pictures[:: -(-len(pictures) // 16)]]
    strip = Image.new("RGB", (96 * len(some), 96))
    for number, picture in enumerate(some):
        strip.paste(picture, (96 * number, 0))
    palette = strip.quantize(256, method=Image.Quantize.MEDIANCUT)
    first, *rest = (picture.quantize(palette=palette) for picture in pictures)
    milliseconds = max(20, round(1000 / fps))
    first.save(path, format="GIF", save_all=True, append_images=rest, duration=milliseconds, loop=0)
