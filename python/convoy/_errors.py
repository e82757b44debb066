class Error(RuntimeError):
    """What went wrong, in Convoy's words. `exit_code` is the program's: 1 failed, 2 wrong usage or configuration, 75 stopped
    at a checkpoint; None where no program ran."""

    def __init__(self, message, exit_code=None):
        super().__init__(message)
        self.exit_code = exit_code
