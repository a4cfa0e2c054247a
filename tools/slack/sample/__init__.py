"""A small made-up workspace for demonstrations and tests, in each form that people have one in.

Everything is deterministic: the same arguments give the same files, byte for byte. `write` says what must become of
each file, so that whoever hydrates the workspace can be checked against it.
"""

from tools.slack.sample.write import FORMS, Expected, Form, write

__all__ = ["FORMS", "Expected", "Form", "write"]
