"""Reading pictures from outside: every common kind, and every way in which a file can be wrong."""

import contextlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from framework.artifacts.picture_files import MAX_PIXELS
from framework.data.pictures import PictureError, read_picture

RED = (200, 30, 10)


def _rgb(height: int = 24, width: int = 32) -> PilImage.Image:
    return PilImage.new("RGB", (width, height), RED)


@pytest.mark.parametrize("name", ["a.png", "a.JPG", "a.jpeg", "a.webp", "a.bmp", "a.gif"])
def test_common_formats(tmp_path: Path, name: str) -> None:
    _rgb().save(tmp_path / name)
    pixels = read_picture(tmp_path / name)
    assert pixels.shape == (24, 32, 3)
    assert pixels.dtype == np.float32
    assert np.abs(pixels[12, 16] * 255 - RED).max() < 6


@pytest.mark.parametrize(("mode", "channels"), [("1", 3), ("L", 3), ("LA", 4), ("P", 3), ("RGBA", 4)])
def test_modes(tmp_path: Path, mode: str, channels: int) -> None:
    _rgb().convert(mode).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").shape == (24, 32, channels)


def test_palette_transparency_becomes_alpha(tmp_path: Path) -> None:
    _rgb().convert("P").save(tmp_path / "a.png", transparency=0)
    assert read_picture(tmp_path / "a.png").shape[2] == 4


def test_16_bit_grey_keeps_its_range(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 32, dtype=np.uint16)
    PilImage.fromarray(np.tile(ramp, (24, 1))).save(tmp_path / "a.png")
    pixels = read_picture(tmp_path / "a.png")
    assert np.allclose(pixels[0, :, 0], ramp / 65535, atol=0.003)


def test_cmyk(tmp_path: Path) -> None:
    _rgb().convert("CMYK").save(tmp_path / "a.jpg")
    assert np.abs(read_picture(tmp_path / "a.jpg")[12, 16] * 255 - RED).max() < 8


def test_exif_rotation_is_undone(tmp_path: Path) -> None:
    picture = _rgb()
    picture.paste((0, 0, 255), (0, 0, 32, 4))  # a blue bar along the top
    exif = picture.getexif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter turn clockwise
    picture.save(tmp_path / "a.jpg", exif=exif, quality=95)
    pixels = read_picture(tmp_path / "a.jpg")
    assert pixels.shape == (32, 24, 3)
    assert pixels[16, -1, 2] > 0.7  # the bar is on the right now
    assert pixels[16, 0, 2] < 0.3


def test_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [_rgb(), PilImage.new("RGB", (32, 24), (0, 0, 255))]
    for name in ("a.gif", "a.webp", "a.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert read_picture(tmp_path / name)[12, 16, 0] > 0.7


def test_reducing_keeps_proportions_and_rim_colours(tmp_path: Path) -> None:
    pixels = np.zeros((100, 50, 4), np.uint8)
    pixels[..., 1] = 255
    pixels[20:80, 10:40] = (255, 0, 0, 255)
    PilImage.fromarray(pixels).save(tmp_path / "a.png")
    small = read_picture(tmp_path / "a.png", longest_side=20)
    assert small.shape == (20, 10, 4)
    assert small[small[..., 3] > 0.1][:, 1].max() < 0.1  # the hidden green stays hidden
    assert read_picture(tmp_path / "a.png", longest_side=200).shape == (100, 50, 4)


def _error(path: Path) -> PictureError:
    with pytest.raises(PictureError) as caught:
        read_picture(path)
    assert str(path) in str(caught.value)
    assert caught.value.hint in str(caught.value)
    return caught.value


def test_missing_folder_and_empty(tmp_path: Path) -> None:
    assert "does not exist" in _error(tmp_path / "a.png").reason
    assert "not a file" in _error(tmp_path).reason
    (tmp_path / "b.png").touch()
    assert "0 bytes" in _error(tmp_path / "b.png").reason


@pytest.mark.parametrize("content", [b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg xmlns='x'/>", b"\x89PNG\r\n\x1a\n"])
def test_not_a_picture(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    assert "picture" in _error(tmp_path / "a.png").reason or "damaged" in _error(tmp_path / "a.png").reason


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp"])
def test_cut_off_files(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    PilImage.fromarray(noise).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    assert "damaged" in _error(tmp_path / name).reason or "not a picture" in _error(tmp_path / name).reason


def test_every_single_damaged_byte_gives_a_picture_or_a_picture_error(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.gif", "a.bmp", "a.webp"):
        _rgb(16, 16).save(tmp_path / name)
        content = bytearray((tmp_path / name).read_bytes())
        rng = np.random.default_rng(0)
        for position in rng.integers(0, len(content), 60):
            damaged = bytearray(content)
            damaged[position] ^= int(rng.integers(1, 256))
            (tmp_path / name).write_bytes(damaged)
            with contextlib.suppress(PictureError):
                read_picture(tmp_path / name)


def _png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(9000, 9000), (12000, 12000), (100_000, 100_000)])
def test_huge_pictures_are_refused_by_their_header(tmp_path: Path, size: tuple[int, int]) -> None:
    assert size[0] * size[1] > MAX_PIXELS
    (tmp_path / "a.png").write_bytes(_png_header(*size))
    error = _error(tmp_path / "a.png")
    assert "pixels" in error.reason
    assert "2048" in error.hint


def test_tiny_pictures_are_refused(tmp_path: Path) -> None:
    _rgb(1, 1).save(tmp_path / "a.png")
    assert "only 1 x 1" in _error(tmp_path / "a.png").reason
