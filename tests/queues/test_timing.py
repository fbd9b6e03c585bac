"""When schedules are due: cron in a time zone, intervals, and the days on which clocks are changed."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.queues.timing import Timing

BERLIN = "Europe/Berlin"
SPRING = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)  # at 02:00 on the 29th, clocks jump to 03:00
AUTUMN = datetime(2026, 10, 24, 22, 30, tzinfo=UTC)  # at 03:00 on the 25th, clocks go back to 02:00
ZONES = (BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Tehran")


def due(timing: Timing, after: datetime, zone: str = BERLIN) -> list[str]:
    """The next five, as the zone's clocks show them."""
    return [f"{each.astimezone(ZoneInfo(zone)):%d %H:%M%z}" for each in islice(timing.checked().upcoming(after), 5)]


@pytest.mark.parametrize(
    ("timezone", "expected"),
    [
        ("UTC", "2026-07-02T02:30:00+00:00"),
        (BERLIN, "2026-07-02T00:30:00+00:00"),
        ("Asia/Tehran", "2026-07-01T23:00:00+00:00"),
    ],
)
def test_a_schedule_reads_its_clock_in_its_own_zone(timezone: str, expected: str) -> None:
    timing = Timing(cron="30 2 * * *", timezone=timezone)
    assert timing.next_after(datetime(2026, 7, 1, 12, tzinfo=UTC)).isoformat() == expected


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(30, "every 30 seconds"), (60, "every minute"), (90, "every 90 seconds"), (300, "every 5 minutes"),
     (3600, "every hour"), (172_800, "every 2 days")],
)  # fmt: skip
def test_an_interval_is_told_in_the_largest_unit_that_fits(seconds: int, words: str) -> None:
    assert str(Timing(every_s=seconds)) == words


def test_a_time_that_is_left_out_is_due_once_as_soon_as_clocks_have_jumped() -> None:
    assert due(Timing(cron="30 2 * * *", timezone=BERLIN), SPRING)[:2] == ["29 03:00+0200", "30 02:30+0200"]
    assert due(Timing(cron="*/15 2 * * *", timezone=BERLIN), SPRING)[:2] == ["29 03:00+0200", "30 02:00+0200"]
    assert due(Timing(cron="0 2,3 * * *", timezone=BERLIN), SPRING)[:2] == ["29 03:00+0200", "30 02:00+0200"]


def test_a_time_that_occurs_twice_is_due_once() -> None:
    assert due(Timing(cron="30 2 * * *", timezone=BERLIN), AUTUMN)[:2] == ["25 02:30+0200", "26 02:30+0100"]
    between = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 02:10 for the second time
    assert due(Timing(cron="30 2 * * *", timezone=BERLIN), between)[0] == "26 02:30+0100"


def test_every_hour_means_every_hour_that_passes() -> None:
    hourly = Timing(cron="15 * * * *", timezone=BERLIN)
    assert due(hourly, SPRING)[:3] == ["29 01:15+0100", "29 03:15+0200", "29 04:15+0200"]
    assert due(hourly, AUTUMN)[:4] == ["25 01:15+0200", "25 02:15+0200", "25 02:15+0100", "25 03:15+0100"]


def test_an_interval_counts_the_seconds_that_pass() -> None:
    for start in (SPRING, AUTUMN):
        times = list(islice(Timing(every_s=5400, timezone=BERLIN).upcoming(start), 5))
        assert [(each - start) / timedelta(seconds=5400) for each in times] == [1, 2, 3, 4, 5]


def test_an_interval_keeps_its_beat_however_late_it_was_looked_at() -> None:
    since = datetime(2026, 7, 1, 12, tzinfo=UTC)
    late = since + timedelta(seconds=130)
    assert Timing(every_s=60).next_after(late, since) == since + timedelta(seconds=180)
    assert Timing(every_s=60).next_after(since, since) == since + timedelta(seconds=60)


@settings(max_examples=60, deadline=None)
@given(
    minutes=st.sampled_from(["*/7", "15,45", "0", "*/20", "59"]),
    zone=st.sampled_from(ZONES),
    change=st.sampled_from(["2026-03-08T07", "2026-03-29T01", "2026-04-04T15", "2026-10-25T01", "2026-11-01T06"]),
    off=st.integers(-9000, 9000),
)
def test_no_hour_that_passes_is_passed_over(minutes: str, zone: str, change: str, off: int) -> None:
    """Against the plain way: minute by minute, ask what the clocks show."""
    timing = Timing(cron=f"{minutes} * * * *", timezone=zone)
    moment = datetime.fromisoformat(f"{change}:00:00+00:00") + timedelta(seconds=off)
    minute = moment.replace(second=0) + timedelta(minutes=1)
    while not croniter.match(timing.cron, minute.astimezone(ZoneInfo(zone)).replace(tzinfo=None)):
        minute += timedelta(minutes=1)
    assert timing.next_after(moment) == minute


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        *((Timing(cron=cron), "cron") for cron in ("", "* * * *", "* * * * * *", "@daily", "61 * * * *", "R * * * *")),
        *((Timing(cron=cron), "cron") for cron in ("٣ * * * *", "0 0 30 2 *", "*/0 * * * *", "5-1 * * * *", "x" * 999)),
        *((Timing(cron="0 0 * * *", timezone=zone), "timezone") for zone in ("", "Europe", "../UTC", "\0", "CETI")),
        *((Timing(every_s=seconds), "everyS") for seconds in (-60, 0, 9, 10**9)),
        (Timing(), "cron"),
        (Timing(cron="0 0 * * *", every_s=60), "cron"),
    ],
)
def test_what_cannot_be_a_schedule_is_refused_by_name(wrong: Timing, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        wrong.checked()
    assert [error.field for error in refused.value.errors] == [field]


def test_names_of_months_and_days_are_fine_and_spaces_are_tidied() -> None:
    assert Timing(cron=" 0  6 1-15 JAN-jun Mon,fri ").checked().cron == "0 6 1-15 JAN-jun Mon,fri"
