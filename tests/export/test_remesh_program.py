"""Programs of the user's, stood in for by small scripts."""

import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from framework.export.remesh_program import ProgramError, remesh_with
from framework.geometry.mesh import Mesh

BOX = trimesh.creation.box((1, 1, 1))
MESH = Mesh(BOX.vertices, BOX.faces, vertex_colors=np.asarray(BOX.vertices) + 0.5)


def program(folder: Path, body: str) -> str:
    """A command that runs `body` with input, output and faces as arguments."""
    script = folder / "a program.py"
    script.write_text(f"import sys\nsource, target, faces = sys.argv[1:]\n{body}\n")
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(script))} {{input}} {{output}} {{faces}}"


def test_the_programs_mesh_comes_back_with_colours(tmp_path: Path) -> None:
    square = "v 0.5 0.5 -0.5\nv 0.5 0.5 0.5\nv -0.5 0.5 0.5\nv -0.5 0.5 -0.5\nf 1 4 3 2\n"
    body = f"assert faces == '40' and open(source).read().count('f ') == 12\nopen(target, 'w').write({square!r})"
    result = remesh_with(MESH, program(tmp_path, body), faces=40)
    assert len(result.faces) == 2  # a quad as two triangles
    assert result.vertex_colors is not None
    np.testing.assert_allclose(result.vertex_colors[:, :3], result.vertices + 0.5, atol=1e-6)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("print('too coarse', file=sys.stderr); sys.exit(3)", "exit code 3: too coarse"),
        ("sys.exit(2)", "exit code 2: no message"),
        ("pass", "wrote no file"),
        ("open(target, 'w').write('v 0 0 0')", "gave no mesh"),
        ("import time; time.sleep(60)", "did not end within 1 s"),
    ],
)
def test_what_went_wrong_is_told(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        remesh_with(MESH, program(tmp_path, body), faces=10, timeout_seconds=1 if "sleep" in body else 60)


def test_commands_that_can_not_work() -> None:
    with pytest.raises(ProgramError, match=r"\{input\} and \{output\} must stand"):
        remesh_with(MESH, "remesher -f {faces}", faces=10)
    with pytest.raises(ProgramError, match="Install it or give its full path"):
        remesh_with(MESH, "no-such-program {input} {output}", faces=10)
    with pytest.raises(ProgramError, match="must stand"):
        remesh_with(MESH, "", faces=10)
