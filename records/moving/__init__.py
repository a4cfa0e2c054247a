"""Connectors from one engine into another while everybody goes on: copied, caught up with, checked, switched."""
