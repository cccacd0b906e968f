"""The house rules that can be read off the source: floors, lazy and optional imports, devices, dead options."""

import ast
import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from framework import registry
from framework.testing.contract.fields import attributes_read, dataclasses_in

ROOT = Path(__file__).parent.parent
FLOORS = (
    ("geometry", "artifacts", "registry", "config", "optional"),
    ("data", "renderers", "diffusion", "nets", "export", "weights"),
    ("systems", "pipeline", "trainers", "evaluation", "sweeps"),
    ("cli", "tasks", "testing"),
)
SIDEWAYS = {
    ("artifacts", "geometry"),
    ("config", "artifacts"),
    ("config", "registry"),
    ("data", "renderers"),
    ("export", "renderers"),
    ("weights", "nets"),
    ("trainers", "systems"),
    ("testing", "cli"),
}
"""Imports inside one floor that are allowed; `optional` may be imported by all."""
EXTRAS = {
    *("lmdb", "av", "wandb", "tensorboard", "xatlas", "fast_simplification", "igl", "embreex", "pygltflib"),
    *("smplx", "anny", "warp", "gradio", "viser", "rerun", "rembg", "onnxruntime", "webdataset", "moderngl"),
    *("submitit", "optuna", "nvdiffrast", "pytorch3d", "kaolin", "drtk", "torchvision", "imageio", "cv2", "numba"),
}
"""Import names of packages that no user has to have."""
METHODS = sorted(path.parent.name for path in (ROOT / "methods").glob("*/__init__.py"))
FILES = sorted(path for folder in ("framework", "methods") for path in (ROOT / folder).rglob("*.py"))
CONFIGS = [path for path in FILES if path.stem == "config" or path.stem.endswith("_config")]
"""Modules of options."""


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a file imports, also inside functions."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def floor_of(package: str) -> int:
    return next(number for number, packages in enumerate(FLOORS) if package in packages)


def is_allowed(source: str, target: str) -> bool:
    """Whether a file of module `source` may import `target`."""
    if source == "framework":  # `framework.load` alone reaches up, when it is called
        return target.startswith(("framework.", "typing."))
    here, there = source.split("."), target.split(".")
    if there[0] == "methods":
        return here[0] == "methods" and (len(there) < 2 or here[1:2] == there[1:2])
    if there[0] != "framework" or here[0] == "methods":
        return True
    own, other = here[1], there[1]
    same_or_any = own == other or other in ("optional", "__version__")
    return same_or_any or (own, other) in SIDEWAYS or floor_of(other) < floor_of(own)


def test_every_package_has_a_floor() -> None:
    packages = {
        path.relative_to(ROOT / "framework").parts[0].removesuffix(".py") for path in FILES if "framework" in path.parts
    }
    assert packages - {"__init__"} <= {package for floor in FLOORS for package in floor}


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_file_imports_its_own_package_and_lower_floors(path: Path) -> None:
    wrong = [f"{path}:{line} imports {name}" for line, name in imports(path) if not is_allowed(module_of(path), name)]
    assert not wrong


@pytest.mark.parametrize(
    ("source", "target", "allowed"),
    [
        ("framework.geometry.mesh", "framework.artifacts.image", False),
        ("framework.artifacts.image", "framework.geometry.mesh", True),
        ("framework.data.shapes", "framework.renderers.views", True),
        ("framework.renderers.views", "framework.data.shapes", False),
        ("framework.nets.attention", "framework.systems.system", False),
        ("framework.cli.options", "framework.tasks.train", False),
        ("framework.tasks.train", "framework.trainers.trainer", True),
        ("framework.tasks.train", "methods.one", False),
        ("methods.one.systems", "framework.systems.system", True),
        ("methods.one.systems", "methods.one.config", True),
        ("methods.one.systems", "methods.two.config", False),
    ],
)
def test_the_rule_itself(source: str, target: str, allowed: bool) -> None:
    assert is_allowed(source, target) == allowed


def test_only_one_module_imports_optional_packages() -> None:
    wrong = [
        f"{path}:{line} imports {name}"
        for path in FILES
        for line, name in imports(path)
        if name.split(".")[0] in EXTRAS
    ]
    assert not wrong, "use framework.optional.require"


def test_only_the_edge_sees_hydra() -> None:
    edge = (ROOT / "framework/config", ROOT / "framework/cli")
    inside = [path for path in FILES if path.parent not in edge]
    assert not [path for path in inside for _, name in imports(path) if name.split(".")[0] in ("hydra", "omegaconf")]


def test_no_method_is_named_in_the_framework() -> None:
    """In code; a docstring may cite a paper by its title."""
    for path in FILES:
        if "framework" in path.relative_to(ROOT).parts[:1]:
            words = " ".join(_code_words(tree_of(path))).lower()
            named = [method for method in METHODS if re.search(rf"(?<![a-z]){method}(?![a-z])", words)]
            assert not named, f"{path} names {named}"


def _code_words(tree: ast.Module) -> Iterator[str]:
    """Identifiers and texts of a file, without docstrings."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value
        yield from (str(getattr(node, name)) for name in ("id", "attr", "name", "arg", "module") if hasattr(node, name))


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_habits(path: Path) -> None:
    """No device strings in calls, prints, swallowed errors, star imports, pickles, assertions on what users give."""
    text, tree = path.read_text(encoding="utf-8"), tree_of(path)
    found = [
        f"{path}:{getattr(node, 'lineno', '?')}: {habit}" for node in ast.walk(tree) if (habit := _bad_habit(node))
    ]
    assert not found
    assert text.count("\n") <= 400, f"{path} is too long"
    assert not re.search(r"/(work|home|root|mnt)/", text), f"{path} holds a path of one machine"
    assert path.stem not in ("utils", "common", "misc", "helpers")
    assert ast.get_docstring(tree), f"{path} has no docstring"


def _bad_habit(node: ast.AST) -> str | None:
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        by_name = {"cuda": ".cuda()", "breakpoint": "a debugger statement", "eval": "eval" if _is_bare(node) else None}
        return "print()" if name == "print" and _is_bare(node) else by_name.get(name)
    if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not isinstance(node.body[-1], ast.Raise):
        return "a broad except that does not raise"
    if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
        return "a star import"
    if isinstance(node, ast.Import) and any(alias.name in ("pickle", "dill", "joblib") for alias in node.names):
        return "pickle"
    if isinstance(node, ast.keyword) and node.arg in ("weights_only", "allow_pickle"):
        return "pickle" if getattr(node.value, "value", None) is (node.arg == "allow_pickle") else None
    return None


def _is_bare(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name)


def _is_broad(node: ast.ExceptHandler) -> bool:
    return node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException")


def test_importing_the_framework_costs_nothing() -> None:
    code = "import sys; before = set(sys.modules); import framework; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    roots = {name.partition(".")[0] for name in done.stdout.split()}
    assert roots - sys.stdlib_module_names == {"framework"}
    assert "framework." not in done.stdout


def test_options_import_neither_torch_nor_numpy() -> None:
    _import_all(CONFIGS, "print([name for name in ('torch', 'numpy', 'hydra') if name in sys.modules])", "[]")


def test_everything_imports_without_extras_gpu_or_network() -> None:
    blocked = (
        f"for name in {sorted(EXTRAS)}: sys.modules[name] = None\n"
        "import socket\n"
        "def refuse(*arguments): raise OSError('no network in this test')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
    )
    _import_all(FILES, "import torch; print(torch.cuda.is_initialized())", "False", blocked)


def _import_all(paths: list[Path], last: str, expected: str, first: str = "") -> None:
    """Import the modules in one new process, between two pieces of code; the last one prints `expected`."""
    names = [module_of(path) for path in paths if path.name != "__main__.py"]
    code = f"import sys, importlib\n{first}\nfor name in {names}: importlib.import_module(name)\n{last}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": "", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == expected, done.stderr


def config_classes() -> list[type]:
    """All dataclasses in the modules of options."""
    return [cls for path in CONFIGS for cls in dataclasses_in(module_of(path))]


@cache
def names_read() -> frozenset[str]:
    return attributes_read(FILES)


def test_options_are_in_modules_of_options() -> None:
    """So that the tests of them see all of them."""
    for kind in ("system", "stage", "data", "encoder", "renderer", "task"):
        for name in registry.names(kind):
            module = registry.entry(kind, name).config.partition(":")[0]
            assert module.endswith((".config", "_config")), name


def test_an_option_that_nobody_reads_is_found(tmp_path: Path) -> None:
    """What sets it, checks it in its own class, or merely has its name is no reader."""
    file = tmp_path / "config.py"
    file.write_text(
        "class Config:\n"
        "    used: int\n    checked: int\n    written: int\n    named: int\n"
        "    def __post_init__(self):\n        assert self.checked\n"
        "def use(config, named):\n    config.written = named\n    return config.used\n"
    )
    assert attributes_read([file]) == {"used"}


@pytest.mark.parametrize("cls", config_classes(), ids=lambda cls: cls.__qualname__)
def test_every_option_is_read_and_explained(cls: type) -> None:
    from framework.config.describe import field_texts

    fields = [item.name for item in dataclasses.fields(cls)]  # type: ignore[arg-type]
    assert not [name for name in fields if name not in names_read()], "options that nobody reads"
    assert not [name for name in fields if not field_texts(cls).get(name)], "options without a docstring below"
