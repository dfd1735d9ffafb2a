"""The sandbox as the child of another command: `figup sandbox` that ends when its parent does, however that ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from uploader.cli.main import main

_PATIENCE = 5.0


def _end_with_parent() -> None:
    """Stdin is a pipe that the parent never writes to: it ends when the parent does, also by SIGKILL."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, name="sandbox-parent", daemon=True).start()
    main(["sandbox", *sys.argv[1:]])
