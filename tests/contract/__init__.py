"""Tests of the saver against an S3 server, and of the HTTP requests that it sends.

The tests run on moto here, and on real servers in `tests/integration/test_contract.py`, which takes the
classes whose store's features allow it. Requests pass through `front.py`, which counts, fails and cuts them.
"""
