"""The command `convoy`. It replaces this process by the program, so signals, output and exit codes are the program's own."""
import os
import sys

from . import _files
from ._errors import Error


def main():
    try:
        program = str(_files.program())
        os.execve(program, ["convoy", *sys.argv[1:]], _files.environment())
    except (Error, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
