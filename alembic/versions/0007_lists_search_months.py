"""Lists of several states by one index, search, and months that go when their time is over."""

import sqlalchemy as sa

from alembic import op

revision = "0007"
down_revision = "0006"

NEWEST = sa.literal_column("id DESC")

# A partition knows nothing of its parent's row-level security, so its owner sees all of it by its own name.
# The parents are locked first and in the order of everybody's statements; whoever holds one for long is not waited for.
DROP_MONTH = """
CREATE FUNCTION teknav_drop_month(month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '1s' AS $$
DECLARE
    suffix text := to_char(month, 'YYYY_MM');
    parent text; name text; held boolean;
BEGIN
    IF date_trunc('month', month) >= date_trunc('month', now()) - interval '1 month' THEN
        RAISE EXCEPTION 'the month % is too young to be dropped', suffix;
    END IF;
    name := 'job_' || suffix;
    IF to_regclass('public.' || quote_ident(name)) IS NOT NULL THEN
        LOCK TABLE ONLY job, job_attempt, job_effect IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%1$I WHERE finished_at IS NULL)
                            OR EXISTS (SELECT FROM public.%1$I WHERE state = ''dead'')
                            OR EXISTS (SELECT FROM public.%1$I WHERE removed_at IS NOT NULL)', name) INTO held;
        IF held THEN RETURN false; END IF;
        FOREACH parent IN ARRAY ARRAY['job_effect', 'job_attempt', 'job'] LOOP
            EXECUTE format('DROP TABLE IF EXISTS public.%I', parent || '_' || suffix);
        END LOOP;
    END IF;
    name := 'ai_event_log_' || suffix;
    IF to_regclass('public.' || quote_ident(name)) IS NOT NULL THEN
        LOCK TABLE ONLY ai_event_log IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('DROP TABLE public.%I', name);
    END IF;
    RETURN true;
END $$
"""


def upgrade() -> None:
    # FORCE hides the rows from the tables' own login.
    op.execute("SET LOCAL ROLE teknav_platform")
    op.execute("""
        UPDATE job SET delayed = state IN ('pending', 'queued', 'retrying') AND run_at > now()
        WHERE delayed OR state = 'retrying'
    """)
    op.execute("RESET ROLE")
    op.create_check_constraint(
        op.f("ck_job_delayed"), "job", "NOT delayed OR state IN ('pending', 'queued', 'retrying')"
    )
    op.create_index("ix_job_place", "job", ["queue", "state", "delayed", NEWEST], unique=False)
    op.create_index("ix_job_due", "job", ["run_at"], unique=False, postgresql_where=sa.text("delayed"))
    op.drop_index("ix_job_queue_state", "job")
    op.create_index("ix_job_kind", "job", ["queue", "kind", NEWEST], unique=False)
    has_error = sa.text("error_message IS NOT NULL")
    op.create_index("ix_job_error", "job", ["queue", NEWEST], unique=False, postgresql_where=has_error)
    op.execute(DROP_MONTH)
    op.execute("REVOKE ALL ON FUNCTION teknav_drop_month(date) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION teknav_drop_month(date) TO teknav_system")
    op.execute("GRANT SELECT, DELETE ON job_effect TO teknav_system")
    op.execute("CREATE POLICY system_rows ON job_effect TO teknav_system USING (true)")
