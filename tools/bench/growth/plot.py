"""Growth as a picture: one SVG for each, both axes logarithmic."""

from pathlib import Path

from tools.bench.growth.figures import Growth

WIDTH, PANEL = 9.0, 2.6
"""Inches: of the picture, and in height for each unit."""


def plot(growth: Growth, path: Path) -> None:
    """Write the picture: a panel for each unit. Needs matplotlib."""
    from matplotlib.figure import Figure  # of the extra `bench`: nobody else needs it

    units = list(dict.fromkeys(each.unit for each in growth.figures))
    picture = Figure(figsize=(WIDTH, PANEL * len(units)), layout="constrained")
    panels = picture.subplots(len(units), sharex=True, squeeze=False)[:, 0]
    for unit, panel in zip(units, panels, strict=True):
        for each in (one for one in growth.figures if one.unit == unit):
            panel.plot(growth.sizes, each.values, "o-", markersize=3, label=each.name)
        panel.set(xscale="log", yscale="log", ylabel=f"a second ({unit})" if unit.startswith("/") else unit)
        panel.grid(alpha=0.3)
        panel.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel(growth.over)
    picture.suptitle(growth.name)
    picture.savefig(path, metadata={"Date": None})
