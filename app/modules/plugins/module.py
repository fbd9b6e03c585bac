"""Plugins: programs of others that hear of what happens at a tenant, by signed webhooks."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.events import Event
from app.core.live import Topic
from app.core.policy import Actor
from app.core.signs import SignSource
from app.core.templating import NavigationItem
from app.core.trace import TraceSource
from app.module import About, Module
from app.modules.plugins import permissions
from app.modules.plugins.controllers import (
    DeliveryController,
    InstallController,
    OwnerDeliveryController,
    OwnerPluginController,
    PluginController,
)
from app.modules.plugins.jobs import ExecuteHook, PurgeDeliveries
from app.modules.plugins.pages import DeliveryPages, InstallPages, PluginPages, provide_plugin_views
from app.modules.plugins.processor import execute_hook, purge_deliveries
from app.modules.plugins.repository import about_jobs, signs, steps
from app.modules.plugins.schemas import PLUGIN_ANSWERS
from app.modules.plugins.service import DELIVERIES, TOPIC, DeliveryService, PluginService, tell_plugins
from app.queues.schedules import Schedule
from app.queues.timing import Timing


def provide_plugins(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> PluginService:
    return PluginService(session, actor)


def provide_deliveries(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> DeliveryService:
    return DeliveryService(session, actor)


plugins = Module(
    name="plugins",
    api=(InstallController, PluginController, DeliveryController),
    owner_api=(OwnerPluginController, OwnerDeliveryController),
    pages=(PluginPages, DeliveryPages),
    member_pages=(InstallPages, PluginPages, DeliveryPages),
    providers={
        "plugins": provide_plugins,
        "deliveries": provide_deliveries,
        "plugin_views": provide_plugin_views,
    },
    processors=(execute_hook, purge_deliveries),
    subscribers=((Event, tell_plugins),),
    schedules=(Schedule("purge-deliveries", Timing(cron="53 3 * * *"), PurgeDeliveries()),),
    permissions=permissions.ALL,
    dangerous=("plugin.rotate",),
    topics=(Topic(TOPIC, permissions.READ), Topic(DELIVERIES, permissions.READ)),
    navigation=(
        NavigationItem("Plugins", "Plugins", "/plugins", "plug", permissions.READ, 45),
        NavigationItem("Plugins", "Deliveries", "/deliveries", "webhook", permissions.READ, 46),
    ),
    links={
        "plugin": ("/plugins/{id}", permissions.READ),
        "plugin_delivery": ("/deliveries/{id}", permissions.READ),
    },
    about=(About(ExecuteHook.kind, about_jobs, permissions.READ),),
    caches=(PLUGIN_ANSWERS,),
    signs=(SignSource(signs, permissions.READ, TOPIC, plane=None),),
    traces=(TraceSource(steps, permissions.READ, DELIVERIES),),
)
