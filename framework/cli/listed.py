"""Values of a sweep: `a,b,c` and `range(start,end[,step])` are lists, unless they stand in brackets or quotes."""

import math
import re
from decimal import Decimal

from framework.config.errors import ConfigError

CLOSING = {"(": ")", "[": "]", "{": "}"}
NUMBER = r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*"
RANGE = re.compile(rf"range\({NUMBER},{NUMBER}(?:,{NUMBER})?\)")


def listed_values(key: str, text: str, most: int) -> list[str]:
    """Return the values that `text` lists, or only `text` when it is one value.

    ConfigError for an empty or repeated value, a range that gives nothing, and more than `most` values.
    """
    parts = _split(key, text)
    if len(parts) == 1 and not _is_range(parts[0]):
        return [text]
    values = [value for part in parts for value in (_range(key, part, most) if _is_range(part) else [part])]
    if "" in values:
        raise ConfigError(key, f"a value is missing between the commas of '{text}'.")
    repeated = next((value for value in values if values.count(value) > 1), None) if len(values) <= most else None
    if repeated is not None:
        raise ConfigError(key, f"{repeated} is listed twice.")
    return values


def _split(key: str, text: str) -> list[str]:
    """Cut at the commas that stand in no bracket and no quotes; a quote counts where a value can begin."""
    parts, closing, quote, before = [""], "", "", ","
    for character in text:
        if quote:
            quote = "" if character == quote and before != "\\" else quote
        elif character in "'\"" and before in ",([{:=":
            quote = character
        elif character in CLOSING:
            closing += CLOSING[character]
        elif closing and character == closing[-1]:
            closing = closing[:-1]
        elif character == "," and not closing:
            parts.append("")
            before = character
            continue
        parts[-1] += character
        before = character if not character.isspace() else before
    if (quote or closing) and "," in text:
        hint = f"To give it as one value, put quotes around it: {key}=\"'...'\"."
        raise ConfigError(key, f"'{text}' lacks {quote or closing[-1]}. {hint}")
    return [part.strip() for part in parts]


def _is_range(part: str) -> bool:
    return part.startswith("range(") and part.endswith(")")


def _range(key: str, part: str, most: int) -> list[str]:
    """The numbers of a range without its end, as text; decimals stay exact (0.1, 0.2, 0.3)."""
    match = RANGE.fullmatch(part)
    if match is None:
        raise ConfigError(key, f"{part} is not understood. Expected range(start,end) or range(start,end,step).")
    start, end, step = (Decimal(number or 1) for number in match.groups())
    if step == 0 or (end - start) / step <= 0:
        raise ConfigError(key, f"{part} gives no value: from {start} to below {end} in steps of {step}.")
    if (end - start) / step > most:
        raise ConfigError(key, f"{part} gives more than {most} values.")
    return [f"{start + index * step:f}" for index in range(math.ceil((end - start) / step))]
