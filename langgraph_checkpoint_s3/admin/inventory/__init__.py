"""Reports of S3 Inventory, which take the place of listings."""
