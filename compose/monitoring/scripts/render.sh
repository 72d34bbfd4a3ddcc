#!/bin/sh
# Writes the configuration that Prometheus and Thanos read, from the templates in ./config/prometheus and .env. Runs as
# the one-shot container `prometheus-config` at each `docker compose up`; plain POSIX sh, because Alpine has no bash.
#
# What it adds to prometheus.yml:
#   - the omni controllers and discovery of every labelled container on every host   (OMNI_CONTROLLERS)
#   - one discovery job per credential in ./secrets/scrape                           (label prometheus.auth)
#   - components by name, where no omni runs                                         (STATIC_COMPONENTS)
#   - the exporters of the active profiles                                           (COMPOSE_PROFILES)
#   - remote write                                                                   (REMOTE_WRITE_URL)
#
# Keys that Prometheus 2.42 does not know are left out on purpose, so that the checks run on the oldest version we
# support: scrape_config_files (this script joins the parts instead), fallback_scrape_protocol (a target that sends no
# Content-Type fails on 3.x; none in the catalogue is known to), and limits in `global` (each job has its own).
set -eu

in=${RENDER_IN:-/in}
out=${RENDER_OUT:-/out}
scrape=${RENDER_SCRAPE:-/scrape}
password_file=${RENDER_PASSWORD_FILE:-/run/secrets/prometheus_password}
# Where Prometheus sees these folders.
seen_scrape=/etc/prometheus/scrape

die() {
  echo "render: $*" >&2
  exit 1
}

# A value goes into YAML and through sed: only what cannot mean anything there.
plain() {
  eval "value=\${$1:-}"
  # shellcheck disable=SC2154 # set by eval
  [ -n "$value" ] || die "$1 is empty: set it in compose/monitoring/.env"
  case $value in
    *[!A-Za-z0-9._:@/-]*) die "$1=$value: only letters, digits and . _ : @ / - may be in it" ;;
  esac
}
duration() {
  plain "$1"
  echo "$value" | grep -Eq '^([0-9]+(ms|s|m|h|d|w|y))+$' || die "$1=$value: not a duration; examples: 15s, 10m, 2h"
}

: "${OMNI_CLUSTER:=omni}" "${PROMETHEUS_REPLICA:=a}" "${SCRAPE_INTERVAL:=15s}" "${PROMETHEUS_OUT_OF_ORDER:=0s}"
: "${OMNI_CONTROLLERS:=}" "${STATIC_COMPONENTS:=}" "${COMPOSE_PROFILES:=}" "${SCRAPE_UNPUBLISHED:=local}"
: "${REMOTE_WRITE_URL:=}" "${REMOTE_WRITE_USER:=}" "${PROMETHEUS_MAX_BLOCK:=}"
plain OMNI_HOST
plain OMNI_CLUSTER
plain PROMETHEUS_REPLICA
duration SCRAPE_INTERVAL
duration PROMETHEUS_OUT_OF_ORDER
[ -s "$password_file" ] || die "$password_file is missing or empty: it is made from PROMETHEUS_PASSWORD in .env"
case $SCRAPE_UNPUBLISHED in
  local | all) ;;
  *) die "SCRAPE_UNPUBLISHED=$SCRAPE_UNPUBLISHED: local or all" ;;
esac

# Nothing said: what compose/omni's init.sh on this host found out, if there is such a stack.
case $OMNI_CONTROLLERS in
  '') [ ! -s "$scrape/omni.controllers" ] || OMNI_CONTROLLERS=$(tr '\n' ' ' <"$scrape/omni.controllers") ;;
  none) OMNI_CONTROLLERS= ;;
esac

profile() {
  case ",$COMPOSE_PROFILES," in *",$1,"*) true ;; *) false ;; esac
}
if profile thanos && [ "$PROMETHEUS_MAX_BLOCK" != 2h ]; then
  die "profile thanos needs PROMETHEUS_MAX_BLOCK=2h in .env: blocks that Prometheus compacts itself would be corrupted by the compactor"
fi

mkdir -p "$out/targets" || die "cannot write to $out: it has to belong to the user of this container (65534)"
new=$out/.prometheus.yml.new
trap 'rm -f "$new" "$out"/.*.new' EXIT

fill() {
  sed -e "s|\${OMNI_HOST}|$OMNI_HOST|g" -e "s|\${OMNI_CLUSTER}|$OMNI_CLUSTER|g" \
    -e "s|\${PROMETHEUS_REPLICA}|$PROMETHEUS_REPLICA|g" -e "s|\${SCRAPE_INTERVAL}|$SCRAPE_INTERVAL|g" \
    -e "s|\${PROMETHEUS_OUT_OF_ORDER}|$PROMETHEUS_OUT_OF_ORDER|g" "$1"
}

# --- credentials: NAME.token, or NAME.user with NAME.password; NAME.ca is the root certificate for https --------------
credentials() {
  for file in "$scrape"/*.token "$scrape"/*.user; do
    [ -f "$file" ] || continue
    [ -r "$file" ] || die "secrets/scrape/$(basename "$file") cannot be read by user 65534: chmod 0444 it, and 0755 its folder"
    name=$(basename "$file")
    name=${name%.*}
    case $name in
      *[!A-Za-z0-9_-]*) die "secrets/scrape/$name: a credential is named with letters, digits, _ and -" ;;
      omni) ;;
      *) echo "$name" ;;
    esac
  done | sort -u
}
# How a job authenticates, indented by four.
login() {
  if [ -f "$scrape/$1.token" ]; then
    [ -s "$scrape/$1.token" ] || die "secrets/scrape/$1.token is empty"
    echo "    authorization: {type: Bearer, credentials_file: $seen_scrape/$1.token}"
  elif [ -f "$scrape/$1.user" ]; then
    [ -s "$scrape/$1.password" ] || die "secrets/scrape/$1.user has no $1.password beside it"
    user=$(head -n 1 "$scrape/$1.user")
    case $user in
      *[!A-Za-z0-9._@-]*) die "secrets/scrape/$1.user: only letters, digits and . _ @ - may be in a user name" ;;
    esac
    echo "    basic_auth: {username: \"$user\", password_file: $seen_scrape/$1.password}"
  else
    die "no credential $1: put secrets/scrape/$1.token, or $1.user and $1.password, there"
  fi
  [ ! -f "$scrape/$1.ca" ] || echo "    tls_config: {ca_file: $seen_scrape/$1.ca}"
}

limits() {
  cat <<'YAML'
    # What one container may cost: above it the scrape fails and the alert names the container; the others go on.
    sample_limit: 50000
    body_size_limit: 64MB
    label_limit: 60
    label_name_length_limit: 200
    label_value_length_limit: 2000
YAML
}

# --- omni --------------------------------------------------------------------------------------------------------------
words() { echo "$1" | tr ',' ' '; }

# A list for `targets`, and one URL of discovery per controller: any of them answers for all, and targets that several
# hand out are scraped once, so discovery goes on while one is down.
controllers() {
  targets=
  discovery=
  for one in $(words "$OMNI_CONTROLLERS"); do
    case $one in
      *[!A-Za-z0-9.:_-]*) die "OMNI_CONTROLLERS: '$one' is not host:port" ;;
      *:[0-9]*) ;;
      *) die "OMNI_CONTROLLERS: '$one' has no port; the API listens on 7601" ;;
    esac
    targets="$targets\"$one\", "
    discovery="$discovery
      - url: https://$one/api/v1/prometheus/sd?consistency=stale
        refresh_interval: 30s
        authorization: {type: Bearer, credentials_file: $seen_scrape/omni.token}
        tls_config: {ca_file: $seen_scrape/omni.ca}"
  done
}

omni_controllers() {
  cat <<YAML

  # --- omni ---------------------------------------------------------------------------------------------------------
  - job_name: omni
    scheme: https
    # Each controller shows the hosts it holds: 1,000 hosts with 30 containers are about 200,000 series in all.
    sample_limit: 500000
    # host, component and container of a series are those of the host or container it is about.
    honor_labels: true
    authorization: {type: Bearer, credentials_file: $seen_scrape/omni.token}
    tls_config: {ca_file: $seen_scrape/omni.ca}
    static_configs:
      - targets: [${targets%, }]
        labels: {component: omni, tier: standard}
    metric_relabel_configs:
      # The tier above is omni's own; that of a container is not in these series.
      - {source_labels: [__name__], regex: 'omni_container_.+', target_label: tier, replacement: ""}
YAML
}

# $1 name of the job, $2 pattern of the label prometheus.auth (empty: containers without one)
omni_containers() {
  cat <<YAML

  - job_name: $1
    http_sd_configs:$discovery
$(limits)
    target_limit: 5000
YAML
  [ -z "$2" ] || login "$2"
  cat <<YAML
    relabel_configs:
      # A static job has it already.
      - {source_labels: [__meta_omni_container_label_omni_quantum_scrape], regex: 'static', action: drop}
      - {source_labels: [__meta_omni_container_label_prometheus_auth], regex: "$2", action: keep}
YAML
  if [ "$SCRAPE_UNPUBLISHED" = local ]; then
    cat <<YAML
      # A port that is not published can be reached on its own host only. With an overlay network: SCRAPE_UNPUBLISHED=all.
      - {source_labels: [__meta_omni_published, omni_host], regex: "true;.*|false;$OMNI_HOST", action: keep}
YAML
  fi
  cat <<'YAML'
      - {source_labels: [__meta_omni_container_label_prometheus_scheme], regex: '(https?)', target_label: __scheme__}
      # The label may carry a query: /v1/sys/metrics?format=prometheus
      - {source_labels: [__metrics_path__], regex: '[^?]*\?format=([a-z]+)', target_label: __param_format}
      - {source_labels: [__metrics_path__], regex: '([^?]*)\?.*', target_label: __metrics_path__}
      # Who has no component is called by its container.
      - {source_labels: [omni_container], target_label: component}
      - {source_labels: [omni_component], regex: '(.+)', target_label: component}
      - {source_labels: [component], target_label: job}
      - {source_labels: [omni_tier], regex: '(.+)', target_label: tier}
      - {source_labels: [omni_host], target_label: host}
      - {source_labels: [omni_container], target_label: container}
      - {source_labels: [omni_host, omni_container], separator: /, target_label: instance}
      - {regex: 'omni_(component|tier|host|container)', action: labeldrop}
    metric_relabel_configs:
      # cAdvisor of another host: the same cleaning as in the static job; other exporters have none of these labels.
      - {source_labels: [container_label_omni_quantum_component], regex: '(.+)', target_label: component}
      - {source_labels: [container_label_omni_quantum_tier], regex: '(.+)', target_label: tier}
      - {source_labels: [__name__, name], regex: 'container_.+;(.+)', target_label: container}
      - {source_labels: [__name__, id], regex: 'container_.+;/.+', target_label: id, replacement: ""}
      - {source_labels: [__name__, name, id], regex: 'container_.+;;', action: drop}
      - {source_labels: [__name__, name], regex: 'container_.+;.*', target_label: name, replacement: ""}
      - {source_labels: [__name__, image], regex: 'container_.+;.*', target_label: image, replacement: ""}
      - {regex: 'container_label_.+', action: labeldrop}
YAML
}

# --- components by name --------------------------------------------------------------------------------------------------
static_component() {
  line=$(grep "^$1	" "$in/components.tsv") ||
    die "STATIC_COMPONENTS: '$1' is not in config/prometheus/components.tsv; it has: $(grep -v '^#' "$in/components.tsv" | cut -f1 | tr '\n' ' ')"
  tier=$(echo "$line" | cut -f2)
  port=$(echo "$line" | cut -f3)
  scheme=$(echo "$line" | cut -f4)
  path=$(echo "$line" | cut -f5)
  auth=$(echo "$line" | cut -f6)
  cat <<YAML

  - job_name: $1
    scheme: $scheme
    metrics_path: ${path%%\?*}
$(limits)
YAML
  case $path in *\?format=*) echo "    params: {format: [${path##*=}]}" ;; esac
  # A credential that is there is used, also where the catalogue calls it optional.
  if [ "$auth" != - ] || [ -f "$scrape/$1.token" ] || [ -f "$scrape/$1.user" ]; then
    [ "$auth" != - ] || auth=$1
    login "$auth"
  fi
  cat <<YAML
    static_configs:
      - targets: ["omni-$1:$port"]
        labels: {component: "$1", tier: $tier, host: "$OMNI_HOST", container: "omni-$1", instance: "$OMNI_HOST/omni-$1"}
YAML
}

chosen() {
  for one in $(words "$STATIC_COMPONENTS"); do echo "$one"; done
  ! profile pgbouncer || echo pgbouncer-exporter
  ! profile mysql || echo mysqld-exporter
  ! profile gpu || echo dcgm-exporter
  ! profile thanos || printf 'thanos-%s\n' sidecar query store compact
}

remote_write() {
  case $REMOTE_WRITE_URL in
    http://* | https://*) ;;
    *) die "REMOTE_WRITE_URL=$REMOTE_WRITE_URL: starts with http:// or https://" ;;
  esac
  case $REMOTE_WRITE_URL in
    *[!A-Za-z0-9._:/?=\&%-]*) die "REMOTE_WRITE_URL: user and password do not go into the URL; see REMOTE_WRITE_USER" ;;
  esac
  cat <<YAML

remote_write:
  - url: "$REMOTE_WRITE_URL"
    name: long-term
    remote_timeout: 30s
YAML
  if [ -n "$REMOTE_WRITE_USER" ]; then
    plain REMOTE_WRITE_USER
    [ -s "$scrape/remote-write.secret" ] || die "REMOTE_WRITE_USER is set: put the password into secrets/scrape/remote-write.secret"
    echo "    basic_auth: {username: \"$REMOTE_WRITE_USER\", password_file: $seen_scrape/remote-write.secret}"
  elif [ -f "$scrape/remote-write.secret" ]; then
    echo "    authorization: {type: Bearer, credentials_file: $seen_scrape/remote-write.secret}"
  fi
  cat <<'YAML'
    write_relabel_configs:
      # Go's own memory statistics are for a debugger, not for a year.
      - {source_labels: [__name__], regex: 'go_memstats_.+', action: drop}
    queue_config:
      # Ten shards of 10,000 samples wait in memory at most; the WAL keeps about two hours for a receiver that is down.
      max_shards: 10
      capacity: 10000
      max_samples_per_send: 2000
      batch_send_deadline: 5s
      min_backoff: 100ms
      max_backoff: 10s
YAML
}

{
  echo "# Written by scripts/render.sh; changes here are lost. Edit config/prometheus/prometheus.yml and .env."
  fill "$in/prometheus.yml"
  if [ -n "$OMNI_CONTROLLERS" ]; then
    for need in omni.token omni.ca; do
      [ -s "$scrape/$need" ] || die "controllers are to be scraped and secrets/scrape/$need is missing: README.md, \"Connect omni\""
    done
    controllers
    omni_controllers
    omni_containers omni-containers ""
    names=$(credentials)
    for name in $names; do omni_containers "omni-containers-$name" "$name"; done
  fi
  chosen | sort -u | while read -r name; do static_component "$name"; done
  [ -z "$REMOTE_WRITE_URL" ] || remote_write
} >"$new"
mv "$new" "$out/prometheus.yml"

# --- probes ------------------------------------------------------------------------------------------------------------
# Whole files in one step: Prometheus watches the folder.
for file in "$in"/targets/*.yml; do
  fill "$file" >"$out/targets/.new"
  mv "$out/targets/.new" "$out/targets/$(basename "$file")"
done
for file in "$out"/targets/*.yml; do
  [ -f "$in/targets/$(basename "$file")" ] || rm -f "$file"
done

# --- who may ask Prometheus ----------------------------------------------------------------------------------------------
# Its API can delete series and take in foreign ones. One user; the hash is made anew each time, which is harmless.
tr -d '\n' <"$password_file" >"$out/.password.new"
hash=$({ cat "$out/.password.new"; echo; } | "${RENDER_CADDY:-caddy}" hash-password --algorithm bcrypt | tail -n 1)
# shellcheck disable=SC2016 # the dollars of a bcrypt hash
case $hash in
  '$2'?'$'*) ;;
  *) die "caddy hash-password gave no bcrypt hash" ;;
esac
cat >"$out/.web.yml.new" <<YAML
# Read again by Prometheus at each request.
basic_auth_users:
  omni: "$hash"
http_server_config:
  headers:
    X-Content-Type-Options: nosniff
    X-Frame-Options: deny
YAML
# For promtool (health check) and the Thanos sidecar.
cat >"$out/.client.yml.new" <<'YAML'
basic_auth:
  username: omni
  password_file: /etc/prometheus/rendered/password
YAML
if profile thanos; then
  : "${THANOS_S3_ENDPOINT:=omni-minio:9000}" "${THANOS_S3_BUCKET:=thanos}" "${THANOS_S3_REGION:=us-east-1}" "${THANOS_S3_INSECURE:=true}"
  for name in THANOS_S3_ENDPOINT THANOS_S3_BUCKET THANOS_S3_REGION THANOS_S3_INSECURE; do plain "$name"; done
  cat >"$out/objstore.yml" <<YAML
# The keys come by environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY).
type: S3
config:
  bucket: "$THANOS_S3_BUCKET"
  endpoint: "$THANOS_S3_ENDPOINT"
  region: "$THANOS_S3_REGION"
  insecure: $THANOS_S3_INSECURE
  # host/bucket: what self-hosted stores understand.
  bucket_lookup_type: path
YAML
fi
chmod 0400 "$out/.password.new"
for name in password web.yml client.yml; do mv -f "$out/.$name.new" "$out/$name"; done

echo "render: $(grep -c '^  - job_name:' "$out/prometheus.yml") jobs"
