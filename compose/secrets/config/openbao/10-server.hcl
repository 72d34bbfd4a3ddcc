# OpenBao, one member. More members: 20-cluster.hcl.example. What unseals it: ../seal, chosen by OPENBAO_SEAL in .env.

# Keeps everything on its own disk, replicated by raft; one member is a cluster of one, so more can join later.
storage "raft" {
  path = "/openbao/file"
  # The environment (VAULT_RAFT_NODE_ID) wins; a member must keep its name for life.
  node_id = "openbao-1"
  # The fast timing that upstream recommends for production.
  performance_multiplier = 1
}

# What others use to reach this member; BAO_API_ADDR and BAO_CLUSTER_ADDR win.
api_addr     = "https://omni-openbao:8200"
cluster_addr = "https://omni-openbao:8201"
cluster_name = "omni"

listener "tcp" {
  address         = "0.0.0.0:8200"
  cluster_address = "0.0.0.0:8201"
  tls_cert_file   = "/openbao/tls/cert.pem"
  tls_key_file    = "/openbao/tls/key.pem"
  tls_min_version = "tls12"
  # A root token needs the break-glass account and shares; without an account nobody may even begin (BREAK-GLASS.md).
  disable_unauthed_generate_root_endpoints = true
  disable_unauthed_rekey_endpoints         = true
  telemetry {
    disallow_metrics = true
  }
}

# Metrics alone, on the inner network, so that Prometheus needs no token that could leak.
listener "tcp" {
  address     = "0.0.0.0:8210"
  tls_disable = true
  telemetry {
    metrics_only                   = true
    unauthenticated_metrics_access = true
  }
}

# OpenBao refuses to make audit devices through the API; they stand here. Two, since a request that no device can write down is refused,
# and one full disk would then stop everything.
audit "file" "to-file" {
  description = "kept on this host, shipped by the log pipeline"
  options {
    file_path = "/openbao/logs/audit.log"
    mode      = "0600"
  }
}

audit "file" "to-stdout" {
  description = "container log"
  options {
    file_path = "stdout"
  }
}

telemetry {
  prometheus_retention_time = "24h"
  disable_hostname          = true
}

# What a token or lease gets that asks for nothing, and the most it can get.
default_lease_ttl = "1h"
max_lease_ttl     = "768h"

ui        = true
log_level = "info"
