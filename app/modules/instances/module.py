"""Instances: workflows that run, and the engine that drives them."""

from app.core.events import Event
from app.core.live import Topic
from app.core.signs import SignSource
from app.core.templating import NavigationItem
from app.core.trace import TraceSource
from app.module import Module
from app.modules.ai.events import TaskEnded
from app.modules.approvals.events import ApprovalEnded
from app.modules.email.events import EmailEnded
from app.modules.instances import permissions
from app.modules.instances.controllers import (
    InstanceActs,
    InstanceController,
    OwnerInstanceController,
    provide_instance_filter,
    provide_instances,
)
from app.modules.instances.pages import InstancePages
from app.modules.instances.processor import execute_step
from app.modules.instances.repository import signs, steps
from app.modules.instances.schemas import INSTANCE_ANSWERS
from app.modules.instances.service import TOPIC, on_approval, on_delivery, on_email, on_fact, on_task
from app.modules.plugins.events import DeliveryEnded

instances = Module(
    name="instances",
    api=[InstanceController, InstanceActs],
    owner_api=[OwnerInstanceController, InstanceActs],
    pages=[InstancePages],
    member_pages=[InstancePages],
    providers={"instances": provide_instances, "wanted": provide_instance_filter},
    processors=[execute_step],
    subscribers=[
        (Event, on_fact),
        (ApprovalEnded, on_approval),
        (DeliveryEnded, on_delivery),
        (EmailEnded, on_email),
        (TaskEnded, on_task),
    ],
    permissions=permissions.ALL,
    actions=["instance.end"],
    caches=[INSTANCE_ANSWERS],
    topics=[Topic(TOPIC, permissions.READ)],
    navigation=[NavigationItem("Workflows", "Instances", "/workflows/instances", "activity", permissions.READ, 36)],
    signs=[SignSource(signs, permissions.READ, TOPIC, plane=None)],
    traces=[TraceSource(steps, permissions.READ, TOPIC)],
    links={"workflow_instance": ("/workflows/instances/{id}", permissions.READ)},
)
