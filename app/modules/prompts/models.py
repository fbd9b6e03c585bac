"""What a model is told for each kind of task, in every version that somebody has written."""

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from app.core.models import Json, Row


class AiTemplate(Row):
    """One version of a kind's words, never changed; `labels` alone move. The platform's, for all tenants.

    `config` may hold `temperature`, `variables` are the names that the text may use as `$name`. The version that has
    the label `production` is told; where none has it, the code's own words are.
    """

    __tablename__ = "ai_template"
    name: Mapped[str]
    number: Mapped[int]
    text: Mapped[str]
    config: Mapped[Json]
    variables: Mapped[list[str]]
    labels: Mapped[list[str]]
    message: Mapped[str]
    created_by: Mapped[str]

    __table_args__ = (UniqueConstraint("name", "number", name="uq_ai_template_name"),)
