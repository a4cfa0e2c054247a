"""Dashboard and alerts ask for metrics that are there, by labels that they have."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from server.metrics.page import described
from tests.fakes.compose import FILE

DEPLOY = FILE.parent
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
DASHBOARD = json.loads((DEPLOY / "grafana" / "blobstore.json").read_text())
THERE = {name: {*labels, "le"} if kind == "histogram" else set(labels) for name, kind, labels, _ in described()}
OF_PROMETHEUS = {"instance", "job"}


def rules() -> list[dict[str, Any]]:
    return [rule for group in ALERTS["groups"] for rule in group["rules"]]


def questions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ()))


@pytest.mark.parametrize("question", sorted(questions()))
def test_every_question_is_about_a_metric_and_labels_that_are_there(question: str) -> None:
    asked = re.findall(r"\b(blobstore_\w+)(?:\{([^}]*)\})?", question)
    assert asked or question.startswith("up{")
    grouped = {label.strip() for each in re.findall(r"by \(([^)]*)\)", question) for label in each.split(",")}
    for metric, matchers in asked:
        name = re.sub(r"_(bucket|sum|count)\Z", "", metric) if metric not in THERE else metric
        labels = set(re.findall(r"(\w+)[!=]", matchers)) | grouped
        assert labels - OF_PROMETHEUS <= THERE[name]
    assert question.count("(") == question.count(")")


def test_every_alert_says_what_to_do() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert set(rule["annotations"]) == {"summary", "todo"}
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_panels_of_the_dashboard_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        taken |= cells
    assert {x for x, _ in taken} == set(range(24))


def test_every_metric_is_on_the_dashboard_or_in_an_alert() -> None:
    asked = " ".join(questions())
    few = {"blobstore_erasures_unfinished", "blobstore_uploads_under_way"}
    few |= {"blobstore_disk_size_bytes", "blobstore_disk_free_inodes", "blobstore_orphan_blobs"}
    few |= {"blobstore_uploaded_blobs_total", "blobstore_removed_blobs_total", "blobstore_verified_blob_bytes_total"}
    assert {name for name in THERE if name not in asked} == few
