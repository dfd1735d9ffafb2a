"""Entry point of the command `figup` and of `python -m uploader`."""

import signal

# Until the command is loaded there is nothing to stop gracefully: let Ctrl-C end the process without a traceback.
_handler = signal.signal(signal.SIGINT, signal.SIG_DFL)

from uploader.cli.main import main  # noqa: E402

signal.signal(signal.SIGINT, _handler)

if __name__ == "__main__":
    main()
