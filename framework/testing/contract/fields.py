"""Options that nobody reads, found by name in the source."""

import ast
import dataclasses
import functools
import importlib
from collections.abc import Iterable
from pathlib import Path


def attributes_read(files: Iterable[Path]) -> frozenset[str]:
    """Return the names of all attributes that some code in `files` reads.

    What a dataclass checks of itself in `__post_init__` is no use of it.
    """
    return frozenset().union(*map(_read_in, files))


def dataclasses_in(module: str) -> list[type]:
    """Return the dataclasses that a module defines."""
    found = vars(importlib.import_module(module)).values()
    return [
        cls for cls in found if isinstance(cls, type) and dataclasses.is_dataclass(cls) and cls.__module__ == module
    ]


@functools.cache
def _read_in(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    checks = {id(inner) for node in ast.walk(tree) if _is_check(node) for inner in ast.walk(node)}
    return frozenset(node.attr for node in ast.walk(tree) if _is_read(node) and id(node) not in checks)  # type: ignore[attr-defined]


def _is_check(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "__post_init__"


def _is_read(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
