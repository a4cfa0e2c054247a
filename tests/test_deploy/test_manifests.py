"""What deploy/ says to Docker, systemd and Kubernetes is what the program understands."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from server.api.operations import OPERATIONS
from tests.fakes.compose import FILE
from tools.cli import main

DEPLOY = FILE.parent
UNIT = (DEPLOY / "systemd" / "blobstore.service").read_text()
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
ELSEWHERE = {"PGPASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
"""Read by libraries, not by us."""


@pytest.fixture
def manifests() -> dict[str, Any]:
    """Those for Kubernetes, by kind."""
    return {each["kind"]: each for each in yaml.safe_load_all((DEPLOY / "kubernetes" / "blobstore.yaml").read_text())}


@pytest.fixture
def pod(manifests: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifests["Deployment"]["spec"]["template"]["spec"]
    return spec


def serve() -> click.Command:
    command = main.get_command(click.Context(main), "serve")
    assert command is not None
    return command


def variables() -> set[str]:
    return {str(option.envvar) for option in serve().params if isinstance(option, click.Option)} | ELSEWHERE


def test_every_variable_that_is_set_somewhere_is_an_option_of_serve(pod: dict[str, Any]) -> None:
    compose = yaml.safe_load(FILE.read_text())["x-server"]["environment"]
    kubernetes = {each["name"] for each in pod["containers"][0]["env"]}
    docker = set(re.findall(r"\b(BLOBSTORE_\w+)=", DOCKERFILE))
    systemd = set(re.findall(r"^Environment=(\w+)=", UNIT, re.MULTILINE))
    for told in (set(compose), kubernetes, docker, systemd):
        assert told
        assert told <= variables()


def test_every_command_line_is_one_that_serve_takes(pod: dict[str, Any], tmp_path: Path) -> None:
    compose = yaml.safe_load(FILE.read_text())["x-server"]["command"]
    docker = yaml.safe_load(re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[-1])
    systemd = shlex.split(re.findall(r"^ExecStart=\S+ (.*)$", UNIT, re.MULTILINE)[0])
    for command, *options in (compose, docker, systemd, pod["containers"][0]["args"]):
        assert command == "serve"
        serve().make_context("serve", [*options, "--data", str(tmp_path)])


def test_probes_ask_what_the_server_answers_without_a_token(pod: dict[str, Any]) -> None:
    container = pod["containers"][0]
    asked = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    # A database that is away must not have the process killed.
    assert asked == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    assert "http://127.0.0.1:8080/healthz" in DOCKERFILE
    assert all(OPERATIONS[path]["GET"].callers == "anyone" for path in asked.values())


def test_whoever_stops_a_server_waits_longer_than_it_drains(pod: dict[str, Any]) -> None:
    drain = next(option.default for option in serve().params if option.name == "drain")
    assert isinstance(drain, int | float)
    told = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    ending = float(told["BLOBSTORE_DRAIN"]) + float(told["BLOBSTORE_DRAIN_DELAY"])
    assert pod["terminationGracePeriodSeconds"] >= ending + 15
    compose = yaml.safe_load(FILE.read_text())["x-server"]["stop_grace_period"]
    systemd = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)[0]
    assert min(float(compose.removesuffix("s")), float(systemd)) >= drain + 15


def test_a_container_has_no_rights_and_writes_to_its_volumes_alone(
    manifests: dict[str, Any], pod: dict[str, Any]
) -> None:
    container = pod["containers"][0]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["runAsUser"] == int(re.findall(r"^USER (\d+)", DOCKERFILE, re.MULTILINE)[-1])
    mounted = {each["name"] for each in container["volumeMounts"]}
    assert mounted == {each["name"] for each in pod["volumes"]}
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert manifests[kind]["spec"]["selector"]["matchLabels"] == labels
    assert manifests["Service"]["spec"]["selector"] == labels


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """Where it is installed; its own check of how much a service is let do, too."""
    assert "ProtectSystem=strict" in UNIT
    program = shutil.which("systemd-analyze")
    if program is None:
        return
    unit = tmp_path / "blobstore.service"
    unit.write_text(UNIT.replace("/opt/blobstore/bin/blobstore", "/bin/true"))
    done = subprocess.run([program, "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, str(unit) in done.stderr) == (0, False), done.stderr
    arguments = ["security", "--offline=true", "--threshold=20", "--no-pager", str(unit)]
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-200:]
