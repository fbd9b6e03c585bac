"""Tenants: the customers, and the workspaces that divide their work."""

from app.core.live import Topic
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.tenants.controllers import TenantController, provide_tenants
from app.modules.tenants.pages import TenantPages
from app.modules.tenants.permissions import ALL, READ
from app.modules.tenants.service import TOPIC

tenants = Module(
    name="tenants",
    owner_api=(TenantController,),
    pages=(TenantPages,),
    providers={"tenants": provide_tenants},
    permissions=ALL,
    topics=(Topic(TOPIC, READ),),
    navigation=(NavigationItem("Platform", "Tenants", "/tenants", "building", READ, order=60),),
)
