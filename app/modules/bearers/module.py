"""Bearers: who shows a token or a JWT, and how clients get JWTs."""

from app.module import Module
from app.modules.bearers.controllers import OAuthController

bearers = Module(name="bearers", api=(OAuthController,))
