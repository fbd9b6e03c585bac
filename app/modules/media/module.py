"""Media: files of tenants, and smaller pictures of those that are images."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.policy import Actor
from app.core.quota import Quota
from app.core.settings import Settings
from app.core.templating import NavigationItem
from app.core.trace import TraceSource
from app.module import Module
from app.modules.media import permissions
from app.modules.media.client import Folder, folder_of
from app.modules.media.controllers import FileController, OwnerFileController, TenantFileController
from app.modules.media.jobs import SweepFiles
from app.modules.media.pages import FilePages, MemberFilePages, TenantFileActs
from app.modules.media.processor import make_images, sweep_files
from app.modules.media.repository import bytes_of, steps
from app.modules.media.service import FILE_BYTES, TOPIC, FileService
from app.queues.schedules import Schedule
from app.queues.timing import Timing


def provide_files(
    session: NamedDependency[AsyncSession], actor: NamedDependency[Actor], settings: NamedDependency[Settings]
) -> FileService:
    return FileService(session, actor, folder_of(settings))


media = Module(
    name="media",
    api=[FileController],
    owner_api=[OwnerFileController, TenantFileController],
    pages=[FilePages, TenantFileActs],
    member_pages=[MemberFilePages],
    providers={"files": provide_files},
    processors=[make_images, sweep_files],
    schedules=[Schedule("sweep-files", Timing(cron="41 3 * * *"), SweepFiles())],
    permissions=permissions.ALL,
    topics=[Topic(TOPIC, permissions.READ)],
    navigation=[NavigationItem("Content", "Files", "/files", "file-text", permissions.READ, 34)],
    traces=[TraceSource(steps, permissions.READ, TOPIC)],
    quotas=[Quota(FILE_BYTES, "Bytes of files", bytes_of)],
    links={"file": ("/files/{id}", permissions.READ)},
    resources={Folder: lambda parts: folder_of(parts.settings)},
)
