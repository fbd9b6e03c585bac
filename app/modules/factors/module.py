"""Factors: one-time codes, authenticator apps and recovery codes. Others ask for them; it has no routes."""

from app.module import Module

factors = Module(name="factors")
