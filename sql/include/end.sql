-- What each file ends with: nothing is left of it.

RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA sim CASCADE;
DROP EXTENSION hubspot_assoc CASCADE;
\set ECHO all
