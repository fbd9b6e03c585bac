"""What is announced of articles."""

from uuid import UUID

from app.core.events import Event


class ArticleCreated(Event, frozen=True, topic="article.created"):
    """A draft was written."""

    article_id: UUID


class ArticleUpdated(Event, frozen=True, topic="article.updated"):
    """Something of an article changed."""

    article_id: UUID


class ArticleSubmitted(Event, frozen=True, topic="article.submitted"):
    """Its draft waits for somebody to say whether it is published."""

    article_id: UUID


class ArticlePublished(Event, frozen=True, topic="article.published"):
    """Readers see it from now on."""

    article_id: UUID


class ArticleUnpublished(Event, frozen=True, topic="article.unpublished"):
    """Readers see it no more."""

    article_id: UUID


class ArticleDeleted(Event, frozen=True, topic="article.deleted"):
    """It is in no list any more."""

    article_id: UUID
