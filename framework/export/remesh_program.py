"""A program of the user's (for quads, even triangles, ...) as a step: it gets a mesh file and gives one back.

| program | command |
| --- | --- |
| Instant Meshes | `InstantMeshes {input} -o {output} -f {faces}` |
| QuadriFlow | `quadriflow -i {input} -o {output} -f {faces}` |
"""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from framework.export.mesh_files import load_mesh, save_mesh
from framework.geometry.mesh import Mesh, MeshError


class ProgramError(RuntimeError):
    """The program is missing, failed, took too long or gave no mesh: says which, with its own last words."""


def remesh_with(mesh: Mesh, command: str, faces: int, timeout_seconds: float = 600.0) -> Mesh:
    """What the program of `command` makes of `mesh` when asked for about `faces` faces; quads come back as triangles.

    `command` is split into words like a shell would, but no shell runs; `{input}` and `{output}` stand for OBJ files
    and `{faces}` for the number. Vertex colours come from the nearest old vertex, materials are dropped. Raises
    ProgramError, before the program is started if `command` names no input or output.
    """
    words = shlex.split(command)
    missing = [mark for mark in ("{input}", "{output}") if not any(mark in word for word in words)]
    if missing:
        raise ProgramError(f"command '{command}': {' and '.join(missing)} must stand where the program wants its files")
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "input.obj", Path(folder) / "output.obj"
        save_mesh(Mesh(mesh.vertices, mesh.faces), source)
        marks = {"{input}": str(source), "{output}": str(target), "{faces}": str(faces)}
        _run([_filled(word, marks) for word in words], timeout_seconds)
        if not target.is_file():
            raise ProgramError(f"{words[0]} ended well but wrote no file to {{output}}. Does the command name it?")
        try:
            result = load_mesh(target)
        except MeshError as error:
            raise ProgramError(f"{words[0]} gave no mesh: {error}") from error
    if mesh.vertex_colors is None:
        return result
    from scipy.spatial import cKDTree

    return replace(result, vertex_colors=mesh.vertex_colors[cKDTree(mesh.vertices).query(result.vertices)[1]])


def _filled(word: str, marks: dict[str, str]) -> str:
    for mark, value in marks.items():
        word = word.replace(mark, value)
    return word


def _run(words: list[str], timeout_seconds: float) -> None:
    try:
        done = subprocess.run(words, capture_output=True, timeout=timeout_seconds, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        message = f"{words[0]} did not end within {timeout_seconds:g} s. Ask for fewer faces or more time"
        raise ProgramError(message) from error
    except OSError as error:
        raise ProgramError(f"{words[0]} can't be run: {error.strerror}. Install it or give its full path") from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise ProgramError(f"{words[0]} failed with exit code {done.returncode}: {said[-1] if said else 'no message'}")
