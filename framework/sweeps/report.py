"""`report.html`: one file that needs nothing else, neither the net nor the pictures it shows."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from framework.artifacts.atomic import write_text
from framework.artifacts.picture_files import UNREADABLE, opened_picture
from framework.sweeps.job_folder import JobFolder, Result
from framework.sweeps.plan import Job, Sweep, short_keys
from framework.sweeps.plot import parallel_coordinates
from framework.sweeps.results import best_jobs, groups, metric_names, ranked, shown_value, varied_keys
from framework.sweeps.table import duration

REPORT_FILE = "report.html"
PICTURED_JOBS = 24
"""Jobs whose pictures are shown; the best of them where there are more."""
PICTURE_SIDE = 480
STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1400px; padding: 0 1.5em; color: #1d2733; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; } code { background: #f1f4f7; padding: .1em .3em; }
.wide { overflow-x: auto; } table { border-collapse: collapse; } td, th { padding: .3em .7em; text-align: left; }
th { border-bottom: 2px solid #c3ccd6; white-space: nowrap; } td { border-bottom: 1px solid #e4e9ee; }
table.sorted th { cursor: pointer; } tr.best { background: #fdeee8; } .number { text-align: right; }
.finished { color: #1b7a3d; } .failed { color: #b3261e; } .interrupted { color: #97660a; }
svg text { font-size: 11px; fill: #44515f; paint-order: stroke; stroke: #fff; stroke-width: 3px; }
svg text.name { font-weight: 600; font-size: 12px; }
svg .axis { stroke: #8793a0; } svg .job { fill: none; stroke-width: 2; stroke-linejoin: round; opacity: .85; }
svg .best { stroke-width: 4; opacity: 1; } svg .job:hover { stroke: #0b57d0; stroke-width: 5; opacity: 1; }
h3 { font-size: 1em; } .pictures { display: flex; flex-wrap: wrap; gap: 1.2em; } figure { margin: 0; width: 320px; }
figure img { display: block; max-width: 100%; } figcaption { padding: .2em .4em; } figure.best { background: #fdeee8; }
"""
SCRIPT = """
for (const table of document.querySelectorAll("table.sorted")) {
  table.querySelectorAll("th").forEach((head, column) => head.addEventListener("click", () => {
    const down = head.dataset.down = head.dataset.down === "1" ? "" : "1";
    const key = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if ((x === "") !== (y === "")) return x === "" ? 1 : -1;
      const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
      return down ? order : -order;
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  }));
}
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def write_report(sweep: Sweep, results: Mapping[int, Result]) -> Path:
    """Write `report.html`, whole or not at all, and return its path."""
    return write_text(sweep.output / REPORT_FILE, report(sweep, results))


def report(sweep: Sweep, results: Mapping[int, Result]) -> str:
    """Return the page: the best jobs, parallel coordinates, a table of all jobs, failures, pictures."""
    title = f"Sweep {sweep.output.name}"
    sections = [_overview(sweep, results), *_plots(sweep, results), _table(sweep, results)]
    sections += [_failures(sweep, results), _pictures(sweep, results)]
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            *filter(None, sections),
            f"<script>{SCRIPT}</script></body></html>\n",
        ]
    )


def _overview(sweep: Sweep, results: Mapping[int, Result]) -> str:
    counts = Counter(result.status for result in results.values())
    told = ", ".join(f"{count} {status}" for status, count in counts.items())
    spent = duration(sum(result.seconds for result in results.values()))
    lines = [f"<p>{len(results)} jobs: {told}; {spent} in all.</p>", f"<p><code>{escape(sweep.command)}</code></p>"]
    for title, jobs in groups(sweep.plan, results).items():
        best = ranked(jobs, results)[0]
        result = results[best.number]
        which = "highest" if result.highest else "lowest"
        text = f"{title} {shown_value(result.best)}, the {which} of {len(jobs)}: job {best.number}, {_values(best)}"
        lines.append(f"<p><strong>Best run</strong> of {escape(text)} (folder <code>{escape(best.name)}</code>)</p>")
    return "\n".join(lines)


def _plots(sweep: Sweep, results: Mapping[int, Result]) -> Iterable[str]:
    for title, jobs in groups(sweep.plan, results).items():
        yield f'<h2>{escape(title)}</h2><div class="wide">{parallel_coordinates(jobs, results)}</div>'


def _table(sweep: Sweep, results: Mapping[int, Result]) -> str:
    """All jobs; a click on a column's head sorts by it."""
    metrics = metric_names(results)
    best = _best_numbers(sweep, results)
    monitored = sorted({result.metric for result in results.values() if result.metric})
    varied = short_keys(dict.fromkeys(varied_keys(sweep.plan), ""))
    heads = ["job", *varied, "status", "progress", "time", *(f"best {name}" for name in monitored), *metrics]
    rows = []
    for job in sweep.plan.jobs:
        result = results[job.number]
        cells = [_cell(str(job.number)), *map(_cell, job.values.values())]
        cells += [_cell(result.status, kind=result.status), _cell(result.progress)]
        cells += [_cell(duration(result.seconds), value=result.seconds)]
        cells += [_number(result.best if result.metric == name else None) for name in monitored]
        cells += [_number(result.metrics.get(name)) for name in metrics]
        rows.append(f"<tr{' class=best' if job.number in best else ''}>{''.join(cells)}</tr>")
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    table = f'<table class="sorted"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return f'<h2>All jobs</h2><div class="wide">{table}</div>'


def _failures(sweep: Sweep, results: Mapping[int, Result]) -> str:
    wrong = [job for job in sweep.plan.jobs if results[job.number].status == "failed"]
    items = [
        f"<li>job {job.number}, {escape(_values(job))}: {escape(results[job.number].reason or 'no reason is known')} "
        f"(<code>{escape(f'{job.name}/job.log')}</code>)</li>"
        for job in wrong
    ]
    return f"<h2>Failures</h2><ul>{''.join(items)}</ul>" if items else ""


def _pictures(sweep: Sweep, results: Mapping[int, Result]) -> str:
    """For each picture's name the pictures of all jobs side by side, so that they can be compared."""
    found = {job.number: JobFolder(sweep.output / job.name).pictures() for job in sweep.plan.jobs}
    order = [job for jobs in groups(sweep.plan, results).values() for job in ranked(jobs, results)]
    order += [job for job in sweep.plan.jobs if job not in order]
    chosen = [job for job in order if found[job.number]][:PICTURED_JOBS]
    if not chosen:
        return ""
    shown = sorted(chosen, key=lambda job: job.number)
    left_out = sum(map(bool, found.values())) - len(shown)
    note = f"<p>The best {len(shown)} jobs; {left_out} more have pictures in their folders.</p>" if left_out else ""
    best = _best_numbers(sweep, results)
    parts = [f"<h2>Pictures</h2>{note}"]
    for name in sorted({name for job in shown for name in found[job.number]}):
        parts.append(f'<h3>{escape(name)}</h3><div class="pictures">')
        for job in shown:
            if name in found[job.number]:
                caption = f"job {job.number}<br>{_lines(job, results[job.number])}"
                kind = " class=best" if job.number in best else ""
                parts.append(
                    f"<figure{kind}>{_picture(found[job.number][name])}<figcaption>{caption}</figcaption></figure>"
                )
        parts.append("</div>")
    return "".join(parts)


def _picture(path: Path) -> str:
    """The picture inside the page; one that can't be read says so."""
    try:
        with opened_picture(path) as picture:
            small = picture.convert("RGBA" if "A" in picture.getbands() else "RGB")
            small.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    except UNREADABLE:
        return f"{escape(path.name)} can't be read"
    data = io.BytesIO()
    small.save(data, format="PNG", optimize=True)
    text = base64.b64encode(data.getvalue()).decode()
    return f'<img alt="{escape(path.name)}" src="data:image/png;base64,{text}">'


def _cell(text: str, *, kind: str = "", value: float | None = None) -> str:
    marks = f' class="{kind}"' * bool(kind) + (f' data-value="{value}"' if value is not None else "")
    return f"<td{marks}>{escape(text)}</td>"


def _number(value: float | None) -> str:
    data = "" if value is None else value
    return f'<td class="number" data-value="{data}">{shown_value(value)}</td>'


def _best_numbers(sweep: Sweep, results: Mapping[int, Result]) -> set[int]:
    return {job.number for job in best_jobs(sweep.plan, results)}


def _values(job: Job) -> str:
    return ", ".join(f"{key}={text}" for key, text in job.values.items())


def _lines(job: Job, result: Result) -> str:
    """The values of a job and its result, on lines of their own."""
    lines = [f"{key}={text}" for key, text in zip(short_keys(job.values), job.values.values(), strict=True)]
    lines += [f"{result.metric} {shown_value(result.best)}"] if result.best is not None else []
    return "<br>".join(map(escape, lines))
