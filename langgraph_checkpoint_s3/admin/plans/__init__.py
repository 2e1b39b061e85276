"""What each of the admin module's operations asks of S3, in what order. No I/O, like `plans/` beside it."""
