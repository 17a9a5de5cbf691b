"""A bake-off as Markdown, JSON and a plot for each data set."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from linegate.training.plots import Line, plot
from linegate.training.resample import ROUNDS, Interval
from linegate.training.yardstick import ALL, LATENCY_SHARE, OWN, Comparison, Figures, Run, decide, mean, spread

LATENCY_PX = 512


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f} %"


Form = Callable[[float], str]
_FIGURES: Mapping[str, tuple[Callable[[Figures], float], Form]] = {
    "AP": (lambda figures: figures.ap, _share),
    "escapes at 2 % overkill": (lambda figures: figures.escape_at_2, _percent),
    "overkill at 0 escapes": (lambda figures: figures.overkill_at_0, _percent),
}


def markdown(comparisons: Sequence[Comparison], recipe: Mapping[str, Any]) -> str:
    """The page: for each data set the networks, whether Linegate's own holds, the plot, classes and subsets, and each seed."""
    blocks = ["# Bake-off", _how(comparisons, recipe)]
    for comparison in comparisons:
        blocks += [f"## {comparison.name}", _networks(comparison), *verdict_lines(comparison)]
        blocks += [f"![Accuracy and speed on {comparison.name}]({comparison.name}.svg)", *_by_class(comparison)]
        blocks += ["### Each seed", _seeds(comparison)]
    return "\n\n".join(blocks) + "\n"


def verdict_lines(comparison: Comparison) -> list[str]:
    """Whether Linegate's network is at or above the best baseline at no more than a third of its latency, in words."""
    verdict = decide(comparison)
    if verdict is None:
        return []
    ap, share = "holds" if verdict.ap_holds else "FAILS", verdict.latency_ms / verdict.best_latency_ms
    fast = "holds" if verdict.latency_holds else "FAILS"
    ahead = "too few groups to say how sure"
    if not math.isnan(verdict.ahead.low):
        ahead = f"{verdict.ahead.low:+.3f} to {verdict.ahead.high:+.3f} on other groups of this kind"
    return [
        f"**AP at or above the best baseline's: {ap}.** {OWN} {verdict.ap:.3f}, {verdict.best} {verdict.best_ap:.3f}: "
        f"{verdict.ap - verdict.best_ap:+.3f}, {ahead}.",
        f"**Latency at most 1/{1 / LATENCY_SHARE:.0f} of that baseline's: {fast}.** {OWN} {verdict.latency_ms:.1f} ms, "
        f"{verdict.best} {verdict.best_latency_ms:.1f} ms: {share:.2f} of it.",
    ]


def as_json(comparisons: Sequence[Comparison], recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The same for programs; null where there is nothing to measure on."""
    sets = []
    for comparison in comparisons:
        runs = [
            {
                "network": run.network,
                "seed": run.seed,
                "steps": run.record.steps,
                "minutes": run.record.minutes,
                "device": run.record.device,
                "commit": run.record.commit,
                "parameters_m": run.parameters_m,
                "iou": _nulled(run.iou),
                "region_recall": _nulled(run.region_recall),
                "figures": {
                    name: {key: _nulled(value) for key, value in asdict(figures).items()}
                    for name, figures in run.figures(comparison.subsets).items()
                },
            }
            for run in comparison.runs
        ]
        verdict = decide(comparison)
        sets.append(
            {
                "name": comparison.name,
                "data_sha256": comparison.data_sha256,
                "runs": runs,
                "ap_on_other_groups": {name: _pair(comparison.ap_interval(name)) for name in comparison.networks},
                "latency": {name: asdict(timing) for name, timing in comparison.timings.items()},
                "verdict": None
                if verdict is None
                else {
                    **asdict(verdict),
                    "ahead": _pair(verdict.ahead),
                    "ap_holds": verdict.ap_holds,
                    "latency_holds": verdict.latency_holds,
                },
            }
        )
    return {"recipe": dict(recipe), "processor": _processor(), "data": sets}


def scatter(comparison: Comparison) -> str:
    """Average precision against latency as an SVG, one mark for each seed."""
    lines = []
    for name in comparison.networks:
        points = [ap for ap in (run.figures(())[ALL].ap for run in comparison.of(name)) if not math.isnan(ap)]
        lines.append(Line(name, [comparison.timings[name].median_ms] * len(points), points, marks=True))
    return plot(comparison.name, f"ms at {LATENCY_PX} × {LATENCY_PX}", "average precision", lines)


def _how(comparisons: Sequence[Comparison], recipe: Mapping[str, Any]) -> str:
    records = [run.record for comparison in comparisons for run in comparison.runs]
    budget = f"{recipe['steps']} steps" if "steps" in recipe else f"{recipe['minutes']:g} minutes"
    weights = "ImageNet weights for torchvision's trunks" if recipe["pretrained"] else "from scratch"
    engines = {timing.device for comparison in comparisons for timing in comparison.timings.values()}
    return (
        f"One grouped split of each data set ({recipe['share']:.0%} for validation), one recipe, {budget} for each run, "
        f"{weights}, on {_listed(record.device for record in records)}; commit "
        f"{_listed(record.commit for record in records)}. Means ± standard deviation over seeds. Other groups: 95 % of "
        f"{ROUNDS} draws, with replacement, of as many groups (physical parts, or lots) as there are for validation. ms: "
        f"median (quartiles) of one inference at {LATENCY_PX} × {LATENCY_PX} of the fitted weights, all networks in turns in "
        "one run, "
        f"{_listed(engines)}, {_processor()}."
    )


def _networks(comparison: Comparison) -> str:
    rows = []
    for name in comparison.networks:
        runs, timing = comparison.of(name), comparison.timings[name]
        ap, *others = _over_seeds(runs, ALL)
        sure = comparison.ap_interval(name)
        row = [name, str(len(runs)), ap, _range(sure), *others]
        row += [_over([run.iou for run in runs], _share), _over([run.region_recall for run in runs], _share)]
        row += [f"{runs[0].parameters_m:.2f}", f"{timing.median_ms:.1f} ({timing.low_ms:.1f}–{timing.high_ms:.1f})"]
        rows.append(row)
    ap_title, *titles = _FIGURES
    head = (
        "network",
        "seeds",
        ap_title,
        "on other groups",
        *titles,
        "pixel IoU",
        "region recall",
        "parameters, M",
        "ms",
    )
    return _table(head, rows)


def _by_class(comparison: Comparison) -> list[str]:
    """One table for each figure: networks down, classes and subsets across."""
    classes = comparison.runs[0].record.iou if comparison.runs else {}
    heads = {name: f"{name}, {_groups(comparison, (name,))}" for name in classes}
    heads |= {s.name: f"{s.name} ({'+'.join(s.classes)}), {_groups(comparison, s.classes)}" for s in comparison.subsets}
    blocks = []
    for title, (get, form) in _FIGURES.items():
        rows = []
        for network in comparison.networks:
            own = [run.figures(comparison.subsets) for run in comparison.of(network)]
            rows.append([network, *(_over([get(one[name]) for one in own], form) for name in heads)])
        blocks += [f"### {title[0].upper()}{title[1:]}", _table(("network", *heads.values()), rows)]
    return blocks


def _groups(comparison: Comparison, classes: Sequence[str]) -> str:
    """How many groups the figures of ``classes`` rest on: several pictures of one part say little more than one."""
    count = comparison.groups(classes)
    return "1 group" if count == 1 else f"{count} groups"


def _seeds(comparison: Comparison) -> str:
    rows = [
        [run.network, str(run.seed), *_over_seeds([run], ALL), str(run.record.steps), f"{run.record.minutes:.1f}"]
        for run in comparison.runs
    ]
    return _table(("network", "seed", *_FIGURES, "steps", "minutes"), rows)


def _over_seeds(runs: Sequence[Run], name: str) -> list[str]:
    own = [run.figures(())[name] for run in runs]
    return [_over([get(one) for one in own], form) for get, form in _FIGURES.values()]


def _over(values: Sequence[float], form: Form) -> str:
    """ "0.912 ± 0.010", without the deviation where there is one value."""
    deviation = spread(values)
    return form(mean(values)) if math.isnan(deviation) else f"{form(mean(values))} ± {form(deviation)}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def _listed(words: Any) -> str:
    return ", ".join(sorted(set(words)))


def _nulled(value: float) -> float | None:
    return None if math.isnan(value) else value


def _range(sure: Interval) -> str:
    return "–" if math.isnan(sure.low) else f"{_share(sure.low)} to {_share(sure.high)}"


def _pair(sure: Interval) -> list[float | None]:
    return [_nulled(sure.low), _nulled(sure.high)]


def _processor() -> str:
    """The processor's name, "unknown processor" where the system doesn't tell."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown processor"
