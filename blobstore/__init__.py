"""Bytes in, digest out; digest in, bytes out."""
