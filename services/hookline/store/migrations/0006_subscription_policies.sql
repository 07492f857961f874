-- What a subscription does when a delivery fails, whom it calls, and whether it is paused.

ALTER TABLE hookline.subscriptions
    ADD COLUMN expression            text NOT NULL DEFAULT '',  -- CEL; '' is no condition
    ADD COLUMN after_dead_letter     text NOT NULL DEFAULT 'continue' CHECK (after_dead_letter IN ('continue', 'block')),
    ADD COLUMN retry                 json NOT NULL              -- core.retry.RetryPolicy
               DEFAULT '{"wait":{"kind":"exponential","min":"PT1S","max":"PT10M"},"max_attempts":20,"max_age":"P3D"}',
    ADD COLUMN push                  json,                      -- core.subscription.Push; null: consumers connect
    ADD COLUMN dead_letter_retention interval NOT NULL DEFAULT '30 days' CHECK (dead_letter_retention > interval '0'),
    ADD COLUMN paused                boolean NOT NULL DEFAULT false,
    ADD COLUMN version               bigint NOT NULL DEFAULT 1; -- counts changes; the etag

-- Relays that have consumers for a subscription: they share its shards.
CREATE TABLE hookline.members (
    alive_until  timestamptz NOT NULL,
    subscription text NOT NULL,
    owner        text NOT NULL,
    PRIMARY KEY (subscription, owner)
) WITH (fillfactor = 50);
