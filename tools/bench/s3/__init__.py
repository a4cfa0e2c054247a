"""`blobstore bench s3`: blobs in a store of S3, against boto3 alone doing the same with the same store."""

from tools.bench.s3.command import s3

__all__ = ["s3"]
