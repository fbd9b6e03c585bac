"""Templates: what models are told for each kind of task, in versions that runs name."""

from app.core.database import Plane
from app.core.live import Topic
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.prompts import permissions
from app.modules.prompts.controllers import TemplateController, provide_templates
from app.modules.prompts.pages import TemplatePages
from app.modules.prompts.service import TOPIC

prompts = Module(
    name="prompts",
    owner_api=[TemplateController],
    pages=[TemplatePages],
    providers={"templates": provide_templates},
    permissions=permissions.ALL,
    topics=[Topic(TOPIC, permissions.READ)],
    navigation=[NavigationItem("AI", "Templates", "/ai/templates", "message", permissions.READ, 45, Plane.PLATFORM)],
    links={"ai_template": ("/ai/templates/{id}", permissions.READ)},
)
