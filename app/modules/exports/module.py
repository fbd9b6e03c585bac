"""Exports: lists as files, made by a job and kept for a day."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.policy import Actor
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.exports.controllers import ExportController
from app.modules.exports.jobs import PurgeExports
from app.modules.exports.pages import ExportPages
from app.modules.exports.permissions import ALL, READ
from app.modules.exports.processor import export_list, purge_exports
from app.modules.exports.service import TOPIC, Exports
from app.queues.schedules import Schedule
from app.queues.timing import Timing


def provide_exports(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> Exports:
    return Exports(session, actor)


exports = Module(
    name="exports",
    owner_api=(ExportController,),
    pages=(ExportPages,),
    member_pages=(ExportPages,),
    providers={"exports": provide_exports},
    processors=(export_list, purge_exports),
    schedules=(Schedule("purge-exports", Timing(cron="27 * * * *"), PurgeExports()),),
    permissions=ALL,
    topics=(Topic(TOPIC, READ),),
    navigation=(NavigationItem("Platform", "Exports", "/exports", "download", READ, order=85),),
)
