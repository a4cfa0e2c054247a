"""Thumbnails: small pictures of blobs that are pictures, made when somebody asks and kept beside the blob.

`child` makes them, in a process of its own, for what they are made of is hostile; `process` is that process, seen from
here; `thumbnails` is what others use. What is kept goes with the blob, in the step that condemns it.
"""
