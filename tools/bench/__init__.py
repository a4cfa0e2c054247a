"""`blobstore bench`: how fast this server is beside others that do the same work in the same run."""
