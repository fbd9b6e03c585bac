"""A process whose clock is ahead: Python's `time.time` and `datetime.now`, as the product and BullMQ read them."""

import datetime
import sys
import time
from typing import Any

real_time = time.time


class _Meta(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, datetime.datetime)


def set_ahead(seconds: float) -> None:
    """To be called after the product was imported: what it has imported by name is replaced there."""
    if not seconds:
        return
    shift = datetime.timedelta(seconds=seconds)

    class Ahead(datetime.datetime, metaclass=_Meta):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return datetime.datetime.now(tz) + shift

    time.time = lambda: real_time() + seconds
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in ("app", "bullmq"):
            for attribute, value in list(vars(module).items()):
                if value is datetime.datetime:
                    setattr(module, attribute, Ahead)
                elif value is real_time:
                    setattr(module, attribute, time.time)
