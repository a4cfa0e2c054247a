"""docs/reference/metrics.md: every metric at `GET /metrics`."""

from server.metrics.page import described
from tools.reference.tables import table

_HEAD = """\
# Metrics

Made from the program by `python -m tools.reference`; not to be edited. All of them are at `GET /metrics`, in the text
format of Prometheus; who may read it, a dashboard and alerts: [operations](../operations.md#watch). None names an
owner, a record or a path: a route is told by its pattern.
"""


def render() -> str:
    """The page."""
    rows = [
        (f"`{name}`", kind, ", ".join(f"`{label}`" for label in labels), help)
        for name, kind, labels, help in described()
    ]
    return "\n".join([_HEAD, *table(("metric", "type", "labels", "is"), rows)]).rstrip() + "\n"
