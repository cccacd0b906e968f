"""Containers of arrays, looked at before a library reads them: a list of a million entries alone takes gigabytes."""

from pathlib import Path

from safetensors import SafetensorError

from framework.artifacts.reading import checked_size

LONGEST_HEADER = 4 * 2**20
"""Bytes of a safetensors header; one of a thousand tensors has 100,000."""
LONGEST_DIRECTORY = 16 * 2**20
"""Bytes that list the members of a zip archive; a checkpoint of a thousand tensors has 60,000."""
UNREADABLE_TENSORS = (SafetensorError, OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError)
"""What reading a damaged safetensors file, or one of a type that the reader has not, raises."""

_END, _END_BYTES, _LONGEST_COMMENT = b"PK\5\6", 22, 2**16


def check_tensor_file(path: Path) -> None:
    """Raise ValueError for a safetensors file with an endless header, or for what is no file; OSError for nothing."""
    checked_size(path)
    with path.open("rb") as file:
        check_tensor_header(file.read(8))


def check_tensor_header(beginning: bytes) -> None:
    """Raise ValueError when the first eight bytes of a safetensors buffer promise an endless header."""
    length = int.from_bytes(beginning[:8], "little")
    if length > LONGEST_HEADER:
        raise ValueError(f"its header would have {length} bytes, more than {LONGEST_HEADER}")


def check_zip(path: Path) -> None:
    """Raise ValueError for a zip archive with an endless list of members, or for what is no file; OSError for nothing.

    A file without such a list passes: the library says that it is no archive.
    """
    size = checked_size(path)
    with path.open("rb") as file:
        file.seek(max(0, size - _END_BYTES - _LONGEST_COMMENT))
        end = file.read()
    place = end.rfind(_END)
    length = int.from_bytes(end[place + 12 : place + 16], "little") if place >= 0 else 0
    if length > LONGEST_DIRECTORY:
        raise ValueError(f"the list of its members would have {length} bytes, more than {LONGEST_DIRECTORY}")
