"""Shapes of grants, and of what an authorization server says of a token."""

from server.api.answers.records import SOURCE
from server.api.schema import (
    COUNT,
    FLAG,
    MOMENT,
    TEXT,
    TEXTS,
    Schema,
    array_of,
    list_of,
    optional,
    record_of,
    ref,
    tagged,
)

_TIME_CONSTRAINT = record_of({"field": TEXT}, since=MOMENT, until=MOMENT)

_STREAM_GRANT = record_of(
    {"name": TEXT, "instance_ids": TEXTS, "fields": TEXTS}, time_constraint=_TIME_CONSTRAINT, resources=TEXTS
)

_RIGHTS: dict[str, Schema] = {
    "source": SOURCE,
    "purpose_code": TEXT,
    "access_mode": {"enum": ["single_use", "continuous"]},
    "streams": array_of(_STREAM_GRANT),
}

_CONTEXT: dict[str, Schema] = {
    "issued_at": MOMENT,
    "source": SOURCE,
    "source_declaration": record_of({"version": TEXT}),
}

_IDENTITY: dict[str, Schema] = {"grant_id": TEXT, "client_id": TEXT, "subject_id": TEXT}

GRANTS: dict[str, Schema] = {
    "GrantDocument": record_of(
        {
            "version": {"const": "0.1.0"},
            "grant_id": TEXT,
            "subject": record_of({"id": TEXT}),
            "client": record_of({"client_id": TEXT}),
            **_CONTEXT,
            **_RIGHTS,
        },
        expires_at=MOMENT,
    ),
    "Grant": tagged(
        "grant",
        {
            "grant_id": TEXT,
            "client_id": TEXT,
            "status": {"enum": ["active", "expired", "revoked"]},
            "created_at": MOMENT,
            "revoked_at": optional(MOMENT),
            "grant": ref("GrantDocument"),
        },
        token=TEXT | {"description": "The client's; told when the grant is made, and nowhere else."},
    ),
    "GrantList": list_of(ref("Grant")),
    "Introspection": record_of(
        {"active": FLAG},
        inactive_reason={"enum": ["grant_revoked", "grant_expired", "grant_invalid"]},
        iss=TEXT,
        exp=COUNT,
        pdpp_token_kind={"enum": ["owner", "client"]},
        **_IDENTITY,
        authorization_details=array_of(record_of({"type": TEXT, **_RIGHTS}), minItems=1, maxItems=1),
        pdpp=record_of({"context_kind": TEXT, **_IDENTITY, **_CONTEXT}),
        grant_storage_binding=record_of({"connector_id": TEXT}),
    ),
}
