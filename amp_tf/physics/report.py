"""The page of an examination: verdicts, what each failure does, plots and tables, in one HTML file without scripts, fit for print."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from amp_tf.files import whole_file, write_text
from amp_tf.physics.checks import CHECKS, PhysicsResult
from amp_tf.physics.records import record_of
from amp_tf.physics.verdicts import FAIL, INFORMATION, NOISES

OURS, REFERENCE = "#1f5fa8", "0.6"
HIGHEST = 20.0
"""Of energies in plots, eV."""


def write_report(
    result: PhysicsResult | Mapping[str, Any], path: Path, compare: Sequence[Mapping[str, Any]] = (),
    published: Mapping[str, str] | None = None, published_name: str = "",
) -> list[Path]:  # fmt: skip
    """Write the page, and the plots beside it as ``<name>-<test>.png``.

    Args:
        result: of :func:`amp_tf.physics.check_physics`, or its record.
        path: ``*.html``.
        compare: records of other calculators, whose curves are drawn thin and whose verdicts stand beside.
        published: words of a publication by test, and its model.

    Returns:
        All files written.

    Raises:
        InputError: if they cannot be written.
    """
    record = record_of(result) if isinstance(result, PhysicsResult) else result
    images, written = {}, [path]
    for test in record["tests"]:
        if (image := draw(record, test, compare)) is not None:
            images[test] = base64.b64encode(image).decode()
            beside = path.with_name(f"{path.stem}-{test}.png")
            with whole_file(beside) as partial:
                partial.write_bytes(image)
            written.append(beside)
    write_text(path, _page(record, images, compare, published or {}, published_name))
    return written


def _page(record, images: Mapping[str, str], compare, published: Mapping[str, str], published_name: str) -> str:
    name = html.escape(record["target"])
    counts: dict[str, int] = {}
    for verdict in record["verdicts"].values():
        counts[verdict] = counts.get(verdict, 0) + 1
    summary = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    versions = ", ".join(f"{package} {number}" for package, number in record["versions"].items())
    about = (
        f"{summary}. {record['date']}; {record['calls']} calculations; energies come as {', '.join(record['returned'])}; {versions}. "
        "The band about a curve is five times its noise."
    )
    strip = "".join(
        f'<li><a class="{_css(verdict)}" href="#{test}"><b>{test}</b><span>{verdict}</span></a></li>'
        for test, verdict in record["verdicts"].items()
    )
    sections = "".join(_section(record, test, images.get(test), compare, published, published_name) for test in record["tests"])
    dropped = "".join(f"<li>{html.escape(molecule)}: {html.escape(why)}</li>" for molecule, why in record["dropped"].items())
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Physics of {name}</title><style>{_style()}</style></head><body>\n<h1>Does {name} obey physics?</h1>\n"
        f'<p class="about">{html.escape(about)}</p>\n<ul class="strip">{strip}</ul>\n{_failures(record)}{sections}'
        + (f"<section><h3>Not computed</h3><ul>{dropped}</ul></section>" if dropped else "")
        + "</body></html>\n"
    )


def _failures(record) -> str:
    """What each failure, that follows from no other, does to a simulation."""
    roots = dict.fromkeys(row["test"] for row in record["rows"] if row["verdict"] == FAIL and not row["follows_from"])
    lines = "".join(f'<li><a href="#{test}">{test}</a>: {html.escape(CHECKS[test].harm)}</li>' for test in roots)
    return f'<ul class="harm">{lines}</ul>\n' if roots else ""


def _section(record, test: str, image: str | None, compare, published: Mapping[str, str], published_name: str) -> str:
    check, rows = CHECKS[test], [row for row in record["rows"] if row["test"] == test]
    verdict = record["verdicts"][test]
    source = f"study, § {check.study}" if check.study else "not in the study"
    lines = "".join(_line(row) for row in rows)
    causes = sorted({row["follows_from"] for row in rows if row["follows_from"]})
    words = html.escape(" ".join((check.run.__doc__ or "").split()))
    parts = [f'<section id="{test}"><h3>{test}: {verdict}</h3>', f'<p class="words">{words} <small>({source})</small></p>']
    if verdict == FAIL:
        all_follow = all(row["follows_from"] for row in rows if row["verdict"] == FAIL)
        follows = f" {'It follows' if all_follow else 'A part follows'} from {', '.join(causes)}." if causes else ""
        parts.append(f'<p class="harm">{html.escape(check.harm + follows)}</p>')
    others = [f"{html.escape(other['target'])}: {other['verdicts'][test]}" for other in compare if test in other["verdicts"]]
    if others:
        parts.append(f'<p class="words">{"; ".join(others)}</p>')
    if test in published:
        parts.append(f'<p class="words">The study on {html.escape(published_name)}: {html.escape(published[test])}.</p>')
    if image:
        parts.append(f'<div class="scroll"><img alt="Curves of {test}" src="data:image/png;base64,{image}"></div>')
    parts.append(
        '<div class="scroll"><table><thead><tr><th>molecule</th><th>what</th><th class="n">value</th><th class="n">passes to</th>'
        '<th class="n">fails from</th><th class="n">noise</th><th>unit</th><th>verdict</th><th>note</th></tr></thead>'
        f"<tbody>{lines}</tbody></table></div></section>\n"
    )
    return "".join(parts)


def _line(row: Mapping[str, Any]) -> str:
    verdict = "" if row["verdict"] == INFORMATION else row["verdict"]
    note = "; ".join(filter(None, (row["follows_from"] and f"follows from {row['follows_from']}", row["note"])))
    numbers = "".join(f'<td class="n">{_number(row[key])}</td>' for key in ("value", "limit", "fail_limit", "noise"))
    unit = row["unit"].replace("angstrom", "Å")
    return (
        f"<tr><td>{html.escape(row['molecule'])}</td><td>{html.escape(row['metric'])}</td>{numbers}<td>{html.escape(unit)}</td>"
        f'<td class="v-{_css(row["verdict"])}">{verdict}</td><td class="note">{html.escape(note)}</td></tr>'
    )


def _number(value: float | None) -> str:
    return "" if value is None else "0" if value == 0 else f"{value:.3g}"


def _style() -> str:
    return resources.files("amp_tf.physics").joinpath("data", "report.css").read_text()


def _css(verdict: str) -> str:
    return verdict.replace(" ", "-")


def draw(record: Mapping[str, Any], test: str, compare: Sequence[Mapping[str, Any]] = ()) -> bytes | None:
    """All curves of a test as PNG: ours blue with a band of five times its noise, references grey, others thin; None without curves."""
    curves = [curve for curve in record["curves"] if curve["test"] == test]
    maps = [one for one in record["maps"] if one["test"] == test]
    if not curves and not maps:
        return None
    n = len(curves) + len(maps)
    columns = min(3, n)
    figure, axes = plt.subplots(
        -(-n // columns), columns, figsize=(3.4 * columns, 2.6 * -(-n // columns)), layout="constrained", squeeze=False
    )
    for axis in axes.flat[n:]:
        axis.set_visible(False)
    for axis, curve in zip(axes.flat, curves, strict=False):
        _draw_curve(axis, curve, record["target"], compare)
    for axis, one in zip(axes.flat[len(curves) :], maps, strict=False):
        heights = np.array(one["z"], dtype=float).T
        top = min(2.0, float(np.nanmax(heights, initial=0.0))) or 1.0  # a flat map has a scale too
        shades = axis.contourf(one["x"], one["y"], heights, levels=np.linspace(0.0, top, 21), extend="max", cmap="viridis")
        axis.set(xlabel="side a (Å)", ylabel="side b (Å)", title=one["name"], aspect="equal")
        figure.colorbar(shades, ax=axis, label="energy (eV)")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    plt.close(figure)
    return file.getvalue()


def _draw_curve(axis, curve: Mapping[str, Any], target: str, compare: Sequence[Mapping[str, Any]]) -> None:
    energies = np.array(curve["y"], dtype=float)
    factor, unit = (1e3, "meV") if np.nanmax(np.abs(energies), initial=0.0) < 0.2 else (1.0, "eV")
    known = np.array(curve["reference"] or [], dtype=float)
    if len(known):
        axis.plot(curve["reference_x"], factor * known, color=REFERENCE, linewidth=3, label=curve["source"][:40])
    for other in compare:
        for same in other["curves"]:
            if (same["test"], same["name"]) == (curve["test"], curve["name"]):
                axis.plot(same["x"], factor * np.array(same["y"], dtype=float), linewidth=0.8, label=other["target"][:30])
    axis.plot(curve["x"], factor * energies, color=OURS, linewidth=1.6, label=target[:30])
    noise = NOISES * curve.get("noise", 0.0)
    axis.fill_between(curve["x"], factor * (energies - noise), factor * (energies + noise), color=OURS, alpha=0.25, linewidth=0)
    shown = np.concatenate([energies, known])
    low, high = float(np.nanmin(shown, initial=0.0)), float(np.nanmax(shown, initial=0.0))
    if factor == 1.0 and max(high, -low) > HIGHEST:  # a wall, or a hole, would hide the rest
        axis.set_ylim(max(low - 0.05 * HIGHEST, -HIGHEST), min(high + 0.05 * HIGHEST, HIGHEST))
    axis.set(xlabel=f"{curve['quantity']} ({_symbol(curve['unit'])})", ylabel=f"energy ({unit})", title=curve["name"])
    axis.title.set_fontsize(9)
    if curve["reference"] or compare:
        axis.legend(fontsize=6, frameon=False)


def _symbol(unit: str) -> str:
    return {"angstrom": "Å", "degree": "°"}.get(unit, unit)
