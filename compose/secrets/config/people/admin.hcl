# People who run the platform, for half an hour at a time. Not root: no sys/raw, no seal keys, no audit devices (those stand in the configuration).
path "sys/mounts" { capabilities = ["read"] }
path "sys/mounts/*" { capabilities = ["create", "read", "update"] }
path "sys/auth" { capabilities = ["read"] }
# sudo: enabling a way to sign in is root-protected.
path "sys/auth/*" { capabilities = ["create", "read", "update", "sudo"] }
path "sys/policies/acl" { capabilities = ["list"] }
path "sys/policies/acl/*" { capabilities = ["create", "read", "update", "delete"] }
path "sys/audit" { capabilities = ["read", "sudo"] }
path "sys/capabilities-self" { capabilities = ["update"] }
path "sys/leases/lookup" { capabilities = ["update"] }
path "sys/leases/revoke" { capabilities = ["update"] }
path "sys/storage/raft/configuration" { capabilities = ["read"] }
path "sys/storage/raft/autopilot/state" { capabilities = ["read"] }
path "auth/approle/role" { capabilities = ["list"] }
path "auth/approle/role/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "auth/userpass/users" { capabilities = ["list"] }
path "auth/userpass/users/*" { capabilities = ["create", "read", "update", "delete"] }
path "kv/config" { capabilities = ["create", "read", "update"] }
# Names and versions can be seen and values be written; values are read by the programs they belong to.
path "kv/metadata/*" { capabilities = ["read", "list", "delete"] }
path "kv/data/*" { capabilities = ["create", "update"] }
path "kv/undelete/*" { capabilities = ["update"] }
path "transit/keys" { capabilities = ["list"] }
path "transit/keys/*" { capabilities = ["create", "read", "update"] }
path "pki-root/*" { capabilities = ["create", "read", "update", "list"] }
path "pki/*" { capabilities = ["create", "read", "update", "list"] }
path "database/config" { capabilities = ["list"] }
path "database/config/*" { capabilities = ["create", "read", "update"] }
path "database/roles" { capabilities = ["list"] }
path "database/roles/*" { capabilities = ["create", "read", "update", "delete"] }
path "database/rotate-root/*" { capabilities = ["update"] }
path "database/creds/*" { capabilities = ["read"] }
# The account for the worst night is made at the first set-up and cannot be changed from here.
path "auth/userpass/users/break-glass" { capabilities = ["read"] }
path "auth/userpass/users/break-glass/*" { capabilities = ["deny"] }
