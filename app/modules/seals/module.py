"""Seals: signed, chained blocks over the audit log."""

from dataclasses import replace

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.policy import Actor
from app.core.signs import SignSource
from app.module import Module, Parts
from app.modules.audit.service import EXPORTABLE
from app.modules.seals.controllers import SealController
from app.modules.seals.jobs import VerifyAudit
from app.modules.seals.pages import SealPages
from app.modules.seals.permissions import ALL, READ
from app.modules.seals.processor import verify_audit
from app.modules.seals.repository import holding, signs
from app.modules.seals.service import TOPIC, Sealer, Seals, signing_key
from app.queues.loops import Loop
from app.queues.schedules import Schedule
from app.queues.timing import Timing

SEAL_EVERY_S = 5.0


def provide_seals(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> Seals:
    return Seals(session, actor)


def sealer(parts: Parts) -> Sealer:
    return Sealer(parts.database, signing_key(parts.settings.encryption_key))


seals = Module(
    name="seals",
    owner_api=(SealController,),
    pages=(SealPages,),
    providers={"seals": provide_seals},
    processors=(verify_audit,),
    schedules=(Schedule("verify-audit", Timing(cron="41 3 * * *"), VerifyAudit()),),
    permissions=ALL,
    signs=(SignSource(signs, READ, TOPIC),),
    topics=(Topic(TOPIC, READ),),
    exports=(replace(EXPORTABLE, trailer=holding),),
    ports={"seal_key": lambda parts: signing_key(parts.settings.encryption_key)},
    resources={Sealer: sealer},
    loops=(lambda parts: Loop("seals", SEAL_EVERY_S, sealer(parts).seal),),
)
