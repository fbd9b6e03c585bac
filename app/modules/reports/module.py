"""Reports: what was found in articles, kept with the numbers behind it."""

from typing import get_args

from app.core.live import Topic
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.reports import permissions
from app.modules.reports.controllers import (
    OwnerReportController,
    ReportController,
    provide_filter,
    provide_reports,
)
from app.modules.reports.pages import ReportPages
from app.modules.reports.schemas import REPORT_ANSWERS, VERDICTS
from app.modules.reports.service import TOPIC, ArticleFact, judge_anew

reports = Module(
    name="reports",
    api=[ReportController],
    owner_api=[OwnerReportController],
    pages=[ReportPages],
    member_pages=[ReportPages],
    providers={"reports": provide_reports, "wanted": provide_filter},
    permissions=permissions.ALL,
    subscribers=[(fact, judge_anew) for fact in get_args(ArticleFact)],
    caches=[REPORT_ANSWERS, VERDICTS],
    topics=[Topic(TOPIC, permissions.READ)],
    navigation=[NavigationItem("AI", "Reports", "/ai/reports", "file-text", permissions.READ, 43)],
)
