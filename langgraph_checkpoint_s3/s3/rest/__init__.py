"""S3's REST protocol without an SDK: requests are built, signed and sent, and their responses parsed."""
