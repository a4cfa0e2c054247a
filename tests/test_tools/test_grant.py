"""`blobstore grant` and what `serve` is told of an authorization server."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from records.consent.scope import Scope
from records.errors import Forbidden
from records.store import RecordStore
from tests.fakes.data_directory import CONNECTOR, MANIFEST, Stored, in_store, make
from tools.authorization import Authorization, authorization_options
from tools.opening import Opening, store_options

FIELDS = list(MANIFEST["streams"][0]["schema"]["properties"])


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    return make(tmp_path / "data")


def create(stored: Stored, *options: str) -> Result:
    return stored.run("grant", "create", "--owner", "ann", "--client", "app", "--connector", CONNECTOR, *options)


def granted(stored: Stored, *options: str) -> str:
    result = create(stored, *options)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 1
    return result.stdout.strip()


def listed(stored: Stored, *options: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = json.loads(stored.run("grant", "list", "--json", *options).stdout)
    return found


def scope(stored: Stored, token: str) -> Scope | None:
    async def work(store: RecordStore) -> Scope | None:
        return await store.access.resolve(token)

    return in_store(stored.data, work)


def test_the_token_stands_alone_on_stdout_and_gives_what_was_granted(stored: Stored) -> None:
    token = granted(stored, "--stream", f"documents:{','.join(FIELDS[:1])}", "--stream", "photos", "--resource", "1")
    found = scope(stored, token)
    assert found is not None
    assert found.owner.subject == "ann"
    assert found.grant is not None
    assert found.grant.client == "app"
    assert sorted(found.grant.streams) == ["documents", "photos"]
    assert found.grant.streams["documents"].fields == frozenset({FIELDS[0]})
    assert found.grant.streams["photos"].fields == frozenset(FIELDS)
    assert found.grant.streams["photos"].resources == frozenset({"1"})


def test_a_list_has_the_grant_and_no_token(stored: Stored) -> None:
    token = granted(stored, "--stream", "documents", "--expires", "2100-01-01", "--single-use", "--purpose", "urn:x:y")
    (grant,) = listed(stored)
    assert (grant["client_id"], grant["status"], grant["owner"]) == ("app", "active", "ann")
    assert grant["grant"]["grant_id"] == grant["grant_id"]
    assert grant["grant"]["expires_at"] == "2100-01-01T00:00:00.000000Z"
    assert (grant["grant"]["access_mode"], grant["grant"]["purpose_code"]) == ("single_use", "urn:x:y")
    assert listed(stored, "--owner", "bob") == []
    for output in (stored.run("grant", "list").output, json.dumps(grant)):
        assert token not in output
        assert grant["grant_id"] in output


def test_revoking_ends_it_at_once(stored: Stored) -> None:
    token = granted(stored, "--stream", "documents")
    (grant,) = listed(stored)
    for _ in range(2):
        assert stored.run("grant", "revoke", grant["grant_id"]).exit_code == 0
    with pytest.raises(Forbidden):
        scope(stored, token)
    assert [each["status"] for each in listed(stored)] == ["revoked"]


def test_revoking_what_is_not_there_says_so(stored: Stored) -> None:
    result = stored.run("grant", "revoke", "grant_nothing")
    assert result.exit_code == 1
    assert "no such grant" in result.output


@pytest.mark.parametrize(
    "options",
    [
        ["--stream", "nothing"],
        ["--stream", "documents:nothing"],
        ["--stream", "documents:"],
        ["--stream", "documents", "--instance", "nobody's"],
        ["--stream", "documents", "--since", "2026-01-02", "--until", "2026-01-01"],
        ["--stream", "documents", "--expires", "2020-01-01"],
    ],
)
def test_what_cannot_be_granted_is_refused_in_words(stored: Stored, options: list[str]) -> None:
    result = create(stored, *options)
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.search(r"\((streams\[0\]|expires_at)", result.output), result.output
    assert listed(stored) == []


def test_tokens_are_listed_with_their_kind_and_grant(stored: Stored) -> None:
    stored.run("token", "create", "--owner", "ann")
    granted(stored, "--stream", "documents")
    (grant,) = listed(stored)
    rows = json.loads(stored.run("token", "list", "--json").stdout)
    assert [(each["kind"], each["grant_id"]) for each in rows] == [("owner", None), ("client", grant["grant_id"])]


# -- serve ---------------------------------------------------------------------------------------------------------


@click.command()
@store_options
@authorization_options
def shown(opening: Opening, authorization: Authorization) -> None:
    """What `serve` is told."""
    click.echo(repr(authorization))
    if authorization.introspect is not None:
        click.echo(authorization.introspect.client_secret)


def told(data: Path, *options: str, **environment: str) -> Result:
    named = {f"BLOBSTORE_{name.upper()}": value for name, value in environment.items()}
    return CliRunner(env=named).invoke(shown, ["--data", str(data), *options])


INTROSPECT = {"introspection_url": "https://as.example/introspect", "introspection_client_id": "rs"}


def test_without_options_this_servers_own_tokens_are_good(tmp_path: Path) -> None:
    assert told(tmp_path).output.strip() == repr(Authorization(None, (), {}))


def test_secrets_come_from_the_environment_and_are_never_shown(tmp_path: Path) -> None:
    result = told(tmp_path, **INTROSPECT, introspection_client_secret="s3cr3t")
    text, secret = result.output.splitlines()
    assert "s3cr3t" not in text
    assert secret == "s3cr3t"


def test_secrets_come_from_the_configuration_file(tmp_path: Path) -> None:
    lines = [*(f'{name} = "{value}"' for name, value in INTROSPECT.items()), 'introspection_client_secret = "s3cr3t"']
    lines += ['authorization_server = ["https://as.example"]', 'introspect_clients = ["other:a:b"]']
    (tmp_path / "blobstore.toml").write_text("\n".join(lines))
    text, secret = told(tmp_path).output.splitlines()
    assert secret == "s3cr3t"
    assert "issuers=('https://as.example',)" in text
    assert "{'other': 'a:b'}" not in text


@pytest.mark.parametrize(
    "options", [["--introspection-client-secret", "s3cr3t"], ["--introspect-clients", "other:s3cr3t"]]
)
def test_secrets_on_the_command_line_are_refused_and_not_repeated(tmp_path: Path, options: list[str]) -> None:
    result = told(tmp_path, *options)
    assert result.exit_code == 2
    assert "s3cr3t" not in result.output
    assert "BLOBSTORE_INTROSPECT" in result.output


@pytest.mark.parametrize(
    "environment", [INTROSPECT, {**INTROSPECT, "introspection_client_secret": ""}, {"introspect_clients": "nocolon"}]
)
def test_what_is_incomplete_is_refused(tmp_path: Path, environment: dict[str, str]) -> None:
    assert told(tmp_path, **environment).exit_code == 2
