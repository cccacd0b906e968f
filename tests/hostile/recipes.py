"""Hostile recipes and presets: YAML files that an installed package brings, chosen by their names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tests.hostile.files import Content, put
from tests.hostile.sandbox import Hostile
from tests.hostile.weights import texts

WHOLE = """# @package _global_
defaults:
  - override /system: craftsman/autoencoder
  - override /data: shapes
data: {root: absent}
"""
LIST = ("list", "experiments", "trap/*")


def recipes() -> Iterator[Hostile]:
    """All of them, the same ones each time."""
    for name, content in (*texts(), *_recipes()):
        # What is said to Hydra counts for nothing here: the training begins, and misses its set.
        yield _case(f"experiment-{name}", content, says="absent" if name == "value-hydra" else "chosen.yaml")
    for name, content in (("device", lambda path: path.symlink_to("/dev/zero")), ("pipe", os.mkfifo)):
        # What is no file is no choice.
        yield _case(f"experiment-{name}", content, says="trap/chosen' does not exist")
        yield _case(f"list-{name}", content, LIST, says="No experiments")
    yield _case("list-binary", bytes(range(256)) * 100, LIST, may_load=True)


def _case(
    name: str,
    content: Content,
    words: tuple[str, ...] = ("train", "experiment=trap/chosen", "output=out", "device=cpu"),
    says: str = "chosen.yaml",
    may_load: bool = False,
) -> Hostile:
    def write(folder: Path) -> None:
        put(folder / "trap" / "configs" / "experiment" / "trap" / "chosen.yaml", content)
        info = folder / "trap-1.0.dist-info"
        put(info / "METADATA", b"Metadata-Version: 2.1\nName: trap\nVersion: 1.0\n")
        put(info / "entry_points.txt", b"[atelier3d.configs]\ntrap = trap.configs\n")

    return Hostile(f"recipe-{name}", write, words, says=says, may_load=may_load, installed=True)


def _recipes() -> Iterator[tuple[str, bytes]]:
    """Recipes that ask for code, for other files, for themselves, or for what is not there."""
    changes = {
        "target": "system: {_target_: os.system, command: touch owned}",
        "type-code": "system: {type: os.system}",
        "environment": "system: {type: '${oc.env:HOME}'}",
        "endless": "seed: ${trainer.max_steps}\ntrainer: {max_steps: '${seed}'}",
        "resolver": "seed: ${no_such:1}",
        "half": "seed: ${",
        "twice": "seed: 1\nseed: two",
        "tab": "trainer:\n\tmax_steps: 2",
        "conflict": "<<<<<<< ours\nseed: 1\n=======\nseed: 2\n>>>>>>> theirs",
        "hydra": "hydra: {run: {dir: ../../owned}, job: {chdir: true}}",
        "unknown": "sede: 1",
        "list": "trainer: [1, 2]",
    }
    for name, lines in changes.items():
        yield f"value-{name}", f"{WHOLE}{lines}\n".encode()
    defaults = {
        "itself": "- trap/chosen",
        "upward": "- ../../../../../secret/secret",
        "absolute": "- /etc/passwd",
        "launcher": "- override /hydra/launcher: owned",
        "nothing": "- override /system: nothing/here",
        "mapping": "a: {b: c}",
        "place": "- /data@..owned: shapes",
    }
    for name, lines in defaults.items():
        yield f"defaults-{name}", f"# @package _global_\ndefaults:\n  {lines}\n".encode()
    yield "package", WHOLE.replace("_global_", "../../owned").encode()
