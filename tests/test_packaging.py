"""What is built from here installs into a clean environment and works there, with all that it needs."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import urllib.request
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("blobstore", "records", "server", "tools")
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def run(*command: object, cwd: Path | None = None, **environment: str) -> str:
    """What it prints; it must end well."""
    told = subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert told.returncode == 0, f"{command}\n{told.stdout}{told.stderr}"
    return told.stdout


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build needs, where git knows nothing, as in the image."""
    folder = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(sources: Path, sized: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel; with full sizes it is built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    only = sized("--wheel", "")
    run(sys.executable, "-m", "build", "--no-isolation", *filter(None, [only]), "--outdir", folder, sources)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_every_file_and_the_man_page_where_man_looks(wheel: Path, sources: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    files = {path.relative_to(sources).as_posix() for name in SOURCES for path in (sources / name).rglob("*.*")}
    wanted = {name for name in files if (sources / name).is_file() and not name.endswith(".1")}
    assert wanted - inside == set()
    assert any(name.endswith(".data/data/share/man/man1/blobstore.1") for name in inside)


@pytest.mark.long
@pytest.mark.parametrize("version", VERSIONS)
def test_the_wheel_works_in_an_environment_of_its_own(
    version: str, wheel: Path, sized: Callable[[bool, bool], bool], tmp_path: Path
) -> None:
    whole = sized(False, True)
    if version != HERE and not whole:
        return  # a sample is this Python, with the dependencies that are here already
    environment = tmp_path / "environment"
    if whole:
        run(_python(version), "-m", "venv", environment)
        run(environment / "bin" / "pip", "install", "--quiet", wheel)
        run(environment / "bin" / "pip", "check")
    else:
        venv.create(environment, symlinks=True)
        packages = next(environment.glob("lib/python*/site-packages"))
        run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", packages, wheel)
        (packages / "here.pth").write_text(sysconfig.get_path("purelib") + "\n")
        # --target knows nothing of commands; what pip makes of the entry point is this.
        command = environment / "bin" / "blobstore"
        command.write_text(f"#!{environment}/bin/python\nfrom tools.cli import main\nmain()\n")
        command.chmod(0o755)
    _works(environment / "bin", tmp_path)


def _works(programs: Path, folder: Path) -> None:
    assert str(folder) in run(programs / "python", "-c", "import tools; print(tools.__file__)", cwd=folder)
    run(programs / "python", "-m", "tools.slack.sample", "workspace", "--video-bytes", "100000", cwd=folder)
    token = run(programs / "blobstore", "token", "create", "--data", "data", "--owner", "me", cwd=folder).strip()
    server = subprocess.Popen(
        [programs / "blobstore", "serve", "--data", "data", "--port", "0"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        run(programs / "blobstore", "hydrate", "slack", "workspace", "--server", url, "--token", token, cwd=folder)
        assert json.loads(_get(f"{url}/readyz"))["status"] == "ready"
        page = _get(f"{url}/console")
        (style,) = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page)
        assert "prefers-color-scheme" in _get(url + style)
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        text: str = answer.read().decode()
    return text


def _python(version: str) -> Path:
    """A Python of this version, wherever it is; skips where there is none."""
    known = (shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}*/bin/python"))
    for python in (each for each in known if each is not None):
        told = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
        if told.returncode == 0 and told.stdout.startswith(f"Python {version}."):
            return Path(python)
    pytest.skip(f"no such Python here: {version}")


@pytest.mark.long
def test_it_runs_without_being_installed(wheel: Path, sized: Callable[[bool, bool], bool], tmp_path: Path) -> None:
    if not sized(False, True):
        assert "[pipx.run]\nblobstore-server = tools.cli:main" in _metadata(wheel, "entry_points.txt")
        return
    told = run(sys.executable, "-m", "pipx", "run", "--spec", wheel, "blobstore-server", "--version")
    assert re.search(r"version \d", told)


def _metadata(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as opened:
        (path,) = (each for each in opened.namelist() if each.endswith(f".dist-info/{name}"))
        return opened.read(path).decode()


def test_the_version_is_that_of_the_tag_and_there_is_one_without_git(tmp_path: Path, wheel: Path) -> None:
    assert "\nVersion: 0.1.0\n" in _metadata(wheel, "METADATA")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", tmp_path)
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "First"), ("tag", "v7.8.9")):
        run(*git, *command)
    assert run(sys.executable, "-m", "setuptools_scm", cwd=tmp_path).strip() == "7.8.9"


@pytest.mark.long
def test_the_bill_of_materials_names_everything_that_is_needed(
    sized: Callable[[bool, bool], bool], wheel: Path, tmp_path: Path
) -> None:
    needed = set(re.findall(r"^Requires-Dist: ([\w.-]+)(?![^\n]*extra ==)", _metadata(wheel, "METADATA"), re.MULTILINE))
    assert len(needed) > 10
    bill = tmp_path / "sbom.json"
    if sized(False, True):
        environment = tmp_path / "environment"
        run(sys.executable, "-m", "venv", environment)
        run(environment / "bin" / "pip", "install", "--quiet", wheel)
        run(sys.executable, "-m", "cyclonedx_py", "environment", environment, "--of", "JSON", "-o", bill)
    else:
        asked = tmp_path / "requirements.txt"
        asked.write_text("\n".join(needed))
        run(sys.executable, "-m", "cyclonedx_py", "requirements", asked, "--of", "JSON", "-o", bill)
    told = json.loads(bill.read_text())
    named = {each["name"].lower().replace("_", "-") for each in told["components"]}
    assert (told["bomFormat"], {name.lower() for name in needed} - named) == ("CycloneDX", set())
