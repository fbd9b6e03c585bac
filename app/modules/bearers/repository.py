"""The functions of PostgreSQL that look a bearer up."""

from sqlalchemy import text

BY_TOKEN = text("SELECT * FROM public.teknav_token(:hash, :address)")
BY_CLIENT = text("SELECT * FROM public.teknav_client(:client, :epoch, :address)")
"""Who this is, and `refusal`: why it is not let in, NULL where it is. No row: nobody. A use is noted."""
