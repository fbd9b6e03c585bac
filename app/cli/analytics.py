"""`teknav analytics`: what readers did, counted anew."""

import sys
from datetime import datetime
from typing import Any

import rich_click as click

from app.cli.command import Shown, as_json, in_process, show

day = click.DateTime(formats=["%Y-%m-%d"])


@click.group()
def analytics() -> None:
    """What is counted of readers' events."""


@analytics.command("rebuild")
@click.option("--tenant", required=True, help="Its slug or its id.")
@click.option("--from", "first", type=day, required=True, help="The first day, 2026-01-31, in its time zone.")
@click.option("--to", "last", type=day, required=True, help="The last day.")
@as_json
def rebuild(tenant: str, first: datetime, last: datetime, as_json: bool) -> None:
    """Count a tenant's days anew, with their hours, articles, readers and funnels, as far as events reach."""

    async def run(process: Any, actor: Any) -> dict[str, Any]:
        from app.modules.analytics.service import Rebuild

        work = Rebuild(process.database, actor, tenant, first.date(), last.date())
        days = await work.days()
        with click.progressbar(days, label="Counting", file=sys.stderr, hidden=as_json) as bar:
            for one in bar:
                await work.count(one)
        return {"tenant": work.slug, "days": len(days)}

    done = in_process(run)
    show(as_json, done, text=f"{done['days']} days of {done['tenant']} are counted anew.")


SHOWN = Shown("Content and readers", (analytics,), 60)
