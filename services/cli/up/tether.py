"""Runs a program that ends when the process that started it does, however that ended (Linux; elsewhere just runs it).

It is run by path, as a program of its own, and becomes the other program: the process id stays the same. The kernel
watches the *thread* that started it, so a tethered program must be started from a thread that lives as long as it.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1


def tethered(command: list[str], how: signal.Signals, user: pwd.struct_passwd | None = None) -> list[str]:
    """The command line that runs `command` (as `user`), and sends it `how` when this process is gone."""
    identity = f"{user.pw_uid}:{user.pw_gid}" if user else ""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(how)), identity, *command]


def main() -> None:
    parent, how, identity, *command = sys.argv[1:]
    if identity:
        uid, gid = (int(number) for number in identity.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":  # after setuid, which would undo it
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(how), 0, 0, 0)
        if os.getppid() != int(parent):
            sys.exit("tether: who started this is gone already")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and exec would hand that on
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
