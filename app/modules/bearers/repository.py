"""The functions of PostgreSQL that look a bearer up: many at once, or one in a transaction."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text

BY_TOKENS = """
    SELECT a.place, f.* FROM unnest($1::bytea[], $2::text[]) WITH ORDINALITY a(hash, address, place),
        LATERAL public.teknav_token(a.hash, a.address) f
"""
BY_CLIENTS = """
    SELECT a.place, f.*
    FROM unnest($1::uuid[], $2::integer[], $3::text[]) WITH ORDINALITY a(client, epoch, address, place),
        LATERAL public.teknav_client(a.client, a.epoch, a.address) f
"""
BY_CLIENT = text("SELECT * FROM public.teknav_client(:client, :epoch, :address)")


class Found(NamedTuple):
    """Who this is, and why it is not let in, None where it is, as these functions tell it. A use is noted."""

    id: UUID
    tenant_id: UUID
    workspace_id: UUID | None
    name: str
    scopes: list[str]
    plan: str
    calls_per_day: int | None
    refusal: str | None
