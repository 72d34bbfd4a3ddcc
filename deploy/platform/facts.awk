# What deploy/setup.sh has to know of a docker-compose.yml before an engine is there to ask: one line per
# fact, "service <tab> fact <tab> value". Reads the layout that this repository's stacks keep (two spaces a level;
# tests/platform holds them to it); a file in another layout gives no facts rather than wrong ones.
#
#   service         its name, once
#   name            container_name
#   user            user, as written
#   profile         each profile
#   port            each published port, as written, not interpolated
#   folder          each ./data/… that is mounted
#   scrape-folder   ./secrets/scrape, where it is mounted: credentials with which Prometheus asks others
#   mount           each mount of something beside the compose file, as written: ./… or ../…
#   restart         restart policy
#   image           its image, as written
#   build           its image is built here
#   gate            label omni.quantum.setup.gate
#   secret-file     (service "-") each file: of the top-level secrets

function unquoted(text) {
  sub(/[ \t]+#.*$/, "", text); sub(/^[ \t]+/, "", text); sub(/[ \t]+$/, "", text)
  if (text ~ /^".*"$/ || text ~ /^'.*'$/) text = substr(text, 2, length(text) - 2)
  return text
}
function fact(name, value) { printf "%s\t%s\t%s\n", service, name, value }
function item(key, value) {
  if (key == "ports" && value ~ /^published:/) { sub(/^published:/, "", value); fact("port", unquoted(value) ":0") }
  else if (key == "ports" && value !~ /^[a-z_]+: /) fact("port", value)
  if (key == "profiles") fact("profile", value)
  if (key == "volumes" && value ~ /^\.\.?\//) fact("mount", value)
  if (key == "volumes" && value ~ /^\.\/data\//) { sub(/:.*/, "", value); fact("folder", value) }
  if (key == "volumes" && value ~ /^\.\/secrets\/scrape:/) { sub(/:.*/, "", value); fact("scrape-folder", value) }
}

/^[ \t]*(#|$)/ { next }
/^[^ ]/ { section = $0; sub(/:.*/, "", section); service = ""; key = ""; next }

section == "services" && /^  [A-Za-z0-9_.-]+:/ {
  service = $1; sub(/:.*/, "", service); key = ""
  fact("service", service)
  next
}
section == "services" && service != "" && /^    [a-z_]+:/ {
  key = $1; sub(/:.*/, "", key)
  value = $0; sub(/^    [a-z_]+:[ \t]*/, "", value); value = unquoted(value)
  if (key == "container_name") fact("name", value)
  if (key == "user") fact("user", value)
  if (key == "restart") fact("restart", value)
  if (key == "image") fact("image", value)
  if (key == "build") fact("build", "yes")
  if ((key == "ports" || key == "profiles" || key == "volumes") && value ~ /^\[.*\]$/) {
    count = split(substr(value, 2, length(value) - 2), parts, ",")
    for (i = 1; i <= count; i++) item(key, unquoted(parts[i]))
  }
  next
}
section == "services" && /^      - / { value = $0; sub(/^      - /, "", value); item(key, unquoted(value)); next }
# The long form of a port; its address and protocol are left to the engine.
section == "services" && key == "ports" && /^        published:/ { value = $0; sub(/^ *published:/, "", value); fact("port", unquoted(value) ":0"); next }
section == "services" && key == "labels" && /^      omni\.quantum\.setup\.gate:/ { value = $0; sub(/^[^:]*:/, "", value); fact("gate", unquoted(value)); next }

section == "secrets" && /^    file:/ { value = $0; sub(/^    file:/, "", value); service = "-"; fact("secret-file", unquoted(value)); service = "" }
# { file: ./secrets/x } on one line
section == "secrets" && /^  [A-Za-z0-9_.-]+:[ \t]*\{.*file:/ { value = $0; sub(/^.*file:[ \t]*/, "", value); sub(/[ \t]*[,}].*$/, "", value); service = "-"; fact("secret-file", unquoted(value)); service = "" }
