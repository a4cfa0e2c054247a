"""Growth as a picture: one SVG for each, both axes logarithmic."""

from pathlib import Path

from tools.bench.growth.figures import Growth

WIDTH, PANEL = 9.0, 2.6
"""Inches: of the picture, and in height for each unit."""

DECADE = 10.0
"""What a panel shows at the least, from the lowest to the highest: less is mostly noise, and is to look like it."""


def plot(growth: Growth, path: Path) -> None:
    """Write the picture: a panel for each unit. Needs matplotlib."""
    from matplotlib.figure import Figure  # of the extra `bench`: nobody else needs it
    from matplotlib.ticker import LogLocator

    units = list(dict.fromkeys(each.unit for each in growth.figures))
    picture = Figure(figsize=(WIDTH, PANEL * len(units)), layout="constrained")
    panels = picture.subplots(len(units), sharex=True, squeeze=False)[:, 0]
    for unit, panel in zip(units, panels, strict=True):
        shown = [each for each in growth.figures if each.unit == unit]
        for each in shown:
            panel.plot(growth.sizes, each.values, "o-", markersize=3, label=each.name)
        panel.set(xscale="log", yscale="log", ylabel="a second" if unit == "/s" else unit)
        panel.set_ylim(*_range([value for each in shown for value in each.values]))
        panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
        panel.set_xticks(growth.sizes)
        panel.minorticks_off()
        panel.grid(alpha=0.3)
        panel.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel(growth.over)
    picture.suptitle(growth.name)
    picture.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _range(values: list[float]) -> tuple[float, float]:
    low, high = min(values) / 1.3, max(values) * 1.3
    spare = max(1.0, (DECADE / (high / low)) ** 0.5)
    return low / spare, high * spare
