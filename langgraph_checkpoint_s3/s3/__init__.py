"""The only room that talks to S3.

`requests.py` is what can be asked and answered, `wire.py` says it in botocore's words, `faults.py`
turns botocore's errors into ours. `boto.py` and `aio.py` hold the clients, `drivers.py` runs plans
on them, and `cache.py` remembers bodies.
"""
