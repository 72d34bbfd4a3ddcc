# The account for the night when nothing else works. By itself it can only begin to make a root token; the shares of enough keyholders finish it.
path "sys/generate-root-token/attempt" { capabilities = ["create", "read", "update", "delete", "sudo"] }
path "sys/generate-root-token/update" { capabilities = ["create", "update", "sudo"] }
# It has no default policy; leaving again is all it needs of that.
path "auth/token/revoke-self" { capabilities = ["update"] }
