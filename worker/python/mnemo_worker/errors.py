"""Failures that end a worker: a sentence for people, and the exit code of mnemo-worker for the same."""

USAGE, DATA, NO_INPUT, UNAVAILABLE, NOMEM, IO, PROTOCOL, PERMISSION, CONFIG = 64, 65, 66, 69, 71, 74, 76, 77, 78


class Failure(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code = code
