-- Run as superuser in each application's database (scripts/database.sh). Group roles carry the rights; the short-lived accounts only join them.
SELECT format('CREATE ROLE %I NOLOGIN', current_database() || '_' || kind) FROM unnest(ARRAY['readonly', 'readwrite']) kind
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = current_database() || '_' || kind) \gexec
SELECT format('GRANT %I, %I TO %I WITH ADMIN OPTION', current_database() || '_readonly', current_database() || '_readwrite', :'login') \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO %I, %I', current_database(), current_database() || '_readonly', current_database() || '_readwrite') \gexec
SELECT format('GRANT USAGE ON SCHEMA %1$I TO %2$I, %3$I', nspname, current_database() || '_readonly', current_database() || '_readwrite')
  FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' \gexec
SELECT format('GRANT SELECT ON ALL TABLES IN SCHEMA %1$I TO %2$I, %3$I', nspname, current_database() || '_readonly', current_database() || '_readwrite')
  FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' \gexec
SELECT format('GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %1$I TO %2$I', nspname, current_database() || '_readwrite')
  FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' \gexec
SELECT format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %1$I TO %2$I', nspname, current_database() || '_readwrite')
  FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' \gexec
-- Tables that the program makes later carry the same rights. They belong to the owner of the database.
SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %1$s IN SCHEMA %2$I GRANT SELECT ON TABLES TO %3$I, %4$I', datdba::regrole, nspname, current_database() || '_readonly', current_database() || '_readwrite')
  FROM pg_database, pg_namespace WHERE datname = current_database() AND nspname !~ '^pg_' AND nspname <> 'information_schema' \gexec
SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %1$s IN SCHEMA %2$I GRANT INSERT, UPDATE, DELETE ON TABLES TO %3$I', datdba::regrole, nspname, current_database() || '_readwrite')
  FROM pg_database, pg_namespace WHERE datname = current_database() AND nspname !~ '^pg_' AND nspname <> 'information_schema' \gexec
SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %1$s IN SCHEMA %2$I GRANT USAGE, SELECT ON SEQUENCES TO %3$I', datdba::regrole, nspname, current_database() || '_readwrite')
  FROM pg_database, pg_namespace WHERE datname = current_database() AND nspname !~ '^pg_' AND nspname <> 'information_schema' \gexec
