"""AI's templates on the wire."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, field

from app.core.wire import Incoming, Outgoing

MAX_TEXT, MAX_MESSAGE = 8_000, 200
Number = Annotated[int, Meta(ge=0)]


class TemplateChange(Incoming):
    """A new version. `text` may use the template's variables as `$name`; `use` tells it to models from now on."""

    text: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
    message: Annotated[str, Meta(max_length=MAX_MESSAGE)] = ""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    use: bool = True


class TemplateForm(Incoming):
    """The dashboard's form: text as people type it."""

    text: str = ""
    message: str = ""
    temperature: str = ""
    use: str = ""
    csrf_token: str = field(name="_csrf_token", default="")


class TemplateUse(Incoming):
    """Which version models are told; 0 is the code's own."""

    number: Number


class TemplateVersion(Outgoing):
    """One version; 0 is the code's own."""

    number: int
    text: str
    temperature: float | None
    message: str
    created_by: str
    created_at: datetime | None
    current: bool


class TemplateRead(Outgoing):
    """What models are told for one kind of task. `variables` are the names that a text may use."""

    name: str
    current: int
    variables: list[str]
    required: list[str]
    versions: list[TemplateVersion]


class TemplateList(Outgoing):
    """All templates, by name, each with its versions, newest first."""

    items: list[TemplateRead]
