"""The local S3 server, which `local_s3` runs in a process of its own.

    server      HTTP: reads a request, checks its signature, sends the answer
    signatures  Signature Version 4, of headers and of signed URLs
    operations  S3's operations: what each does to the storage, and its answer
    listings    those that list, page by page
    messages    requests, answers, errors and XML
    storage     buckets, objects and their versions in one SQLite file

It imports the standard library alone, so that the process is ready in a fifth of a second.
"""
