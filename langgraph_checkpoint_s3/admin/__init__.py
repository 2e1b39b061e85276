"""For those who run the bucket: versions, retention, signed URLs, set-up, batches, usage, moves.

    from langgraph_checkpoint_s3.admin import S3Admin

    admin = S3Admin(saver)

`admin.py` puts `S3Admin` together from one file a subject, each of which names its plans in `plans/`.
"""

from langgraph_checkpoint_s3.admin.admin import S3Admin

__all__ = ["S3Admin"]
