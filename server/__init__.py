"""HTTP to calls and back: routing, authentication, scopes, wire formats, ranges, streaming; knows no SQL, no files."""
