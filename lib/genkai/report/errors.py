"""The one error of the report chain."""

from genkai.refusals import Refusal


class ReportError(Refusal):
    """A document cannot be made: the message says where, what was expected, what was found and the next step."""

    def __init__(self, where: str, expected: str, got: str, next_step: str) -> None:
        self.where, self.expected, self.got, self.next_step = where, expected, got, next_step
        super().__init__(f"{where}: expected {expected}, got {got}; next: {next_step}")
