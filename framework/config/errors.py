"""The error of a wrong option: which one, and what is wrong with it."""


class ConfigError(ValueError):
    """An option is wrong; the text begins with its full path, as `system.optimizer.betas: ...`."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message

    def below(self, parent: str) -> "ConfigError":
        """Return the same error seen from outside: its path continues `parent`."""
        return ConfigError(join(parent, self.path), self.message)


def join(path: str, key: str | int) -> str:
    """Return the path of `key` inside `path`."""
    return ".".join(str(part) for part in (path, key) if part != "")
