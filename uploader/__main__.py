"""Entry point of the command `figup` and of `python -m uploader`."""

# Not from `signal`, whose imports take a while, in which Ctrl-C would show a traceback.
from _signal import SIG_DFL, SIGINT, signal  # type: ignore[import-not-found]

# Until the command is loaded there is nothing to stop gracefully: let Ctrl-C end the process without a traceback.
_handler = signal(SIGINT, SIG_DFL)

import os  # noqa: E402
import sys  # noqa: E402

from uploader.cli.startup import gc_paused, handle_signals  # noqa: E402

handle_signals()

if sys.getfilesystemencoding() != "utf-8" and sys.executable:
    # Names are UTF-8 on Figshare, so read them as UTF-8 whatever the locale: else a job's paths and the names
    # of its files would differ between two locales. An option of the interpreter overrides PYTHONUTF8=0.
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - the same program

with gc_paused():
    from uploader.cli.main import main

signal(SIGINT, _handler)

if __name__ == "__main__":
    main()
