"""The command as a program for shells: has the fork server of a test process run it.

`python fork_client.py SOCKET ARGS...` hands its streams, environment and working directory over, passes signals on, and
ends as the command does. It imports little, so that it starts in a few milliseconds.
"""

import json
import os
import signal
import socket
import struct
import sys

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def main() -> None:
    """Run one command."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    order = json.dumps({"args": sys.argv[2:], "env": dict(os.environ), "cwd": os.getcwd()}).encode()  # noqa: PTH109
    with socket.socket(socket.AF_UNIX) as control, control.makefile("r", encoding="ascii") as answers:
        control.connect(sys.argv[1])
        socket.send_fds(control, [struct.pack("!I", len(order))], [0, 1, 2])
        control.sendall(order)
        child = int(answers.readline())
        for signum in SIGNALS:
            signal.signal(signum, lambda number, _: os.kill(child, number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        status = int(answers.readline())
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main()
