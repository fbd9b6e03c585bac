"""Sessions: who is behind a cookie, and from where people are signed in. Their pages stand with people's."""

from app.module import Module

sessions = Module(name="sessions")
