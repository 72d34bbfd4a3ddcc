# Opens by itself at start with a key in a file on this host. Whoever has the host's disk has the secrets: choose it only when that key comes from somewhere
# else at boot (a TPM, a disk that is unlocked by hand). scripts/init.sh makes the key; it belongs into the escrow (ESCROW_EXTRA of compose/backup).
# To rotate: new file and id as current_*, the old ones as previous_key_id and previous_key, restart, then scripts/init.sh.
seal "static" {
  current_key_id = "omni-1"
  current_key    = "file:///openbao/tls/static-seal.key"
}
