"""Tenants: the customers, and the workspaces that divide their work."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.live import Topic
from app.core.policy import Actor, holder_of
from app.core.queries import columns
from app.core.quota import API_CALLS_PER_DAY, JOBS_IN_FLIGHT, Quota
from app.core.signs import SignSource
from app.core.templating import NavigationItem
from app.module import Exportable, Module
from app.modules.tenants.controllers import QuotaController, TenantController, WorkspaceController
from app.modules.tenants.models import TenantRecord
from app.modules.tenants.pages import OwnPages, TenantPages, WorkspacePages, provide_views
from app.modules.tenants.permissions import ALL, OWN, READ, WRITE
from app.modules.tenants.processor import erase_tenant
from app.modules.tenants.schemas import RecordRead, read_record
from app.modules.tenants.service import (
    TOPIC,
    QuotaService,
    TenantService,
    all_of_tenant,
    calls_today,
    rest_of_tenant,
    room_for_jobs,
    signs,
)
from app.queues.quota import in_flight


def provide_tenants(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> TenantService:
    return TenantService(session, actor)


def provide_quotas(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> QuotaService:
    return QuotaService(session, actor)


tenants = Module(
    name="tenants",
    owner_api=(TenantController, WorkspaceController, QuotaController),
    pages=(TenantPages, WorkspacePages),
    member_pages=(OwnPages,),
    providers={
        "tenants": provide_tenants,
        "quota_service": provide_quotas,
        "views": provide_views,
        "holder": holder_of,
    },
    processors=(erase_tenant,),
    permissions=ALL,
    dangerous=("owner.tenant.delete",),
    actions=("owner.tenant.erase",),
    topics=(Topic(TOPIC, READ),),
    navigation=(
        NavigationItem("Platform", "Tenants", "/tenants", "building", READ, order=60),
        NavigationItem("Tenant", "Workspaces", "/workspaces", "briefcase", OWN, 59, Plane.TENANT),
    ),
    quotas=(
        Quota(JOBS_IN_FLIGHT, "Jobs in flight", in_flight),
        Quota(API_CALLS_PER_DAY, "API calls per day", calls_today),
    ),
    signs=(SignSource(signs, OWN, TOPIC, plane=Plane.TENANT),),
    exports=(
        Exportable(
            "tenant",
            "A tenant with all that is its",
            WRITE,
            all_of_tenant,
            TenantRecord.id,
            read_record,
            columns(RecordRead),
            rest=rest_of_tenant,
        ),
    ),
    links={"tenant": ("/tenants/{id}", READ)},
    ports={"room_for_jobs": lambda _: room_for_jobs},
)
