"""The statements of `batch`: each changes many jobs by the compare-and-set that `record` asks of one.

They run on asyncpg's own connection. Ids, runs and attempts come as arrays; `$2` and `$3` are the smallest and largest
id, because `= ANY` and a join alone would look into every month. What completes jobs frees their keys and
counts them too.
"""

READ_UNTOUCHED = """
SELECT id, run, attempt, attempts_made, max_attempts, tenant_id, queue, kind, children, parent_id, correlation_id,
       request_id, payload
FROM job
WHERE id = ANY(CAST($1 AS uuid[])) AND id BETWEEN $2 AND $3
  AND attempt = 0 AND state IN ('pending', 'queued')
"""

START = """
UPDATE job
SET state = 'active', delayed = false, attempt = job.attempt + 1, worker = $5, started_at = now(), updated_at = now()
FROM unnest(CAST($1 AS uuid[]), CAST($4 AS int[])) AS mine(id, run)
WHERE job.id = mine.id AND job.run = mine.run AND job.id BETWEEN $2 AND $3
  AND job.state IN ('pending', 'queued', 'active', 'retrying', 'waiting_children')
RETURNING job.id, job.run, attempt, attempts_made, max_attempts, tenant_id, queue, kind, children, parent_id,
          correlation_id, request_id, payload
"""

# An attempt that is still open belonged to a worker that died.
OPEN_ATTEMPTS = """
WITH mine AS (
  SELECT * FROM unnest(CAST($1 AS uuid[]), CAST($4 AS int[]), CAST($6 AS int[]), CAST($7 AS uuid[]))
    AS mine(id, run, attempt, tenant_id)
), lost AS (
  UPDATE job_attempt
  SET ended_at = now(), error_class = 'WorkerLost', error_message = 'the worker was lost during this attempt'
  FROM mine
  WHERE job_attempt.job_id = mine.id AND job_attempt.run = mine.run AND job_attempt.ended_at IS NULL
    AND job_attempt.job_id BETWEEN $2 AND $3
)
INSERT INTO job_attempt (job_id, run, n, tenant_id, worker)
SELECT id, run, attempt, tenant_id, $5 FROM mine
"""

# What follows is about first deliveries: no attempt was ever made, so the first one to say so has it.
START_FIRST = """
WITH begun AS (
  UPDATE job
  SET state = 'active', delayed = false, attempt = 1, worker = $5, updated_at = now(),
      started_at = now() - make_interval(secs => mine.since_s)
  FROM unnest(CAST($1 AS uuid[]), CAST($4 AS int[]), CAST($6 AS float8[])) AS mine(id, run, since_s)
  WHERE job.id = mine.id AND job.run = mine.run AND job.id BETWEEN $2 AND $3
    AND job.attempt = 0 AND job.state IN ('pending', 'queued')
  RETURNING job.id, job.run, job.tenant_id, job.started_at
)
INSERT INTO job_attempt (job_id, run, n, tenant_id, worker, started_at)
SELECT id, run, 1, tenant_id, $5, started_at FROM begun
RETURNING job_id
"""

COMPLETE_FIRST = """
WITH done AS (
  UPDATE job
  SET state = 'completed', delayed = false, attempt = 1, attempts_made = job.attempts_made + 1, worker = NULL,
      updated_at = now(), started_at = now() - make_interval(secs => mine.since_s), finished_at = now(),
      duration_ms = mine.took_ms,
      result = CAST(mine.result AS jsonb), error_class = NULL, error_message = NULL, error_fingerprint = NULL,
      progress = CASE WHEN job.progress IS NOT NULL THEN 100 END
  FROM unnest(CAST($1 AS uuid[]), CAST($4 AS int[]), CAST($6 AS float8[]), CAST($7 AS int[]),
              CAST($8 AS text[]), CAST($9 AS text[]))
    AS mine(id, run, since_s, took_ms, result, log)
  WHERE job.id = mine.id AND job.run = mine.run AND job.id BETWEEN $2 AND $3
    AND job.attempt = 0 AND job.state IN ('pending', 'queued')
  RETURNING job.id, job.run, job.tenant_id, job.queue, job.started_at, mine.log
), freed AS (
  DELETE FROM job_key USING done WHERE job_key.job_id = done.id AND NOT job_key.kept
), counted AS (
  INSERT INTO job_ended (tenant_id, queue, outcome, jobs)
  SELECT tenant_id, queue, 'completed', count(*) FROM done GROUP BY tenant_id, queue
)
INSERT INTO job_attempt (job_id, run, n, tenant_id, worker, started_at, ended_at, log)
SELECT id, run, 1, tenant_id, $5, started_at, now(), CAST(log AS jsonb) FROM done
RETURNING job_id
"""

COMPLETE = """
WITH done AS (
  UPDATE job
  SET state = 'completed', attempts_made = job.attempts_made + 1, worker = NULL, updated_at = now(),
      finished_at = now(),
      duration_ms = coalesce(mine.took_ms, extract(epoch FROM now() - job.started_at) * 1000),
      result = CAST(mine.result AS jsonb), error_class = NULL, error_message = NULL, error_fingerprint = NULL,
      progress = CASE WHEN job.progress IS NOT NULL THEN 100 END
  FROM unnest(CAST($1 AS uuid[]), CAST($4 AS int[]), CAST($5 AS int[]), CAST($6 AS int[]),
              CAST($7 AS text[]), CAST($8 AS text[]))
    AS mine(id, run, attempt, took_ms, result, log)
  WHERE job.id = mine.id AND job.run = mine.run AND job.id BETWEEN $2 AND $3
    AND job.attempt = mine.attempt AND job.state = 'active'
  RETURNING job.id, job.run, job.attempt, job.tenant_id, job.queue, mine.log
), ended AS (
  UPDATE job_attempt
  SET ended_at = now(), log = CAST(done.log AS jsonb)
  FROM done
  WHERE job_attempt.job_id = done.id AND job_attempt.run = done.run AND job_attempt.n = done.attempt
    AND job_attempt.ended_at IS NULL AND job_attempt.job_id BETWEEN $2 AND $3
), freed AS (
  DELETE FROM job_key USING done WHERE job_key.job_id = done.id AND NOT job_key.kept
), counted AS (
  INSERT INTO job_ended (tenant_id, queue, outcome, jobs)
  SELECT tenant_id, queue, 'completed', count(*) FROM done GROUP BY tenant_id, queue
)
SELECT id FROM done
"""

# Two answers: whether the attempt is the current one, and whether the step is new.
MARK_EFFECT = """
WITH mine AS (
  SELECT id, tenant_id FROM job WHERE id = $1 AND run = $2 AND attempt = $3 AND state = 'active'
), marked AS (
  INSERT INTO job_effect (job_id, step, tenant_id) SELECT id, $4, tenant_id FROM mine
  ON CONFLICT DO NOTHING RETURNING job_id
)
SELECT EXISTS (SELECT FROM mine), EXISTS (SELECT FROM marked)
"""
