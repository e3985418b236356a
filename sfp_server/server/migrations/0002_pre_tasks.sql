-- compatible: yes
-- The queue: tasks, the slots that they run in, their attempts, what they said, and the keys that make a submit repeatable.

-- The classes of work, most urgent first. `weight` makes the virtual deadline of a task: ready_at + weight.
CREATE TABLE sfp.worker_class (
  name   text PRIMARY KEY,
  rank   smallint NOT NULL UNIQUE,
  weight interval NOT NULL
);

INSERT INTO sfp.worker_class (name, rank, weight) VALUES
  ('critical', 1, '0 s'), ('normal', 2, '60 s'), ('batch', 3, '600 s');

-- One row a task, from its submit to its end. Who changes an active one must hold its lease (id, lease, status 'active').
-- What programs wrote is `json`, not `jsonb`: kept as it came, any escape included.
CREATE TABLE sfp.task (
  id              uuid PRIMARY KEY,                      -- UUIDv7: the order of ids is the order of submits
  type            text NOT NULL,
  class           text NOT NULL REFERENCES sfp.worker_class,
  data            json NOT NULL,
  description     text,
  timeout         double precision NOT NULL CHECK (timeout > 0),       -- seconds that one attempt may take
  max_attempts    smallint NOT NULL CHECK (max_attempts BETWEEN 1 AND 10),
  created_at      timestamptz NOT NULL DEFAULT now(),
  created_by      text NOT NULL DEFAULT sfp.claim('sub'),
  status          text NOT NULL DEFAULT 'pending'
                  CHECK (status IN ('pending', 'active', 'completed', 'failed', 'cancelled')),
  ready_at        timestamptz NOT NULL DEFAULT now(),    -- not before: now, or after the delay of a retry
  lease           bigint NOT NULL DEFAULT 0,             -- raised by each claim, never lowered: the fencing token
  lease_until     timestamptz,
  attempt         smallint NOT NULL DEFAULT 0,           -- attempts begun that count
  progress        smallint NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
  message         text,
  cancel_asked_at timestamptz,
  started_at      timestamptz,
  finished_at     timestamptz,
  result          json,
  error           json,
  files           json NOT NULL DEFAULT '[]',
  CHECK (attempt BETWEEN 0 AND max_attempts),
  CHECK ((status = 'active') = (lease_until IS NOT NULL)),
  CHECK ((status IN ('completed', 'failed', 'cancelled')) = (finished_at IS NOT NULL))
) WITH (fillfactor = 80);                                -- room for beats to stay on their page

-- The order of claims, and nothing but what waits. The handful of active tasks, for rescue. Lists by status.
CREATE INDEX task_waiting ON sfp.task (class, ready_at, id) WHERE status = 'pending';
CREATE INDEX task_active ON sfp.task (id) WHERE status = 'active';
CREATE INDEX task_by_status ON sfp.task (status, id);

-- A slot is the right to run one attempt. `enabled` follows the worker counts; a disabled one that is still filled
-- empties when its attempt ends. That a task fills one slot at most is a constraint, not only a rule.
CREATE TABLE sfp.slot (
  class   text NOT NULL REFERENCES sfp.worker_class,
  number  smallint NOT NULL CHECK (number BETWEEN 1 AND 10),
  enabled boolean NOT NULL DEFAULT false,
  task_id uuid UNIQUE REFERENCES sfp.task,
  PRIMARY KEY (class, number)
);

INSERT INTO sfp.slot (class, number) SELECT name, number FROM sfp.worker_class, generate_series(1, 10) AS number;

-- Every try at a task, also those that were handed back (they keep the number of the next one).
CREATE TABLE sfp.attempt (
  task_id     uuid NOT NULL REFERENCES sfp.task ON DELETE CASCADE,
  lease       bigint NOT NULL,
  number      smallint NOT NULL,
  worker      text NOT NULL,
  slot_class  text NOT NULL,
  slot_number smallint NOT NULL,
  started_at  timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  outcome     text CHECK (outcome IN ('completed', 'failed', 'cancelled', 'handed back')),
  cause       text CHECK (cause IN ('error', 'timeout', 'lost', 'cancelled', 'handed back')),
  error       json,
  PRIMARY KEY (task_id, lease),
  CHECK ((finished_at IS NULL) = (outcome IS NULL))
);

-- What happened to a task and what it said. Written under the lock of the task's row only, so the ids of one task are in
-- the order of their commits, and who has seen one has seen all before it: what a stream resumes from.
CREATE TABLE sfp.task_event (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  task_id uuid NOT NULL REFERENCES sfp.task ON DELETE CASCADE,
  attempt smallint NOT NULL,
  at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  kind    text NOT NULL CHECK (kind IN ('status', 'progress', 'log')),
  data    json NOT NULL
);

CREATE INDEX task_event_of_task ON sfp.task_event (task_id, id);

-- What a principal has asked for under an Idempotency-Key, kept for 24 h.
CREATE TABLE sfp.idempotency (
  principal   text NOT NULL DEFAULT sfp.claim('sub'),
  key         text NOT NULL,
  at          timestamptz NOT NULL DEFAULT now(),
  fingerprint bytea NOT NULL,
  task_id     uuid NOT NULL REFERENCES sfp.task ON DELETE CASCADE,
  PRIMARY KEY (principal, key)
);

CREATE INDEX idempotency_by_age ON sfp.idempotency (at);

-- Who may what. `task:work` is the dispatchers' and belongs to nobody else.
ALTER TABLE sfp.worker_class ENABLE ROW LEVEL SECURITY;
ALTER TABLE sfp.task ENABLE ROW LEVEL SECURITY;
ALTER TABLE sfp.slot ENABLE ROW LEVEL SECURITY;
ALTER TABLE sfp.attempt ENABLE ROW LEVEL SECURITY;
ALTER TABLE sfp.task_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE sfp.idempotency ENABLE ROW LEVEL SECURITY;

CREATE POLICY seen ON sfp.worker_class FOR SELECT USING (true);

CREATE POLICY seen ON sfp.task FOR SELECT USING ((SELECT sfp.may('task:read')));
CREATE POLICY submitted ON sfp.task FOR INSERT
  WITH CHECK ((SELECT sfp.may('task:submit')) AND created_by = (SELECT sfp.claim('sub')));
CREATE POLICY worked ON sfp.task FOR UPDATE USING ((SELECT sfp.may('task:work')));
CREATE POLICY cancelled ON sfp.task FOR UPDATE USING (
  (SELECT sfp.may('task:cancel:any'))
  OR (SELECT sfp.may('task:cancel')) AND created_by = (SELECT sfp.claim('sub'))
);

CREATE POLICY seen ON sfp.slot FOR SELECT USING ((SELECT sfp.may('task:read')));
CREATE POLICY worked ON sfp.slot FOR UPDATE USING ((SELECT sfp.may('task:work')));

CREATE POLICY seen ON sfp.attempt FOR SELECT USING ((SELECT sfp.may('task:read')));
CREATE POLICY worked ON sfp.attempt USING ((SELECT sfp.may('task:work')));

CREATE POLICY seen ON sfp.task_event FOR SELECT USING ((SELECT sfp.may('task:read')));
CREATE POLICY told ON sfp.task_event FOR INSERT WITH CHECK (
  (SELECT sfp.may('task:work')) OR (SELECT sfp.may('task:submit')) OR (SELECT sfp.may('task:cancel'))
);

CREATE POLICY own ON sfp.idempotency USING (
  principal = (SELECT sfp.claim('sub')) OR (SELECT sfp.may('task:work'))
);

GRANT SELECT ON sfp.worker_class TO sfp_api;
GRANT SELECT, INSERT, UPDATE ON sfp.task, sfp.attempt TO sfp_api;
GRANT SELECT, UPDATE ON sfp.slot TO sfp_api;
GRANT SELECT, INSERT ON sfp.task_event TO sfp_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON sfp.idempotency TO sfp_api;

-- Reads of one trip: each takes the claims first, sets them for its own statement, and then sees what they may see.

CREATE FUNCTION sfp.task_seen(claims jsonb, wanted uuid) RETURNS SETOF sfp.task
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('request.jwt.claims', claims::text, true);
  RETURN QUERY SELECT * FROM sfp.task WHERE id = wanted;
END $$;

-- Newest first, older than `before`. Planned anew each time: an absent filter must not cost a present one its index.
CREATE FUNCTION sfp.task_list(
  claims jsonb, in_status text, of_type text, in_class text, before uuid, at_most integer
) RETURNS SETOF sfp.task
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
BEGIN
  PERFORM set_config('request.jwt.claims', claims::text, true);
  RETURN QUERY
    SELECT * FROM sfp.task
    WHERE (in_status IS NULL OR status = in_status)
      AND (of_type IS NULL OR type = of_type)
      AND (in_class IS NULL OR class = in_class)
      AND (before IS NULL OR id < before)
    ORDER BY id DESC LIMIT at_most;
END $$;

-- What happened to a task after an event, oldest first.
CREATE FUNCTION sfp.task_events(claims jsonb, wanted uuid, after bigint, at_most integer) RETURNS SETOF sfp.task_event
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('request.jwt.claims', claims::text, true);
  RETURN QUERY SELECT * FROM sfp.task_event WHERE task_id = wanted AND id > after ORDER BY id LIMIT at_most;
END $$;

-- What a task said between two times, after an event, oldest first; the first `at_most` lines of it, or the last.
CREATE FUNCTION sfp.task_logs(
  claims jsonb, wanted uuid, since timestamptz, until timestamptz, after bigint, at_most integer, last boolean
) RETURNS SETOF sfp.task_event
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('request.jwt.claims', claims::text, true);
  RETURN QUERY
    WITH said AS (
      SELECT * FROM sfp.task_event
      WHERE task_id = wanted AND kind = 'log' AND id > after
        AND (since IS NULL OR at >= since) AND (until IS NULL OR at <= until)
      ORDER BY CASE WHEN last THEN -id ELSE id END LIMIT at_most
    )
    SELECT * FROM said ORDER BY id;
END $$;

-- The tries at a task, in order.
CREATE FUNCTION sfp.task_attempts(claims jsonb, wanted uuid) RETURNS SETOF sfp.attempt
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('request.jwt.claims', claims::text, true);
  RETURN QUERY SELECT * FROM sfp.attempt WHERE task_id = wanted ORDER BY lease;
END $$;

-- The queue by class, for health: what waits (and for how many seconds the oldest that is ready), what runs, the slots.
CREATE FUNCTION sfp.queue(claims jsonb)
RETURNS TABLE (class text, pending bigint, active bigint, oldest double precision, slots bigint, used bigint)
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('request.jwt.claims', claims::text, true);
  RETURN QUERY
    SELECT lane.name,
      (SELECT count(*) FROM sfp.task t WHERE t.class = lane.name AND t.status = 'pending'),
      (SELECT count(*) FROM sfp.task t WHERE t.class = lane.name AND t.status = 'active'),
      (SELECT extract(epoch FROM now() - t.ready_at)::double precision FROM sfp.task t
       WHERE t.class = lane.name AND t.status = 'pending' AND t.ready_at <= now() ORDER BY t.ready_at, t.id LIMIT 1),
      (SELECT count(*) FROM sfp.slot s WHERE s.class = lane.name AND s.enabled),
      (SELECT count(*) FROM sfp.slot s WHERE s.class = lane.name AND s.task_id IS NOT NULL)
    FROM sfp.worker_class lane ORDER BY lane.rank;
END $$;
