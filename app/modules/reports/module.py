"""Reports: what was found in articles, kept with the numbers behind it."""

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
from app.modules.reports.schemas import REPORT_ANSWERS
from app.modules.reports.service import TOPIC

reports = Module(
    name="reports",
    api=[ReportController],
    owner_api=[OwnerReportController],
    pages=[ReportPages],
    member_pages=[ReportPages],
    providers={"reports": provide_reports, "wanted": provide_filter},
    permissions=permissions.ALL,
    caches=[REPORT_ANSWERS],
    topics=[Topic(TOPIC, permissions.READ)],
    navigation=[NavigationItem("AI", "Reports", "/ai/reports", "file-text", permissions.READ, 43)],
)
