"""Reads: what a request asks for, which records its scope reaches, pages of them and of their changes."""
