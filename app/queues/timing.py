"""When a schedule is due: by a cron expression read in a time zone, or every so many seconds."""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from croniter import croniter

from app.core.errors import Invalid

LONGEST_CRON = 120
MIN_EVERY_S, MAX_EVERY_S = 10, 366 * 24 * 3600
_NAMES = "jan feb mar apr may jun jul aug sep oct nov dec sun mon tue wed thu fri sat l"
# croniter also takes seconds, @daily, and letters that draw a moment by chance: five plain fields are what we mean.
_CRON = re.compile(rf"(?:(?:{'|'.join(_NAMES.split())}|[0-9*/,?#-])+(?: +|$)){{5}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Timing:
    """Either `cron`, five fields read in `timezone`, or `every_s`, counted in seconds that really pass.

    Where clocks are changed, a time of day that occurs twice counts once, the first time; one that is left out
    counts as soon as the clocks have jumped. A cron whose hour is `*` means every hour that passes, so it follows
    the elapsed time instead: twice in the hour that occurs twice, never in the one that is left out.
    """

    cron: str | None = None
    every_s: int | None = None
    timezone: str = "UTC"

    def checked(self) -> "Timing":
        """The same, with single spaces in `cron`.

        Raises:
            Invalid: naming `cron`, `everyS` or `timezone`.
        """
        if (self.cron is None) == (self.every_s is None):
            raise Invalid.field("cron", "give either a cron expression or an interval in seconds")
        checked_zone(self.timezone)
        if self.every_s is not None:
            if not MIN_EVERY_S <= self.every_s <= MAX_EVERY_S:
                raise Invalid.field("everyS", f"must be from {MIN_EVERY_S} to {MAX_EVERY_S} seconds")
            return self
        return Timing(cron=_checked_cron(self.cron or ""), timezone=self.timezone)

    def next_after(self, moment: datetime, since: datetime | None = None) -> datetime:
        """The first time that is due after `moment`, in UTC.

        Args:
            since: an earlier due time. Intervals are counted from it, or else from `moment`.
        """
        if self.every_s is not None:
            start, step = since or moment, timedelta(seconds=self.every_s)
            return (start + ((moment - start) // step + 1) * step).astimezone(UTC)
        cron, zone = self.cron or "", ZoneInfo(self.timezone)
        each_hour = croniter(cron).expanded[1] == ["*"]
        find = _by_elapsed_hours if each_hour else _by_time_of_day
        return find(cron, zone, moment.astimezone(UTC))

    def upcoming(self, moment: datetime, since: datetime | None = None) -> Iterator[datetime]:
        """What is due after `moment`, without end."""
        while True:
            moment = since = self.next_after(moment, since)
            yield moment

    def __str__(self) -> str:
        return f"{self.cron} ({self.timezone})" if self.cron else in_words(self.every_s or 0)


def in_words(every_s: int) -> str:
    """In the largest unit that divides it: "every 5 minutes", "every hour", "every 90 seconds"."""
    units = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
    size, unit = next(each for each in units if every_s % each[0] == 0)
    number = every_s // size
    return f"every {unit}" if number == 1 else f"every {number} {unit}s"


@functools.cache
def zones() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime"})  # whatever this machine happens to be set to


def checked_zone(name: str) -> str:
    """
    Raises:
        Invalid (`timezone`): there is no such time zone.
    """
    if name not in zones():
        raise Invalid.field("timezone", "is no time zone, such as UTC or Europe/Berlin")
    return name


def _checked_cron(text: str) -> str:
    cron = " ".join(text.split())
    if len(cron) > LONGEST_CRON or not _CRON.fullmatch(cron.lower()):
        raise Invalid.field("cron", "must have five fields: minute, hour, day of month, month, day of week")
    try:
        # From a year that a leap day follows soon: a date that never comes is found out here.
        croniter(cron, datetime(2024, 1, 1)).get_next(datetime)
    except (ValueError, KeyError) as error:
        why = str(error).replace("failed to find next date", "names a day that never comes")
        raise Invalid.field("cron", why) from error
    return cron


def _by_time_of_day(cron: str, zone: ZoneInfo, moment: datetime) -> datetime:
    walls = croniter(cron, moment.astimezone(zone).replace(tzinfo=None))
    while True:
        due = _instant(walls.get_next(datetime), zone)
        if due > moment:  # not so in the second of two equal hours, whose times have been due before
            return due


def _by_elapsed_hours(cron: str, zone: ZoneInfo, moment: datetime) -> datetime:
    # Cron knows whole minutes, so looking from the second before is the same as looking from the minute itself.
    moment = moment.replace(microsecond=0)
    offset, start = _offset(moment, zone), moment
    while True:
        wall = (start + offset).replace(tzinfo=None)
        due = (croniter(cron, wall).get_next(datetime) - offset).replace(tzinfo=UTC)
        if _offset(due, zone) == offset:
            return due
        # The clocks are changed on the way there: look again from that moment on, by the new time.
        changed = _change(start, due, zone)
        offset, start = _offset(changed, zone), changed - timedelta(seconds=1)


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """When clocks in the zone show `wall` for the first time, or jump over it."""
    due = wall.replace(tzinfo=zone).astimezone(UTC)
    if due.astimezone(zone).replace(tzinfo=None) == wall:
        return due
    return _change(wall.replace(tzinfo=zone, fold=1).astimezone(UTC), due, zone)


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first second of new time between two moments on either side of a change."""
    old = _offset(before, zone)
    while (apart := int((after - before).total_seconds())) > 1:
        middle = before + timedelta(seconds=apart // 2)
        before, after = (middle, after) if _offset(middle, zone) == old else (before, middle)
    return after


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()
