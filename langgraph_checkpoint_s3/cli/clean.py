"""Text from a bucket, made safe for a terminal: an admin's `print` has to do it too, so it is done there."""

from langgraph_checkpoint_s3.admin.plans.clean import clean

__all__ = ["clean"]
