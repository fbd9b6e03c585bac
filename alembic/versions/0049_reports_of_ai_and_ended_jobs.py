"""What AI used by day, and how many jobs ended how: figures that stay exact while the rows behind them are many."""

import sqlalchemy as sa

from alembic import op

revision = "0049"
down_revision = "0046"

# A run counts with the day, by UTC, on which it was begun, once it has ended; one that is changed later counts anew.
REPORT = """
CREATE FUNCTION teknav_report_run() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO ai_report AS kept (tenant_id, day, kind, model, runs, failed, input, cache_read, cache_write, output,
                                   reasoning, cost)
    SELECT run.tenant_id, (run.created_at AT TIME ZONE 'UTC')::date, task.kind, coalesce(run.model, run.provider),
           sum(sign), coalesce(sum(sign) FILTER (WHERE run.status = 'failed'), 0),
           coalesce(sum(sign * (run.usage ->> 'input')::bigint), 0),
           coalesce(sum(sign * (run.usage ->> 'cacheRead')::bigint), 0),
           coalesce(sum(sign * (run.usage ->> 'cacheWrite')::bigint), 0),
           coalesce(sum(sign * (run.usage ->> 'output')::bigint), 0),
           coalesce(sum(sign * (run.usage ->> 'reasoning')::bigint), 0),
           coalesce(sum(sign * run.cost), 0)
    FROM (SELECT -1 AS sign, (OLD).* UNION ALL SELECT 1, (NEW).*) AS run
    JOIN ai_task AS task ON task.id = run.task_id
    WHERE run.finished_at IS NOT NULL
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (tenant_id, day, kind, model) DO UPDATE SET
        runs = kept.runs + EXCLUDED.runs, failed = kept.failed + EXCLUDED.failed,
        input = kept.input + EXCLUDED.input, cache_read = kept.cache_read + EXCLUDED.cache_read,
        cache_write = kept.cache_write + EXCLUDED.cache_write, output = kept.output + EXCLUDED.output,
        reasoning = kept.reasoning + EXCLUDED.reasoning, cost = kept.cost + EXCLUDED.cost;
    RETURN NULL;
END $$
"""
# At the commit, so that those who end runs of one day wait for each other no longer than that takes.
ON_RUN = """
CREATE CONSTRAINT TRIGGER teknav_report_run AFTER INSERT OR UPDATE ON ai_run
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.finished_at IS NOT NULL)
EXECUTE FUNCTION teknav_report_run()
"""
SO_FAR = """
INSERT INTO ai_report
SELECT run.tenant_id, (run.created_at AT TIME ZONE 'UTC')::date, task.kind, coalesce(run.model, run.provider),
       count(*), count(*) FILTER (WHERE run.status = 'failed'),
       coalesce(sum((run.usage ->> 'input')::bigint), 0), coalesce(sum((run.usage ->> 'cacheRead')::bigint), 0),
       coalesce(sum((run.usage ->> 'cacheWrite')::bigint), 0), coalesce(sum((run.usage ->> 'output')::bigint), 0),
       coalesce(sum((run.usage ->> 'reasoning')::bigint), 0), coalesce(sum(run.cost), 0)
FROM ai_run AS run JOIN ai_task AS task ON task.id = run.task_id
WHERE run.finished_at IS NOT NULL
GROUP BY 1, 2, 3, 4
"""
ENDED_SO_FAR = """
INSERT INTO job_ended (tenant_id, queue, outcome, jobs)
SELECT '00000000-0000-7000-8000-000000000000', queue, state, count(*) FROM job
WHERE state IN ('completed', 'dead', 'cancelled') GROUP BY 2, 3
"""


def upgrade() -> None:
    numbers = ("runs", "failed", "input", "cache_read", "cache_write", "output", "reasoning")
    op.create_table(
        "ai_report",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in numbers),
        sa.Column("cost", sa.Numeric(24, 12), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "day", "kind", "model", name=op.f("pk_ai_report")),
    )
    op.create_index("ix_ai_report_day", "ai_report", ["day"])
    protect("ai_report", "SELECT, INSERT, UPDATE", "SELECT, INSERT, UPDATE, DELETE")
    op.create_table(
        "job_ended",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("n", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("jobs", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "queue", "outcome", "n", name=op.f("pk_job_ended")),
        sa.CheckConstraint(
            "outcome IN ('completed', 'failed', 'dead', 'cancelled', 'removed')", name=op.f("ck_job_ended_outcome")
        ),
    )
    protect("job_ended", "SELECT, INSERT", "SELECT, INSERT, DELETE")
    op.execute("CREATE POLICY system_rows ON job_ended TO teknav_system USING (true)")
    op.execute("GRANT SELECT, INSERT, DELETE ON job_ended TO teknav_system")
    op.execute(REPORT)
    op.execute(ON_RUN)
    # FORCE hides the rows from the tables' own login.
    op.execute("SET LOCAL ROLE teknav_platform")
    op.execute(SO_FAR)
    op.execute(ENDED_SO_FAR)
    op.execute("RESET ROLE")


def protect(table: str, of_tenants: str, of_platform: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY tenant_rows ON {table} TO teknav_tenant "
        "USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)"
    )
    op.execute(f"CREATE POLICY platform_rows ON {table} TO teknav_platform USING (true)")
    op.execute(f"GRANT {of_tenants} ON {table} TO teknav_tenant")
    op.execute(f"GRANT {of_platform} ON {table} TO teknav_platform")
