"""Every command that a page shows is run as it stands there, or is tested where this table says.

A block runs in a directory with what its section takes for granted (`Stage`); only words that stand for something else
(`s3://BUCKET/PREFIX`, DIGEST) are replaced. `serve` runs in the background until the block ends.
"""

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest

from blobstore.sqlite import sqlite3
from tests.fakes.pages import ROOT, Block, blocks, mentioned
from tests.fakes.postgres import Cluster, programs
from tests.fakes.reference_file import ReferenceDatabase
from tests.fakes.s3 import S3Server
from tests.fakes.warm import Started, asking, launch
from tools.cli import main
from tools.slack import sample

OWNER, CONNECTOR = "me", "slack"
_RUN = """
import os, sys
os.chdir(sys.argv.pop(1))
import blobstore.findings
blobstore.findings.PAUSE = 0.0  # nobody is at work in these directories
from tools.cli import main
main(prog_name="blobstore")
"""

ELSEWHERE: Mapping[str, str] = {
    "make ": "tests/test_packaging.py, .ci/run",
    "pip install": "tests/test_packaging.py",
    "pipx install": "tests/test_packaging.py",
    "useradd": "wants a machine; tests/test_deploy/test_read_only.py runs what the unit allows",
    "python3 -m venv": "tests/test_packaging.py",
    "install ": "wants a machine; tests/test_deploy/test_nginx.py uses the files",
    "systemctl": "wants systemd",
    "sudo": "wants systemd",
    "deploy/make-secrets": "tests/test_deploy/test_compose.py",
    "docker": "tests/test_deploy/test_compose.py starts what it says",
    "curl --insecure": "tests/test_deploy/test_compose.py",
    "kubectl": "tests/test_deploy/test_manifests.py",
    "nginx": "tests/test_deploy/test_nginx.py",
}
"""Commands that begin so are not run here: where they are, or why nowhere."""


class Room:
    """A directory of one block, and the programs that run in it."""

    def __init__(self, folder: Path, forks: Path, template: Path) -> None:
        self.folder, self._forks, self._template = folder, forks, template
        self._servers: list[Started] = []
        self.urls: list[str] = []
        programs_here = folder / ".programs"
        programs_here.mkdir()
        shim = programs_here / "blobstore"
        shim.write_text(f'#!/bin/sh\nexec {asking(forks, "-c", _RUN)} "$PWD" "$@"\n')
        shim.chmod(0o755)
        here = (str(programs_here), str(Path(sys.executable).parent), str(programs()), os.environ["PATH"])
        self.environment = {**os.environ, "PATH": os.pathsep.join(here), "LC_ALL": "C.UTF-8"}

    def store(self, name: str) -> None:
        """A data directory with something in it."""
        shutil.copytree(self._template / "data", self.folder / name)

    def workspace(self, name: str) -> None:
        """A Slack workspace."""
        (self.folder / name).symlink_to(self._template / "workspace")

    def sh(self, command: str) -> str:
        """What it prints, once it has ended well."""
        strictly = [] if "| head" in command else ["-o", "pipefail"]  # who reads no further is no failure
        told = subprocess.run(
            ["bash", "-e", *strictly, "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )
        assert told.returncode == 0, f"{command}\nended with {told.returncode}:\n{told.stdout}{told.stderr}"
        return told.stdout

    def serve(self, command: str) -> str:
        """Start a server as the command says, at a free port, and come back when it is ready; its URL."""
        words = shlex.split(command, comments=True)
        told = dict(word.split("=", 1) for word in words[: words.index("blobstore")])
        options = words[words.index("serve") :]
        if "--port" in options:
            del options[options.index("--port") : options.index("--port") + 2]
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**self.environment, **told}.items():
                patch.setenv(name, value)
            server = launch(self._forks, "-c", _RUN, self.folder, *options, "--port", "0", "--drain", "1")
        line = server.out.readline()
        assert line.startswith("serving on "), f"{command}: {line!r}"
        self._servers.append(server)
        self.urls.append(line.split()[-1])
        return self.urls[-1]

    def json(self, command: str) -> list[dict[str, str]]:
        """What it lists."""
        listed: list[dict[str, str]] = json.loads(self.sh(f"{command} --json"))
        return listed

    def token(self, directory: str = "DIR") -> str:
        """A new token of the owner."""
        return self.sh(f"blobstore token create --data {directory} --owner {OWNER}").strip()

    def get(self, path: str, token: str) -> dict[str, object]:
        """What the first server answers."""
        request = urllib.request.Request(self.urls[0] + path, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            body: dict[str, object] = json.loads(answer.read())
        return body

    def close(self) -> None:
        """End the servers, in order."""
        for server in self._servers:
            os.kill(server.pid, 15)
        for server in self._servers:
            server.end()


Words = Mapping[str, "str | Callable[[Room], str]"]


@dataclass(frozen=True, slots=True)
class Stage:
    """What a block takes for granted. `words` stand for something; `each` command begins with it anew;
    `says` is what must be among what they print.
    """

    stores: Sequence[str] = ("DIR",)
    workspace: bool = True
    before: Sequence[str] = ()
    words: Words = field(default_factory=dict)
    each: bool = False
    says: Sequence[str] = ()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, forks: Path) -> Path:
    """A workspace, and a data directory that has it."""
    folder = tmp_path_factory.mktemp("shown")
    sample.write(folder / "workspace", video_bytes=100_000)
    room = Room(folder, forks, folder)
    room.sh(f"blobstore hydrate slack workspace --data data --owner {OWNER} --connector {CONNECTOR}")
    return folder


@pytest.fixture
def rooms(tmp_path: Path, forks: Path, template: Path) -> Iterator[Callable[[], Room]]:
    """Makes empty rooms."""
    made: list[Room] = []

    def make() -> Room:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Room(folder, forks, template))
        return made[-1]

    yield make
    for room in made:
        room.close()


# -- what stands for what ----------------------------------------------------------------------------------------------


def _of_central(room: Room, statement: str) -> str:
    with closing(sqlite3.connect(room.folder / "DIR" / "central.db")) as database:
        return str(database.execute(statement).fetchone()[0])


def _row(command: str, member: str) -> Callable[[Room], str]:
    return lambda room: room.json(command)[0][member]


def _blob(room: Room) -> str:
    return next((room.folder / "DIR" / "blobs").rglob("*.*")).name.partition(".")[0].join(("blob_b3_", ""))


ALWAYS: Words = {
    "DIGEST": _row("blobstore token list --data DIR", "digest"),
    "GRANT_ID": _row("blobstore grant list --data DIR", "grant_id"),
    "BLOB ": lambda room: _blob(room) + " ",
    "T024BE7LD": lambda room: _of_central(room, "SELECT id FROM instances"),
    "F0123": "F001SAMPLE",
    "--owner NAME": f"--owner {OWNER}",
    "--connector ID": f"--connector {CONNECTOR}",
    "[--key PUBLIC_KEY]": "",
    "ssh elsewhere": "sh -c",
    "http://127.0.0.1:8080 --token TOKEN": lambda room: f"{room.urls[0]} --token {room.token()}",
}
EXPORTED = ("blobstore export --data DIR --owner me me.tar",)
SERVER: Words = {"http://127.0.0.1:8080": lambda room: room.urls[0]}
SERVED = "blobstore serve --data DIR"


def _two_servers(room: Room) -> str:
    tokens = [room.token(name) for name in ("DIR", "SECOND")]
    told = (f"--base-url {url} --token {token}" for url, token in zip(room.urls, tokens, strict=True))
    return " ".join((*told, "--requests 40 --seed 1"))


def _reference(room: Room) -> str:
    """A file as the reference keeps it."""
    made = ReferenceDatabase(room.folder / "pdpp.sqlite")
    made.register()
    made.record("messages", "m1", {"id": "m1"})
    made.attach(1, b"the bytes of an attachment")
    return made.path.name


NOTHING = Stage(stores=())

STAGES: Mapping[str, Stage] = {
    "README.md#Use it": Stage(stores=(), words={"EXPORT": "workspace"}),
    "README.md#Where records and bytes live": NOTHING,
    "docs/hydration.md#Hydrating a Slack workspace": Stage(
        before=(SERVED,),
        words={"SOURCE": "workspace", "URL --token TOKEN": lambda room: f"{room.urls[0]} --token {room.token()}"},
    ),
    "docs/tutorial.md#": Stage(
        stores=(),
        workspace=False,
        words=SERVER,
        says=(
            "the bytes are what the record says",
            "grant_stream_not_allowed",
            "blob_not_found",
            "genuine",
            "traces: clean",
            "sound: ",
        ),
    ),
    "docs/how-to/connector.md#": Stage(words=SERVER),
    "docs/how-to/operator.md#": Stage(words=SERVER),
    "docs/how-to/auditor.md#": Stage(words=SERVER),
    "docs/how-to/beside-the-reference.md#": Stage(
        stores=(), workspace=False, words={"pdpp.sqlite": _reference}, says=("1 blobs",)
    ),
    "docs/operations.md#Tokens": Stage(before=("blobstore token create --data DIR --owner me",)),
    "docs/operations.md#Compare": Stage(
        stores=(),
        before=(SERVED, "blobstore serve --data SECOND"),
        words={
            "--base-url http://127.0.0.1:8080 --token T1 --base-url http://127.0.0.1:8081 --token T2": _two_servers,
        },
    ),
    "docs/operations.md#S3": NOTHING,
    "docs/operations.md#Erase 1": Stage(each=True),
    "docs/operations.md#Back up and restore 2": Stage(
        before=(
            "blobstore blobs migrate --data DIR --to s3://BUCKET/PREFIX --s3-endpoint https://s3.example --delete-now",
            "blobstore backup --data DIR OUT",
        )
    ),
    "docs/operations.md#Take out 2": Stage(
        before=("blobstore hydrate slack workspace --data DIR --owner me --connector slack-old",)
    ),
    "docs/operations.md#Bring in": Stage(before=EXPORTED),
    "docs/operations.md#PostgreSQL": NOTHING,
    "docs/operations.md#Several machines": Stage(stores=(), words={"/run/secrets/secret": "secret"}),
    "docs/operations.md#Join": Stage(stores=("DIR", "OTHER")),
}
"""By page and heading; a store in DIR is all that others want."""


def _run(room: Room, block: Block, stage: Stage, commands: Sequence[str], words: Words) -> None:
    for store in stage.stores:
        room.store(store)
    if stage.workspace:
        room.workspace("workspace")
    said = ""
    for command in (*stage.before, *commands):
        for word, meant in {**ALWAYS, **stage.words, **words}.items():
            if word in command:
                command = command.replace(word, meant if isinstance(meant, str) else meant(room))
        if any(command.startswith(start) for start in ELSEWHERE):
            continue
        if re.match(r"(\w+=\S+ )*blobstore serve ", command):
            room.serve(command)
        else:
            said += room.sh(command)
    assert [words for words in stage.says if words not in said] == []


SHOWN = list(blocks())


@pytest.mark.parametrize("block", SHOWN, ids=str)
def test_what_a_page_shows_can_be_done(block: Block, rooms: Callable[[], Room], request: pytest.FixtureRequest) -> None:
    stage = STAGES.get(f"{block.page}#{block.heading} {block.number}") or STAGES.get(
        f"{block.page}#{block.heading}", Stage()
    )
    words = {**_database(block, request), **_bucket(block, request)}
    for commands in [[each] for each in block.commands] if stage.each else [block.commands]:
        _run(rooms(), block, stage, commands, words)


def _bucket(block: Block, request: pytest.FixtureRequest) -> Words:
    if not any("s3://BUCKET" in command for command in block.commands):
        return {}
    s3: S3Server = request.getfixturevalue("s3")
    return {"s3://BUCKET/PREFIX": s3.where().location, "https://s3.example": s3.url}


def _database(block: Block, request: pytest.FixtureRequest) -> Words:
    if not any("postgres" in command or "createdb" in command for command in block.commands):
        return {}
    cluster: Cluster = request.getfixturevalue("postgres")
    makes = any("createdb" in command for command in block.commands)
    name = "shown" if makes else asyncio.run(cluster.database())
    request.addfinalizer(lambda: asyncio.run(cluster.drop(name)))
    here = f"-h {cluster.folder} -U blobstore"
    return {
        "createuser blobstore": f"createuser {here} shown",
        "createdb --owner blobstore": f"createdb {here} --owner shown",
        "template0 blobstore": "template0 shown",
        "postgresql://blobstore@db.example/blobstore": cluster.url(name),
        "postgresql://blobstore@db/blobstore": cluster.url(name),
    }


def test_what_is_said_of_pages_and_of_other_tests_is_so() -> None:
    for start, where in ELSEWHERE.items():
        assert any(command.startswith(start) for block in SHOWN for command in block.commands), start
        for path in re.findall(r"[\w./]+\.py|\.ci/run", where):
            assert (ROOT / path).is_file(), path
    names = {f"{block.page}#{block.heading}" for block in SHOWN}
    assert {name for name in STAGES if name not in names and name[:-2] not in names} == set()


def test_every_command_that_is_named_in_passing_is_one_and_has_these_options() -> None:
    shown = [(block.page, command) for block in SHOWN for command in block.commands if "blobstore " in command]
    for page, text in [*mentioned(), *shown]:
        for code in re.findall(r"(?:^|[(&|]\s*)(blobstore [^|&)#$\n]*)", text):
            _require_known(page, code.split())


def _require_known(page: str, words: Sequence[str]) -> None:
    command: click.Command = main
    context, rest = click.Context(main), list(words[1:])
    while isinstance(command, click.Group) and rest and re.fullmatch(r"[a-z][a-z-]*", rest[0]):
        found = command.get_command(context, rest[0])
        assert found is not None, (page, words)
        command, context = found, click.Context(found)
        rest.pop(0)
    known = {name for option in command.params for name in option.opts} | {"--help", "-h", "--version"}
    for word in rest:
        name = re.match(r"\[?(--[\w-]+)", word)
        assert name is None or name[1] in known or isinstance(command, click.Group), (page, words, word)
