"""The model card that goes with saved weights."""

import json
from collections.abc import Mapping
from typing import Any


def model_card(name: str, config: Mapping[str, Any], facts: Mapping[str, Any], parameters: int) -> str:
    """Return a model card in Markdown: what the weights are, where they came from, how to load them.

    `parameters` is the number of stored values.
    """
    origin = "\n".join(f"- {key}: {_plain(value)}" for key, value in facts.items()) or "- not recorded"
    return f"""---
library_name: atelier3d
tags:
- {name.split("/")[0]}
- 3d
---
# {name}

Weights of the system `{name}`: {parameters:,} values.

```python
from framework.systems.system import System

system = System.load("<this folder>")
```

## Where they came from
{origin}

## Config
```json
{json.dumps(config, indent=2)}
```
"""


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)
