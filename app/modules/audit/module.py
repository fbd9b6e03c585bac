"""Audit: who did what, kept for ever and changed by nobody."""

from app.core.live import Topic
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.audit.controllers import AuditController, provide_filter, provide_trail
from app.modules.audit.pages import AuditPages
from app.modules.audit.permissions import ALL, READ
from app.modules.audit.service import TOPIC

audit = Module(
    name="audit",
    owner_api=(AuditController,),
    pages=(AuditPages,),
    providers={"trail": provide_trail, "wanted": provide_filter},
    permissions=ALL,
    topics=(Topic(TOPIC, READ),),
    navigation=(NavigationItem("Platform", "Audit log", "/logs/audit", "shield-check", READ, order=80),),
)
