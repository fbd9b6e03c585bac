"""Factors: one-time codes, authenticator apps and recovery codes. Others ask for them; it has no routes."""

from app.module import Mail, Module

factors = Module(name="factors", mails=(Mail("sign_in"), Mail("reset"), Mail("register"), Mail("welcome")))
