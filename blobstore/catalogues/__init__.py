"""Adapters of `blobstore.catalogue`."""
