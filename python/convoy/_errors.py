class Error(RuntimeError):
    """A failure, with Convoy's message. `exit_code` is the program's: 1 failed, 2 wrong usage or configuration, 75 stopped at
    a checkpoint; None if no program ran."""

    def __init__(self, message, exit_code=None):
        super().__init__(message)
        self.exit_code = exit_code
