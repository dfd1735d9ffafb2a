"""`python -m uploader` is the command `figup`; so is the script of that name."""

import signal

# Ctrl-C while everything is still being loaded just ends it: there is nothing to stop in good order yet, and a
# traceback would tell nobody anything.
_handler = signal.signal(signal.SIGINT, signal.SIG_DFL)

from uploader.cli.main import main  # noqa: E402

signal.signal(signal.SIGINT, _handler)

if __name__ == "__main__":
    main()
