"""The only room that talks to S3.

`requests.py` is what can be asked and answered, `translate.py` says it in botocore's words,
`error_mapping.py` turns botocore's errors into ours. `sync_client.py` and `async_client.py` hold the clients,
`store.py` runs plans on them, and `cache.py` remembers bodies.
"""
