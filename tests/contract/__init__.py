"""What the saver promises, seen from outside and at the HTTP edge.

The tests run on moto here, and on real servers in `tests/integration/test_contract.py`, which takes the
classes whose store's features allow it. Requests pass through `front.py`, which counts, fails and cuts them.
"""
