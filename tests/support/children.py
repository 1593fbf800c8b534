"""Programs that end with the tests, also when the tests are killed.

In: the words of a command. Out: the words to start instead.
"""

import shutil

_SETPRIV = shutil.which("setpriv")  # of util-linux: every Debian has it


def dies_with_us(*words: str) -> list[str]:
    """The command, killed by the kernel when the thread that started it is gone.

    Where there is no setpriv, the command as it is.
    """
    return [_SETPRIV, "--pdeathsig", "KILL", *words] if _SETPRIV else list(words)
