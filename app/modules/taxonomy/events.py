"""What is announced of categories and tags."""

from app.core.events import Event


class TermsChanged(Event, frozen=True):
    """Something under which articles stand is called otherwise, is another's now, or is gone."""
