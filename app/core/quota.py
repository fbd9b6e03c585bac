"""What a tenant may use at most: what a quota is, and the error that says that one is used up."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Problem

MEMBERS, ARTICLES, JOBS_IN_FLIGHT = "members", "articles", "jobsInFlight"
AI_CENTS_PER_MONTH, API_CALLS_PER_DAY = "aiCentsPerMonth", "apiCallsPerDay"
NEARLY = Decimal("0.8")
"""The part of a quota from which on people should know."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Something that can be counted for a tenant; the module that keeps it declares it.

    `label` names it in a sentence: "Articles". `used(session, tenant)` counts what there is now;
    None while nobody knows.
    """

    name: str
    label: str
    used: Callable[[AsyncSession, UUID], Awaitable[int | None]]


class QuotaExceeded(Problem):
    status, code, title = 409, "quota_exceeded", "This tenant may not use more of this"


def exceeded(label: str, most: int, used: int) -> QuotaExceeded:
    return QuotaExceeded(f"{label}: this tenant may have {most:,} and has {used:,}")
