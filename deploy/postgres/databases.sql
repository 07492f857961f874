-- Runs once, when the data directory is made: a role and a database for Hookline, and others for the sample consumer,
-- which has nothing to do with Hookline's. Passwords come from the environment, so that no process list shows them.
\getenv hookline_password HOOKLINE_DATABASE_PASSWORD
\getenv sample_password SAMPLE_DATABASE_PASSWORD

CREATE ROLE hookline LOGIN PASSWORD :'hookline_password';
CREATE DATABASE hookline OWNER hookline;
REVOKE ALL ON DATABASE hookline FROM PUBLIC;

CREATE ROLE sample LOGIN PASSWORD :'sample_password';
CREATE DATABASE sample OWNER sample;
REVOKE ALL ON DATABASE sample FROM PUBLIC;
