"""Parallel coordinates as an SVG: an axis per varied key, one for the metric, a line per job."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Literal

from framework.sweeps.job_folder import Result
from framework.sweeps.plan import Job, short_keys
from framework.sweeps.results import ranked, shown_value

TOP, BOTTOM, GAP, MARGIN = 40, 320, 190, 110
"""Ends of the axes, and the space between and beside them, in pixels."""
MOST_LABELS = 15
LONGEST_LABEL = 16
METRIC_LABELS = 5
WORST, BEST = (190, 200, 214), (196, 62, 28)
"""Red, green and blue of the lines."""


def parallel_coordinates(jobs: list[Job], results: Mapping[int, Result]) -> str:
    """Return the `<svg>` of jobs that share a metric, with all texts escaped; the best line is drawn last."""
    order = ranked(jobs, results)
    metric = results[order[0].number].metric
    every = {key: positions([job.values[key] for job in jobs]) for key in order[0].values}
    keys = [key for key, places in every.items() if len(places) > 1] or list(every)  # an axis of one value says nothing
    names, values = short_keys(dict.fromkeys(keys, "")), [every[key] for key in keys]
    low, high = (pick(float(results[job.number].best or 0) for job in jobs) for pick in (min, max))
    axes = [_axis(index, names[index], places) for index, places in enumerate(values)]
    axes.append(_axis(len(values), metric, _scale(low, high), side=1))
    lines = []
    for rank, job in reversed(list(enumerate(order))):
        heights = [every[key][job.values[key]] for key in keys]
        heights.append(_share(float(results[job.number].best or 0), low, high))
        title = f"{job.name}: {metric} {shown_value(results[job.number].best)}"
        lines.append(_line(heights, 1 - rank / max(1, len(order) - 1), title, best=rank == 0))
    width = 2 * MARGIN + GAP * len(values)
    head = f'<svg viewBox="0 0 {width} {BOTTOM + 20}" width="{width}" height="{BOTTOM + 20}" role="img">'
    return "\n".join([head, *lines, *axes, "</svg>"])


def positions(values: list[str]) -> dict[str, float]:
    """Return value -> height on its axis, from 0 to 1 in equal steps: numbers by size, other texts as they came."""
    different = list(dict.fromkeys(values))
    numbers = {value: number for value in different if (number := _number(value)) is not None}
    if len(numbers) == len(different):
        different.sort(key=lambda value: numbers[value])
    return {value: index / max(1, len(different) - 1) for index, value in enumerate(different)}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5


def _scale(low: float, high: float) -> dict[str, float]:
    """Labels of the metric's axis and their heights."""
    if high <= low:
        return {shown_value(low): 0.5}
    shares = [index / (METRIC_LABELS - 1) for index in range(METRIC_LABELS)]
    return {shown_value(low + share * (high - low)): share for share in shares}


def _place(index: int, height: float) -> tuple[float, float]:
    return MARGIN + index * GAP, BOTTOM - height * (BOTTOM - TOP)


def _axis(index: int, name: str, labels: Mapping[str, float], side: Literal[-1, 1] = -1) -> str:
    """An axis with its labels on the left (-1), or on the right (1), where no lines are behind the last axis."""
    x, _ = _place(index, 0)
    anchor = "end" if side < 0 else "start"
    parts = [f'<line class="axis" x1="{x}" y1="{TOP}" x2="{x}" y2="{BOTTOM}"/>']
    parts.append(f'<text class="name" x="{x}" y="{TOP - 18}" text-anchor="middle">{escape(_short(name))}</text>')
    step = -(-len(labels) // MOST_LABELS)
    for text, height in list(labels.items())[::step]:
        y = _place(index, height)[1]
        parts.append(f'<line class="axis" x1="{x + 4 * side}" y1="{y:.1f}" x2="{x}" y2="{y:.1f}"/>')
        label = f"{escape(_short(text))}<title>{escape(text)}</title>"
        parts.append(f'<text x="{x + 8 * side}" y="{y + 4:.1f}" text-anchor="{anchor}">{label}</text>')
    return "".join(parts)


def _line(heights: list[float], goodness: float, title: str, *, best: bool) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (_place(i, height) for i, height in enumerate(heights)))
    colour = ",".join(str(round(w + goodness * (b - w))) for w, b in zip(WORST, BEST, strict=True))
    kind = "job best" if best else "job"
    return (
        f'<polyline class="{kind}" points="{points}" stroke="rgb({colour})"><title>{escape(title)}</title></polyline>'
    )


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"
