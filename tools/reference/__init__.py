"""Pages about commands, settings and errors, made from the program by `python -m tools.reference`."""
