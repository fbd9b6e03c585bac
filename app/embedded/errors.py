"""Why `teknav up` did not start, in words for the person at the terminal."""


class CannotStart(Exception):
    """Nothing was left running; the message says what is wrong and what to do about it."""

    exit_code = 1


class AlreadyRunning(CannotStart):
    """Another `teknav up` owns the data folder."""

    exit_code = 3
