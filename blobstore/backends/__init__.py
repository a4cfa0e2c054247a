"""Places for bytes: adapters of `blobstore.backend`."""
