"""The examples of `docs/surfaces.md` do what the page says."""

import re
from pathlib import Path

from framework.geometry.mesh import Mesh

PAGE = Path(__file__).parents[2] / "docs" / "surfaces.md"


def test_the_examples_of_the_page_give_closed_meshes() -> None:
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict = {}
    for example in examples:
        exec(example, names)
    ball = Mesh(names["large"].detach().numpy(), names["faces"].numpy())
    assert ball.is_watertight
    assert abs(ball.bounds[1, 0] - 0.4) < 0.01
    assert names["raw"].grad.abs().sum() > 0
    carved = names["carved"]
    assert Mesh(carved.positions.numpy(), carved.faces.numpy()).is_watertight
    assert carved.losses[-1] < 0.15 * carved.losses[0]
