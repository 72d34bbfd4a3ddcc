# omni's rotation jobs: write new values and look at versions; the values themselves they cannot read back.
path "kv/data/*" { capabilities = ["create", "update"] }
path "kv/metadata/*" { capabilities = ["read", "list"] }
path "transit/keys/+/rotate" { capabilities = ["update"] }
path "database/rotate-root/*" { capabilities = ["update"] }
path "auth/approle/role/+/secret-id" { capabilities = ["update"] }
