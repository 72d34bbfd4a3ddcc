# omni's backup engine: the whole store, encrypted as it lies, and accounts to dump databases with. No secret in clear.
path "sys/storage/raft/snapshot" { capabilities = ["read"] }
path "database/creds/postgresql-backup" { capabilities = ["read"] }
path "kv/data/restic/*" { capabilities = ["read"] }
