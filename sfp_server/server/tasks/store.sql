-- Every statement of the queue that writes. Each runs in a transaction that `db.acting` opened, at READ COMMITTED, and is
-- one statement: what it decides on is locked before it decides.

-- name: submit
-- Store a task, what its stream and the audit say of it, and its Idempotency-Key where it has one ($8). No row comes back
-- where the principal has used the key in the last 24 h; a second submit under a key waits here for the first to end.
WITH keyed AS (
  INSERT INTO sfp.idempotency (key, fingerprint, task_id)
  SELECT $8::text, $9::bytea, $1::uuid WHERE $8::text IS NOT NULL
  ON CONFLICT (principal, key) DO UPDATE SET at = now(), fingerprint = excluded.fingerprint, task_id = excluded.task_id
  WHERE idempotency.at < now() - interval '24 hours'
  RETURNING task_id
), stored AS (
  INSERT INTO sfp.task (id, type, class, data, description, timeout, max_attempts)
  SELECT $1::uuid, $2::text, $3::text, $4::json, $5::text, $6::double precision, $7::smallint
  WHERE $8::text IS NULL OR EXISTS (SELECT FROM keyed)
  RETURNING id, type, class
), told AS (
  INSERT INTO sfp.task_event (task_id, attempt, kind, data)
  SELECT id, 0, 'status', json_build_object('status', 'pending') FROM stored
), audited AS (
  INSERT INTO sfp.event (action, resource, outcome, data)
  SELECT 'task.submitted', 'task/' || id, 'ok', jsonb_build_object('type', type, 'priority', class) FROM stored
)
SELECT id FROM stored;

-- name: asked_before
-- The task that a principal's Idempotency-Key stands for, and whether it was asked for in the same words.
SELECT task.id, task.type, idempotency.fingerprint = $2::bytea AS same
FROM sfp.idempotency JOIN sfp.task ON task.id = idempotency.task_id
WHERE principal = sfp.claim('sub') AND key = $1::text;

-- name: forget_keys
-- Drop Idempotency-Keys that are past their 24 h.
DELETE FROM sfp.idempotency WHERE at < now() - interval '24 hours';

-- name: claim
-- Fill a free slot of class $1 with the next task, for the worker $2, for $3 seconds. Slot and task are locked before they
-- are touched and skipped where somebody else has locked them, and both conditions are checked again on the newest row
-- under the lock: no slot is filled twice, no task is taken twice, and nobody waits.
-- Slot 1 takes only its own class. The others are lent to the classes below: to one that has no slots at all by virtual
-- deadline, to one that has slots when none is free (or left a task for 2 s) and when no task of the own class waits.
WITH ready AS MATERIALIZED (           -- the classes that have a task ready, seen without a lock
  SELECT lane.name AS class, lane.name = mine.name AS own,
         lane.name = mine.name OR slots.enabled = 0 AS equal, first.ready_at + lane.weight AS deadline
  FROM sfp.worker_class AS mine
  JOIN sfp.worker_class AS lane ON lane.rank >= mine.rank
  CROSS JOIN LATERAL (
    SELECT ready_at FROM sfp.task
    WHERE class = lane.name AND status = 'pending' AND ready_at <= now() ORDER BY ready_at, id LIMIT 1
  ) AS first
  CROSS JOIN LATERAL (
    SELECT count(*) AS enabled, count(*) FILTER (WHERE task_id IS NULL) AS free
    FROM sfp.slot WHERE class = lane.name AND enabled
  ) AS slots
  WHERE mine.name = $1::text
    AND (lane.name = mine.name OR slots.free = 0 OR first.ready_at < now() - interval '2 seconds')
), free AS MATERIALIZED (
  SELECT class, number FROM sfp.slot
  WHERE class = $1::text AND enabled AND task_id IS NULL
    AND EXISTS (SELECT FROM ready WHERE ready.own OR slot.number > 1)
  ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED
), next AS MATERIALIZED (              -- classes in their order, and in each the first task that nobody else is taking
  SELECT task.id, free.class, free.number
  FROM (SELECT * FROM ready ORDER BY equal DESC, deadline) AS ready
  JOIN free ON ready.own OR free.number > 1
  CROSS JOIN LATERAL (
    SELECT id FROM sfp.task
    WHERE class = ready.class AND status = 'pending' AND ready_at <= now()
    ORDER BY ready_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
  ) AS task
  LIMIT 1
), filled AS (
  UPDATE sfp.slot SET task_id = next.id FROM next WHERE slot.class = next.class AND slot.number = next.number
), taken AS (
  UPDATE sfp.task
  SET status = 'active', lease = lease + 1, lease_until = now() + $3::double precision * interval '1 second',
      attempt = attempt + 1, progress = 0, message = NULL, started_at = coalesce(started_at, now())
  FROM next WHERE task.id = next.id
  RETURNING task.id, lease, attempt, type, data::text AS data, timeout, next.class AS slot, next.number
), begun AS (
  INSERT INTO sfp.attempt (task_id, lease, number, worker, slot_class, slot_number)
  SELECT id, lease, attempt, $2::text, slot, number FROM taken
), told AS (
  INSERT INTO sfp.task_event (task_id, attempt, kind, data)
  SELECT id, attempt, 'status', json_build_object('status', 'active', 'attempt', attempt) FROM taken
)
SELECT * FROM taken;

-- name: beat
-- Renew leases for $3 seconds. One that ran out and was not rescued yet lives again: nobody else has had it.
UPDATE sfp.task SET lease_until = now() + $3::double precision * interval '1 second'
FROM unnest($1::uuid[], $2::bigint[]) AS held (id, lease)
WHERE task.id = held.id AND task.lease = held.lease AND status = 'active'
RETURNING task.id, task.lease, cancel_asked_at IS NOT NULL AS cancelled;

-- name: record
-- What an attempt said, in its order ($3 times, $4 kinds, $5 texts of JSON), and where it has come to ($6, $7).
WITH live AS MATERIALIZED (
  SELECT id, attempt FROM sfp.task WHERE id = $1::uuid AND lease = $2::bigint AND status = 'active' FOR NO KEY UPDATE
), moved AS (
  UPDATE sfp.task SET progress = $6::smallint, message = coalesce($7::text, task.message)
  FROM live WHERE task.id = live.id AND $6::smallint IS NOT NULL
), said AS (
  INSERT INTO sfp.task_event (task_id, attempt, at, kind, data)
  SELECT live.id, live.attempt, coalesce(entry.at, clock_timestamp()), entry.kind, entry.data::json
  FROM live CROSS JOIN unnest($3::timestamptz[], $4::text[], $5::text[]) WITH ORDINALITY AS entry (at, kind, data, place)
  ORDER BY entry.place
)
SELECT id FROM live;

-- name: end_attempt
-- End the attempt that holds a lease: write its history, free its slot, and let the task finish or wait again.
-- $3 is completed, failed, cancelled or handed back; $4 result, $5 error, $6 files as texts of JSON; $7 the cause of a
-- failure; $8 whether another attempt may help, $9 after how many seconds. Handed back keeps its place in the line.
WITH live AS MATERIALIZED (
  SELECT id, attempt, CASE
      WHEN $3::text = 'completed' THEN 'completed'
      WHEN $3::text = 'cancelled' OR cancel_asked_at IS NOT NULL THEN 'cancelled'
      ELSE $3::text
    END AS outcome,
    $8::boolean AND attempt < max_attempts AS again
  FROM sfp.task WHERE id = $1::uuid AND lease = $2::bigint AND status = 'active' FOR UPDATE
), verdict AS MATERIALIZED (
  SELECT id, attempt, outcome,
    CASE WHEN outcome = 'handed back' OR outcome = 'failed' AND again THEN 'pending' ELSE outcome END AS status,
    CASE outcome WHEN 'completed' THEN NULL WHEN 'failed' THEN $7::text ELSE outcome END AS cause
  FROM live
), ended AS (
  UPDATE sfp.task
  SET status = verdict.status, lease_until = NULL,
      attempt = task.attempt - CASE outcome WHEN 'handed back' THEN 1 ELSE 0 END,
      ready_at = CASE outcome WHEN 'failed' THEN now() + $9::double precision * interval '1 second' ELSE ready_at END,
      progress = CASE outcome WHEN 'completed' THEN 100 ELSE progress END,
      finished_at = CASE verdict.status WHEN 'pending' THEN NULL ELSE now() END,
      result = $4::json,
      error = CASE outcome WHEN 'completed' THEN NULL WHEN 'handed back' THEN error ELSE $5::json END,
      files = $6::json
  FROM verdict WHERE task.id = verdict.id
  RETURNING task.id, task.status, verdict.attempt, verdict.outcome, verdict.cause, task.type, task.class
), freed AS (
  UPDATE sfp.slot SET task_id = NULL FROM ended WHERE slot.task_id = ended.id
), closed AS (
  UPDATE sfp.attempt
  SET finished_at = now(), outcome = ended.outcome, cause = ended.cause, error = $5::json
  FROM ended WHERE attempt.task_id = ended.id AND attempt.lease = $2::bigint
), told AS (
  INSERT INTO sfp.task_event (task_id, attempt, kind, data)
  SELECT id, attempt, 'status',
    json_build_object('status', status, 'attempt', attempt, 'cause', cause, 'error', $5::json)
  FROM ended
), audited AS (
  INSERT INTO sfp.event (action, resource, outcome, data)
  SELECT 'task.' || CASE status WHEN 'pending' THEN 'returned' ELSE status END, 'task/' || id, 'ok',
    jsonb_build_object('type', type, 'priority', class, 'attempt', attempt, 'cause', cause)
  FROM ended
)
SELECT status, class FROM ended;

-- name: lost
-- Lock an attempt whose lease ran out; who else is looking for one skips it. One at a time, so that the transaction
-- holds one task and one slot and can be part of no deadlock.
SELECT task.id, task.lease, task.attempt, attempt.worker
FROM sfp.task JOIN sfp.attempt ON attempt.task_id = task.id AND attempt.lease = task.lease
WHERE task.status = 'active' AND task.lease_until < now()
ORDER BY task.lease_until, task.id LIMIT 1 FOR UPDATE OF task SKIP LOCKED;

-- name: stale
-- Audit that somebody wanted to act ($3) on a lease that is no longer theirs. It changed nothing.
INSERT INTO sfp.event (action, resource, outcome, data)
VALUES ('task.stale', 'task/' || $1::uuid, 'stale', jsonb_build_object('lease', $2::bigint, 'attempted', $3::text));

-- name: cancel
-- A waiting task is cancelled at once, an active one is asked to end; once asked, or at its end, it is left alone.
WITH asked AS (
  UPDATE sfp.task
  SET cancel_asked_at = now(),
      status = CASE status WHEN 'pending' THEN 'cancelled' ELSE status END,
      finished_at = CASE status WHEN 'pending' THEN now() END
  WHERE id = $1::uuid AND (status = 'pending' OR status = 'active' AND cancel_asked_at IS NULL)
  RETURNING id, status, attempt, type, class
), told AS (
  INSERT INTO sfp.task_event (task_id, attempt, kind, data)
  SELECT id, attempt, 'status', json_build_object('status', status, 'cancelling', status = 'active') FROM asked
), audited AS (
  INSERT INTO sfp.event (action, resource, outcome, data)
  SELECT CASE status WHEN 'active' THEN 'task.cancel' ELSE 'task.cancelled' END, 'task/' || id, 'ok',
    jsonb_build_object('type', type, 'priority', class) FROM asked
)
SELECT status FROM asked;

-- name: task
-- A task as a transaction sees it.
SELECT id, status, created_by FROM sfp.task WHERE id = $1::uuid;

-- name: set_workers
-- Enable the first slots of each class ($1 classes, $2 counts).
UPDATE sfp.slot SET enabled = number <= wanted.count
FROM unnest($1::text[], $2::integer[]) AS wanted (class, count)
WHERE slot.class = wanted.class AND enabled <> (number <= wanted.count);
