"""Pages about commands, settings, errors and metrics, made from the program by `python -m tools.reference`."""
