# The default: no seal stanza. After each restart enough keyholders open it with scripts/unseal.sh; nobody else can, the host included.
