"""Make the table that web and worker use, as the owner of the database."""

import asyncio
import os
import sys

import asyncpg


async def main() -> None:
    if "MIGRATION_FAILS" in os.environ:
        sys.exit("relation of our discontent already exists")
    link = await asyncpg.connect(os.environ["MIGRATION_DATABASE_URL"])
    await link.execute("CREATE TABLE IF NOT EXISTS visit (id int); GRANT ALL ON visit TO teknav_app")
    await link.close()


asyncio.run(main())
