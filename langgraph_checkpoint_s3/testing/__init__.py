"""A local S3 server for development, demos and tests, and a proxy that injects faults.

```python
from langgraph_checkpoint_s3.testing import local_s3

with local_s3("./data") as server:
    os.environ.update(server.environment())
    ...
```

`FaultServer` is a proxy for such a server. It injects the faults of
`langgraph_checkpoint_s3.testing.faults`: errors, delays and truncated responses.
`langgraph_checkpoint_s3.testing.fixtures` has pytest fixtures of both. See `docs/testing.md`.

None of this is needed to use the saver with a real store.
"""

from ._processes import ServerError
from .fault_server import FaultServer
from .local_server import LocalS3, local_s3

__all__ = ["FaultServer", "LocalS3", "ServerError", "local_s3"]
