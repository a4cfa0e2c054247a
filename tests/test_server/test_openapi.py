"""The OpenAPI document: it is valid, and it names every route, every method and every error, and nothing else."""

from typing import Any

import jsonschema_rs
import pytest
from aiohttp import web
from openapi_spec_validator import validate

from server import api, routes
from server.api.errors import ALWAYS, FAILURES
from server.api.operations import OPERATIONS
from server.config import PDPP_VERSION
from server.errors import AMBIGUOUS_WRITE, TABLE, UNEXPECTED
from tests.conformance.http import document
from tools import apidocs

TABLES = {
    "anyone": routes.PUBLIC,
    "watcher": routes.WATCHERS,
    "owner": routes.OWNER,
    "owner or client": routes.READS,
    "resource server or owner": routes.SERVERS,
}

GOOD = {
    "Request-Id": "req_1",
    "PDPP-Version": PDPP_VERSION,
    "Cache-Control": "private, no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Type": "application/json; charset=utf-8",
}


def test_the_document_is_valid_openapi() -> None:
    validate(api.document())


def test_every_route_and_method_is_in_the_document_and_nothing_else() -> None:
    described = {(path, method, of.callers) for path, methods in OPERATIONS.items() for method, of in methods.items()}
    assert described == {
        (path, method, callers) for callers, table in TABLES.items() for path in table for method in table[path]
    }


def test_the_document_names_the_methods_that_the_router_has() -> None:
    app = web.Application()
    routes.install(app.router)
    served = {(route.resource.canonical, route.method) for route in app.router.routes() if route.resource is not None}
    for path, item in api.document()["paths"].items():
        for method in item.keys() - {"parameters"}:
            assert (path, method.upper()) in served


def test_operation_ids_are_unique() -> None:
    ids = [of.id for methods in OPERATIONS.values() for of in methods.values()]
    assert len(set(ids)) == len(ids)


def test_every_row_of_the_table_of_errors_is_in_the_document() -> None:
    for row in (*TABLE.values(), AMBIGUOUS_WRITE, UNEXPECTED):
        described = FAILURES[row.code]
        assert (described.status, described.type) == (row.status, row.type)
        assert set(row.headers) <= _headers_of(row.status)


def test_every_code_that_is_described_is_one_that_some_operation_answers() -> None:
    answered = {code for methods in OPERATIONS.values() for of in methods.values() for code in of.errors}
    assert answered | set(ALWAYS) == set(FAILURES)


def test_statuses_that_errors_have_are_those_of_the_table() -> None:
    rows = {row.status for row in (*TABLE.values(), UNEXPECTED)}
    assert {of.status for of in FAILURES.values()} == rows


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": 418},
        {"headers": {}},
        {"headers": GOOD | {"Cache-Control": "public"}},
        {"body": b'{"status":"fine"}'},
        {"body": b'{"status":"ok","more":1}'},
    ],
    ids=["status", "missing header", "header", "value", "member"],
)
def test_an_answer_that_the_document_does_not_allow_is_found(wrong: dict[str, Any]) -> None:
    good: dict[str, Any] = {"status": 200, "headers": GOOD, "body": b'{"status":"ok"}'}
    document.judge("GET", "/healthz", **good)
    with pytest.raises((AssertionError, jsonschema_rs.ValidationError)):
        document.judge("GET", "/healthz", **good | wrong)


def test_the_rendered_reference_is_current() -> None:
    assert apidocs.PAGE.read_text(encoding="utf-8") == apidocs.render(), "make it anew: python -m tools.apidocs"


def _headers_of(status: int) -> set[str]:
    return {
        name
        for item in api.document()["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict) and str(status) in operation["responses"]
        for name in operation["responses"][str(status)]["headers"]
    }
