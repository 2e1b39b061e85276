"""The only package that talks to S3.

`requests.py` declares requests and answers, `translate.py` maps them to botocore's arguments and responses,
`error_mapping.py` maps botocore's errors to this package's. `sync_client.py` and `async_client.py` hold the
clients, `store.py` runs plans on them, `request_state.py` retries, and `cache.py` caches bodies.
"""
