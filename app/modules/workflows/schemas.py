"""The language of workflows: steps, and what they may say about the context. Data alone: nothing is evaluated.

The context is `{"input": {…}, "steps": {"check": {…}}}`: what the instance was given, and what came of each step so
far. A path, "input.articleId", names a value in it.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType, convert, field

from app.core.wire import Incoming, Outgoing
from app.modules.workflows.models import WorkflowDefinition, WorkflowVersion

END, FAIL, CONTINUE = "end", "fail", "continue"
MOST_STEPS = 50
DAY_S = 86_400
_KEY = r"^[a-z][a-z0-9_]{0,39}$(?!\n)"
_PLACE = re.compile(r"\{((?:input|steps)(?:\.[A-Za-z0-9_]{1,64}){1,8})\}")
Key = Annotated[str, Meta(pattern=_KEY, examples=["check"])]
Path = Annotated[str, Meta(pattern=r"^(input|steps)(\.[A-Za-z0-9_]{1,64}){1,8}$(?!\n)", examples=["input.articleId"])]
Line = Annotated[str, Meta(min_length=1, max_length=200)]
Prose = Annotated[str, Meta(max_length=4000)]


class Retry(Incoming, omit_defaults=True):
    """How often a step is tried, and how long to wait before the second time; the wait doubles."""

    tries: Annotated[int, Meta(ge=1, le=10)] = 1
    wait_s: Annotated[int, Meta(ge=1, le=DAY_S)] = 10


class Check(Incoming):
    """A comparison: the value at `path`, an operator, and what to compare with. A value that is missing is null."""

    path: Path
    op: Literal["==", "!=", "<", "<=", ">", ">=", "in", "contains"]
    value: str | int | float | bool | list[str | int | float | bool | None] | None


class _Step(Incoming, tag_field="type", omit_defaults=True, kw_only=True):
    key: Key
    next: Key | None = None
    """The step behind it, "end", or the one that stands behind it in the list."""
    retry: Retry | None = None
    timeout_s: Annotated[int, Meta(ge=1, le=30 * DAY_S)] | None = None
    """How long it may wait for what it has asked for."""
    on_error: Key = FAIL
    """What to do when all tries have failed: "fail", "continue", or go on with another step."""

    @property
    def tries(self) -> Retry:
        """`retry`, or one try."""
        return self.retry or Retry()

    @property
    def paths(self) -> list[str]:
        """What it reads of the context."""
        return []

    @property
    def targets(self) -> list[str]:
        """Where it may go on, but for the step behind it."""
        return [name for name in (self.next, self.on_error) if name not in (None, END, FAIL, CONTINUE)]


class AiTask(_Step, tag="ai_task", kw_only=True):
    """Have AI work on an article, and wait until it has. `input` is what this kind of task takes beside the article."""

    kind: Annotated[str, Meta(min_length=1, max_length=60)]
    article: Path = "input.articleId"
    input: Annotated[dict[str, Any], Meta(max_length=20)] = field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        return [self.article]


class Publish(_Step, tag="publish", kw_only=True):
    """Show an article to readers."""

    article: Path = "input.articleId"

    @property
    def paths(self) -> list[str]:
        return [self.article]


class Email(_Step, tag="email", kw_only=True):
    """Send a mail of one of the tenant's templates to an address or a member's id, and wait until it has left."""

    template: Annotated[str, Meta(min_length=1, max_length=120)]
    to: Line
    values: Annotated[dict[str, Prose], Meta(max_length=50)] = field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        return _PLACE.findall(" ".join((self.to, *self.values.values())))


class Webhook(_Step, tag="webhook", kw_only=True):
    """Deliver a message to a plugin, by its id, or to an https address, and wait until it has arrived."""

    to: Line
    event: Annotated[str, Meta(min_length=1, max_length=80)] = "workflow.step"
    data: Annotated[dict[str, Path], Meta(max_length=50)] = field(default_factory=dict)
    """What the message says: names, and the paths of their values."""

    @property
    def paths(self) -> list[str]:
        return [*self.data.values()]


class Wait(_Step, tag="wait", kw_only=True):
    """Go on after a while."""

    seconds: Annotated[int, Meta(ge=1, le=30 * DAY_S)]


class Approve(_Step, tag="approval", kw_only=True):
    """Ask people, and wait for what they say. Where they reject it, go to `rejected`, or fail."""

    title: Line
    note: Prose = ""
    needed: Annotated[int, Meta(ge=1, le=10)] = 1
    self_approval: bool = False
    expires_s: Annotated[int, Meta(ge=60, le=30 * DAY_S)] = 3 * DAY_S
    on_timeout: Literal["resume", "fail", "cancel"] = "fail"
    rejected: Key | None = None

    @property
    def paths(self) -> list[str]:
        return _PLACE.findall(f"{self.title} {self.note}")

    @property
    def targets(self) -> list[str]:
        return [*super().targets, *([self.rejected] if self.rejected not in (None, END) else [])]


class Condition(_Step, tag="condition", kw_only=True):
    """Go one way or the other: to `then` where all tests of `all` and one of `any` hold, else to `otherwise`."""

    all: Annotated[list[Check], Meta(max_length=20)] = field(default_factory=list)
    any: Annotated[list[Check], Meta(max_length=20)] = field(default_factory=list)
    then: Key | None = None
    otherwise: Key = END

    @property
    def paths(self) -> list[str]:
        return [test.path for test in (*self.all, *self.any)]

    @property
    def targets(self) -> list[str]:
        return [*super().targets, *(name for name in (self.then, self.otherwise) if name not in (None, END))]


Step = AiTask | Publish | Email | Webhook | Wait | Approve | Condition


class Graph(Incoming, omit_defaults=True, kw_only=True):
    """A workflow. `on` is the fact that starts it, "article.submitted"; it can be started by hand as well.

    While an instance with the same value at `onePer` is unfinished, further ones wait for it.
    """

    steps: Annotated[list[Step], Meta(min_length=1, max_length=MOST_STEPS)]
    on: Annotated[str, Meta(max_length=80, examples=["article.submitted"])] | None = None
    one_per: Path | None = None


def value_at(context: Mapping[str, Any], path: str) -> Any:
    """What stands there; None where nothing does."""
    found: Any = context
    for name in path.split("."):
        if isinstance(found, Mapping):
            found = found.get(name)
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found


def holds(test: Check, context: Mapping[str, Any]) -> bool:
    """Whether it does. What cannot be compared, such as a text with a number, does not hold."""
    left, right = value_at(context, test.path), test.value
    if test.op in ("==", "!="):
        return (left == right and isinstance(left, bool) == isinstance(right, bool)) == (test.op == "==")
    if test.op in ("in", "contains"):
        one, many = (left, right) if test.op == "in" else (right, left)
        if isinstance(many, str):
            return isinstance(one, str) and one in many
        return isinstance(many, list) and one in many
    number = (int, float)
    alike = all(isinstance(side, str) for side in (left, right)) or all(
        isinstance(side, number) and not isinstance(side, bool) for side in (left, right)
    )
    if not alike:
        return False
    assert isinstance(right, (str, int, float))
    compared = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}
    return bool(compared[test.op])


def fill(text: str, context: Mapping[str, Any]) -> str:
    """`text` with the values of the paths that stand in it in braces, `{input.title}`."""
    return _PLACE.sub(lambda found: str(value_at(context, found[1])), text)


def is_key(text: str) -> bool:
    return re.match(_KEY, text) is not None


EXAMPLE = Graph(
    on="article.submitted",
    steps=[
        Approve(key="ask", title="Shall article {input.articleId} be published?", on_timeout="cancel", rejected=END),
        Publish(key="publish", retry=Retry(tries=3)),
    ],
)
"""What a new workflow begins with."""


def pretty(stored: Any) -> str:
    """A graph as people edit it: in the order of the language, not of the database. Anything else as it is."""
    with suppress(msgspec.ValidationError):
        stored = msgspec.to_builtins(msgspec.convert(stored, Graph))
    return msgspec.json.format(msgspec.json.encode(stored), indent=2).decode()


Name = Annotated[str, Meta(min_length=1, max_length=120, examples=["Check and publish"])]


class WorkflowCreate(Incoming):
    """A new workflow with its draft. `tenantId` is wanted from the platform, and refused from others."""

    key: Key
    name: Name
    graph: Graph
    tenant_id: UUID | None = None


class WorkflowChange(Incoming):
    """What to change of the draft; what runs stays until a version is published."""

    name: Name | UnsetType = UNSET
    graph: Graph | UnsetType = UNSET


class WorkflowForm(Incoming):
    """The dashboard's form: the graph is the text of an area."""

    name: Name
    graph: str
    key: str = ""
    tenant_id: str = ""
    version: int | None = None
    csrf_token: str = field(name="_csrf_token", default="")


class WorkflowRead(Outgoing):
    """One workflow. `draft` is what people edit; `topic` is the fact that starts the active version."""

    id: UUID
    tenant_id: UUID
    key: str
    name: str
    draft: dict[str, Any]
    active_version_id: UUID | None
    topic: str | None
    created_at: datetime
    updated_at: datetime
    version: int


class VersionRead(Outgoing):
    """A version as it was published. `checksum` is the SHA-256 of its graph."""

    id: UUID
    number: int
    graph: dict[str, Any]
    checksum: str
    published_by: str
    created_at: datetime


class WorkflowDetail(WorkflowRead):
    """With its versions, the newest first."""

    versions: list[VersionRead]


class WorkflowPage(Outgoing):
    """A page of workflows, newest first."""

    items: Sequence[WorkflowRead]
    next_cursor: str | None
    prev_cursor: str | None


def item(row: WorkflowDefinition) -> WorkflowRead:
    return convert(row, WorkflowRead, from_attributes=True)


def read(row: WorkflowDefinition, versions: Sequence[WorkflowVersion]) -> WorkflowDetail:
    fields = {name: getattr(row, name) for name in WorkflowRead.__struct_fields__}
    return WorkflowDetail(**fields, versions=[convert(one, VersionRead, from_attributes=True) for one in versions])
