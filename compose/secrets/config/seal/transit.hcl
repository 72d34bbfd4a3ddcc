# Opens by itself with the transit key `unseal` of another OpenBao, which must not depend on this one. Set address; the token comes from .env
# (OPENBAO_TRANSIT_TOKEN): periodic and orphan, else this store cannot open when it ends, with update on transit/encrypt/unseal and transit/decrypt/unseal.
seal "transit" {
  address         = "https://unseal.internal:8200"
  disable_renewal = "false"
  key_name        = "unseal"
  mount_path      = "transit/"
  tls_ca_cert     = "/openbao/tls/unseal-ca.pem"
}
