# access.json and the policies as a list of what OpenBao has to hold, in the order in which it is made:
#   {kind, read, write, body, same, update?, change?, fixed?}
# read: where it can be seen. write and body: how it is made. update and change: how it is changed, where that differs.
# same: the fields of the answer that have to agree. fixed: fields that cannot be changed later.
# Input: access.json. Arguments: $policies {name: HCL}, $domain, $api, $acme ("true" or "false").

def seconds:
  if type == "number" then .
  else capture("^(?<n>[0-9]+)(?<u>[smhd]?)$") | (.n | tonumber) * {"": 1, s: 1, m: 60, h: 3600, d: 86400}[.u] end;
def entry(kind; read; body; same): {kind: kind, read: read, write: read, body: body, same: same};

[
  entry("kv settings"; "kv/config"; .kv; .kv),

  ($policies | to_entries[] | entry("policy \(.key)"; "sys/policies/acl/\(.key)"; {policy: .value}; {policy: .value})),

  (.approles | to_entries[] | .value as $r
    | {token_policies: $r.policies, secret_id_num_uses: $r.secret_id_num_uses} as $plain
    | entry("program \(.key)"; "auth/approle/role/\(.key)";
        $plain + {token_ttl: $r.token_ttl, token_max_ttl: $r.token_max_ttl, secret_id_ttl: $r.secret_id_ttl, bind_secret_id: true};
        $plain + {token_ttl: ($r.token_ttl | seconds), token_max_ttl: ($r.token_max_ttl | seconds), secret_id_ttl: ($r.secret_id_ttl | seconds), bind_secret_id: true})),

  (.transit | to_entries[]
    | entry("transit key \(.key)"; "transit/keys/\(.key)"; .value + {exportable: false};
        {auto_rotate_period: (.value.auto_rotate_period | seconds), exportable: false})
      + {update: "transit/keys/\(.key)/config", change: {auto_rotate_period: .value.auto_rotate_period}, fixed: {type: .value.type}}),

  ({issuing_certificates: ["\($api)/v1/pki/ca"], crl_distribution_points: ["\($api)/v1/pki/crl"]} | entry("addresses of the authority"; "pki/config/urls"; .; .)),
  # A day's certificates add up; what has ended is taken out.
  ({enabled: true, tidy_cert_store: true, tidy_revoked_certs: true}
    | entry("tidying of certificates"; "pki/config/auto-tidy"; . + {interval_duration: "12h", safety_buffer: "72h"}; . + {interval_duration: 43200, safety_buffer: 259200})),

  (.pki_roles | to_entries[] | .value as $r
    | {allowed_domains: ($r.names + ["\($r.sub).\($domain)"]), allow_bare_domains: true, allow_subdomains: false, allow_glob_domains: false, allow_localhost: true,
       allow_ip_sans: true, allow_any_name: false, enforce_hostnames: true, server_flag: true, client_flag: true, key_type: $r.key_type, key_bits: $r.key_bits} as $plain
    | entry("certificates of \(.key)"; "pki/roles/\(.key)"; $plain + {ttl: $r.ttl, max_ttl: $r.max_ttl};
        $plain + {ttl: ($r.ttl | seconds), max_ttl: ($r.max_ttl | seconds)})),

  (select($acme == "true")
    | ({path: "\($api)/v1/pki", aia_path: "\($api)/v1/pki"} | entry("address for ACME"; "pki/config/cluster"; .; .)),
      # A role of its own: only names below the domain, so an ACME client cannot ask for a component's inner name.
      ({allowed_domains: [$domain], allow_bare_domains: true, allow_subdomains: true, allow_glob_domains: false, allow_localhost: false, allow_ip_sans: false,
        allow_any_name: false, enforce_hostnames: true, server_flag: true, client_flag: false, key_type: "any"} as $plain
        | entry("certificates over ACME"; "pki/roles/acme"; $plain + {ttl: "72h", max_ttl: "72h"}; $plain + {ttl: 259200, max_ttl: 259200})),
      ({enabled: true, allowed_roles: ["acme"], default_directory_policy: "role:acme"} | entry("ACME"; "pki/config/acme"; .; .)))
]
