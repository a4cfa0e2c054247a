"""Records, their links to blobs, connectors, sync state, the spine and erasure; knows no HTTP and no file of a blob."""
