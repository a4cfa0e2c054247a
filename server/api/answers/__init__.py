"""Shapes of what is answered, by the names that operations use."""

from server.api.answers.about import ABOUT
from server.api.answers.blobs import BLOBS
from server.api.answers.erasures import ERASURES
from server.api.answers.grants import GRANTS
from server.api.answers.records import RECORDS
from server.api.answers.spine import SPINE
from server.api.schema import Schema

ANSWERS: dict[str, Schema] = {**RECORDS, **BLOBS, **ERASURES, **SPINE, **GRANTS, **ABOUT}
