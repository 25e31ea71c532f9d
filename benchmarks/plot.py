"""Draw dispatch.svg: the time of one Adam step against the number of leaves.

python benchmarks/plot.py        (needs matplotlib; ``nox -s plot`` installs it)
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib
from matplotlib import pyplot

from nnx_compat import facts

HERE = Path(__file__).parent


def newest_result():
    """The dispatch result of the newest release that has one."""
    for release in reversed(facts.releases()):
        file = HERE / "results" / f"dispatch-{release.version}.json"
        if file.exists():
            return json.loads(file.read_text())
    raise FileNotFoundError("no result yet\n  instead: nox -s bench")


def main():
    """Write the picture beside this file."""
    result = newest_result()
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "nnx-compat"  # the same bytes each time
    figure, axes = pyplot.subplots(
        1, 2, figsize=(11, 4.8), sharey=True, layout="constrained"
    )
    titles = {
        "adam": "Adam step, compute included",
        "dispatch": "the way in and out",
    }
    for ax, (step, title) in zip(axes, titles.items(), strict=True):
        lines = {}
        for row in result["rows"]:
            if row["step"] == step:
                line = lines.setdefault(row["contender"], ([], []))
                line[0].append(row["leaves"])
                line[1].append(row["median_us"] / 1e3)
        for name, (leaves, milliseconds) in lines.items():
            by_hand = name.startswith("flat")
            ax.plot(
                leaves,
                milliseconds,
                marker="o",
                markersize=4,
                linestyle="--" if by_hand else "-",
                color="black" if by_hand else None,
                linewidth=2.5 if name.startswith("compile_step") else 1.5,
                label=name,
            )
        ax.set(xscale="log", yscale="log", title=title, xlabel="leaves of the state")
        ax.grid(True, which="major", alpha=0.3)
    axes[0].set_ylabel("milliseconds a step (median)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(
        f"flax {result['flax']}, jax {result['jax']}, {result['machine']}: read the "
        "ratios, absolute times vary with the machine",
        fontsize=10,
    )
    figure.savefig(HERE / "dispatch.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
