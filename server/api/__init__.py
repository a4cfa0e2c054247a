"""The HTTP surface as an OpenAPI 3.1 document: written by hand beside the routes, held against them by tests."""

from server.api.document import document, text

__all__ = ["document", "text"]
