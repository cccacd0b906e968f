"""The verbs: one options dataclass and one function `run(options) -> exit code` each."""
