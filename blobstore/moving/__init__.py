"""A store of rows from one database into another of another kind, while any number of processes go on using it.

What is large is copied ahead while writers go on; the source notes which rows change meanwhile. Then, in one
transaction of the source that keeps writers waiting, the rest follows, and the source says for good that it has moved.
Before that transaction commits nothing has happened: a mover that dies leaves notes and half a copy, which the next one
throws away. After it everybody who asks the source is told so, and finds the rows at the new place
(`blobstore.relocating`).
"""
