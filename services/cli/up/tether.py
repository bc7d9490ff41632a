"""Tether: runs a program that is signalled when the process that started it ends, also when that one was killed.

This works on Linux; elsewhere the program just runs. This file is run by its path and replaces itself by the program,
which keeps the pid. The kernel watches the *thread* that started it: that thread must live as long as the program.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1


def tethered(command: list[str], how: signal.Signals, user: pwd.struct_passwd | None = None) -> list[str]:
    """The command line that runs `command` (as `user`) and sends it the signal `how` when this process ends."""
    identity = f"{user.pw_uid}:{user.pw_gid}" if user else ""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(how)), identity, *command]


def main() -> None:
    parent, how, identity, *command = sys.argv[1:]
    if identity:
        uid, gid = (int(number) for number in identity.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":  # after setuid, which clears it
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(how), 0, 0, 0)
        if os.getppid() != int(parent):
            sys.exit("tether: the process that started this has ended already")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and the program would inherit that
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
