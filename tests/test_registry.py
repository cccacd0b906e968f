"""The registry: nothing heavy is imported, and each kind of failure says what it is."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from framework import registry
from framework.registry import Entry, FailedToImport, MethodSpec, NotRegistered, Registry

ROOT = Path(__file__).parent.parent


def spec(name: str) -> MethodSpec:
    entry = Entry("collections:OrderedDict", "collections:Counter", "something")
    return MethodSpec(name=name, summary="a method", systems={"net": entry}, stages={"draw": entry})


def broken() -> MethodSpec:
    raise FailedToImport("plugin:SPEC", ModuleNotFoundError("No module named 'missing'"))


def test_parts_are_named_after_their_method() -> None:
    table = Registry({"ours": lambda: spec("ours")})
    assert "ours/net" in table.names("system")
    assert "ours/draw" in table.names("stage")
    assert table.entry("system", "ours/net").summary == "something"
    assert table.methods()["ours"].summary == "a method"


def test_unknown_name_has_the_nearest() -> None:
    table = Registry({"ours": lambda: spec("ours")})
    with pytest.raises(NotRegistered, match=r"system 'ours/nett' is not registered\. Nearest: ours/net\."):
        table.entry("system", "ours/nett")
    with pytest.raises(NotRegistered, match="Known: auto, .*torch"):
        table.entry("renderer", "qqqq")


def test_broken_method_warns_once_and_only_its_names_are_off() -> None:
    table = Registry({"bad": broken, "ours": lambda: spec("ours")})
    with pytest.warns(UserWarning, match="method 'bad' is off: .*missing"):
        assert list(table.methods()) == ["ours"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "ours/net" in table.names("system")
        with pytest.raises(FailedToImport, match="missing"):
            table.entry("system", "bad/net")


def test_one_name_imports_one_method_only() -> None:
    table = Registry({"bad": broken, "ours": lambda: spec("ours")})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table.entry("system", "ours/net")
        table.entry("data", "procedural")


def test_failed_import_chains_its_cause() -> None:
    with pytest.raises(FailedToImport, match="'no_such_package.module:Name' failed to import") as caught:
        registry.import_object("no_such_package.module:Name")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    with pytest.raises(FailedToImport, match="AttributeError"):
        registry.import_object("pathlib:NoSuchName")


def test_registering_a_taken_name_is_an_error() -> None:
    table = Registry({})
    table.register("data", "mine", Entry("a:B", "a:C"))
    assert table.entry("data", "mine").target == "a:B"
    with pytest.raises(ValueError, match="registered already: a:B"):
        table.register("data", "mine", Entry("a:B", "a:C"))


def run_with(plugins: Path, code: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": f"{ROOT}:{plugins}", "PATH": ""}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)


def install(folder: Path, name: str, body: str) -> None:
    """What pip leaves behind for a package with an entry point."""
    (folder / f"{name}.py").write_text(body)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[atelier3d.methods]\n{name} = {name}:SPEC\n")


def test_installed_package_brings_a_method(tmp_path: Path) -> None:
    spec = "MethodSpec(name='sixth', summary='s', systems={'net': Entry('a:B', 'a:C')})"
    body = f"from framework.registry import Entry, MethodSpec\nSPEC = {spec}"
    install(tmp_path, "sixth", body)
    install(tmp_path, "broken", "raise RuntimeError('no luck')")
    done = run_with(tmp_path, "from framework import registry; print(registry.names('system'))")
    assert "'sixth/net'" in done.stdout
    assert done.stderr.count("method 'broken' is off") == 1
    assert "no luck" in done.stderr


def test_every_name_leads_to_a_config_without_torch() -> None:
    code = (
        "import sys; from framework import registry\n"
        "for kind in ('system', 'stage', 'data', 'encoder', 'renderer', 'task'):\n"
        "    for name in registry.names(kind): registry.config_class(kind, name)\n"
        "print([name for name in ('torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("kind", ["system", "stage", "data", "encoder", "renderer", "task"])
def test_every_name_leads_to_its_code(kind: str) -> None:
    for name in registry.names(kind):
        assert callable(registry.load_class(kind, name))
