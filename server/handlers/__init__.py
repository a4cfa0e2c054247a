"""One module per resource of the HTTP surface: parse, call, reply."""
