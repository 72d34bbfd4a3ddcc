-- Run once as superuser in database postgres, and again after each new database (scripts/database.sh does both). Changes nothing that is there.
-- :login is OpenBao's own account; its password is changed by OpenBao at once (rotate-root) and known to nobody then. NOINHERIT: what it may hand out it
-- does not hold itself, short of a SET ROLE that the server's log shows.
SELECT format('CREATE ROLE %I LOGIN CREATEROLE NOINHERIT', :'login') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'login') \gexec
SELECT format('ALTER ROLE %I NOINHERIT CONNECTION LIMIT 8', :'login') \gexec
-- CREATEROLE may grant only what it holds with ADMIN from PostgreSQL 16 on; 15 takes the same grants.
SELECT format('GRANT pg_signal_backend TO %I', :'login') \gexec
SELECT format('GRANT pg_monitor, pg_read_all_data TO %I WITH ADMIN OPTION', :'login') \gexec
