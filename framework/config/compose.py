"""Composition by Hydra: chosen YAML files, ours and those of installed packages, become one plain mapping.

Only group choices (`system=<method>/<system>`) go through Hydra. They are checked first, since Hydra's answer to a
misspelt choice in a nested group lists nothing. Values are set afterwards (`framework.config.overrides`).
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from framework import registry
from framework.artifacts.reading import read_text
from framework.config.errors import ConfigError
from framework.config.folders import choice_files, config_folders

LONGEST_YAML = 200_000
"""Characters of a YAML file beyond which it is none of options; reading more would take many seconds."""


def groups() -> list[str]:
    """Return the names of the groups that a choice can be made in, as `system` or `trainer`."""
    return sorted(folder.name for folder in config_folders()[0].iterdir() if folder.is_dir())


def choices(group: str) -> list[str]:
    """Return all choices of a group, nested ones as `<name>/<preset>`."""
    return list(choice_files(group))


def complete(group: str, choice: str) -> str:
    """Return the full name of a choice (`<name>` -> `<name>/default`); ConfigError with the nearest one."""
    known = choices(group)
    for name in (choice, f"{choice}/default"):
        if name in known:
            return name
    inside = [name for name in known if name.startswith(f"{choice}/")]
    if inside:
        raise ConfigError(group, f"'{choice}' needs a second part: {', '.join(inside)}.")
    raise ConfigError(group, f"'{choice}' does not exist. {registry.suggestion(choice, known)}")


def first_comment(group: str, choice: str) -> str:
    """Return the first line of comment in a choice's file that is not an instruction to Hydra; '' without one."""
    lines = choice_files(group)[choice].read_text(encoding="utf-8", errors="replace").splitlines()
    comments = (line.lstrip("# ") for line in lines if line.startswith("#") and "@package" not in line)
    return next(comments, "")


def compose(chosen: Mapping[str, str]) -> dict[str, Any]:
    """Compose `configs/config.yaml` with the chosen files; interpolations are left for `resolve`.

    `chosen` maps groups to choices, as `{"trainer": "cpu"}`.
    """
    import yaml
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    names = {group: complete(group, name) for group, name in chosen.items()}
    files = [choice_files(group)[name] for group, name in names.items()]
    words = [f"{group}={name}" for group, name in names.items()]
    own, *others = config_folders()
    try:
        for file in files:
            read_yaml(file)  # Hydra would follow nested lists and aliases until the memory is full
        with initialize_config_dir(str(own), version_base="1.3"):
            config = hydra_compose("config", overrides=[*words, *_search_path(others)])
    except (ConfigError, HydraException, OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError) as error:
        shown = files or [own / "config.yaml"]
        raise ConfigError(" ".join(words), f"{_told(error)} (in {', '.join(map(str, shown))})") from error
    return OmegaConf.to_container(config, resolve=False)  # type: ignore[return-value]


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of options, as the `config.yaml` of a run; ConfigError when it is none."""
    try:
        config = parse_yaml(read_text(path, LONGEST_YAML))
    except (OSError, ValueError) as error:
        raise ConfigError(str(path), f"can't be read: {_first_line(error)}") from error
    if not isinstance(config, dict):
        raise ConfigError(str(path), "expected a mapping of options.")
    return config


def parse_yaml(text: str, *, short_numbers: bool = False) -> Any:
    """Return the plain values that YAML `text` stands for; ValueError when it is none.

    Aliases are not read: nine lines of them can stand for gigabytes. `short_numbers` takes `1e-6` for a number, as
    OmegaConf does; to YAML 1.1, and so to what `to_yaml` writes, it is a text.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.events.AliasEvent):
                raise yaml.YAMLError("aliases (*name) are not read")
            return super().compose_node(parent, index)

    if short_numbers:
        number = re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$")
        Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    if len(text) > LONGEST_YAML:
        raise ValueError(f"it has {len(text)} characters, more than {LONGEST_YAML}: that is no file of options")
    try:
        return yaml.load(text, Loader=Loader)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except (yaml.YAMLError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


def resolve(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping with its interpolations (`${seed}`) replaced by what they point to."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return OmegaConf.to_container(OmegaConf.create(dict(config)), resolve=True)  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        raise ConfigError(str(error.full_key or ""), _first_line(error)) from error


def to_yaml(config: Mapping[str, Any]) -> str:
    """Return a plain mapping as YAML text, keys in their order."""
    import yaml

    return yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)


def _search_path(folders: Sequence[Path]) -> list[str]:
    """The override that adds folders to Hydra's search path, behind its own."""
    quoted = ["'file://" + str(folder).replace("'", r"\'") + "'" for folder in folders]
    return [f"hydra.searchpath=[{','.join(quoted)}]"] if quoted else []


def _told(error: BaseException) -> str:
    """What went wrong while files were composed; Hydra's own exception may be silent about its cause."""
    if isinstance(error, ConfigError):
        return error.message
    cause = error if str(error) or error.__cause__ is None else error.__cause__
    return " ".join(str(cause).split()) if type(cause).__module__.startswith("yaml") else _first_line(cause)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
