#!/usr/bin/env bash
# A certificate of OpenBao's authority for one component.
#   issue.sh COMPONENT DIR [--name NAME,…] [--ip IP,…] [--ttl 24h]
# Writes DIR/cert.pem (with its chain), DIR/key.pem and DIR/ca.pem. BAO_TOKEN: the component's own, or an admin's (scripts/login.sh).
# Exit: 0 done, 1 failed, 2 usage.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

HELP="issue.sh COMPONENT DIR [--name NAME,…] [--ip IP,…] [--ttl 24h]"
[ $# -ge 2 ] || usage_error "$HELP"
component=$1 folder=$2 names='' ips='' ttl=''
shift 2
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || usage_error "$HELP"
  case $1 in --name) names=$2 ;; --ip) ips=$2 ;; --ttl) ttl=$2 ;; *) usage_error "$HELP" ;; esac
  shift 2
done
load_env
need curl jq openssl
need_token
must POST "pki/issue/$component" "$(jq -nc --arg name "omni-$component" --arg names "$names" --arg ips "$ips" --arg ttl "$ttl" '
  {common_name: $name} + (if $names == "" then {} else {alt_names: $names} end) + (if $ips == "" then {} else {ip_sans: $ips} end) + (if $ttl == "" then {} else {ttl: $ttl} end)')"
mkdir -p "$folder"
status '.data | [.certificate, (.ca_chain // [] | .[])] | join("\n")' >"$folder/cert.pem.new"
status .data.private_key >"$folder/key.pem.new"
# The last of the chain is the root, which is all that a client has to know.
status '.data | (.ca_chain // [.issuing_ca]) | last' >"$folder/ca.pem.new"
openssl verify -CAfile "$folder/ca.pem.new" -untrusted "$folder/cert.pem.new" "$folder/cert.pem.new" >/dev/null || die "what OpenBao gave does not verify; nothing was replaced in $folder"
for file in key cert ca; do mv "$folder/$file.pem.new" "$folder/$file.pem"; done
say "$component: $(openssl x509 -in "$folder/cert.pem" -noout -enddate | sed 's/notAfter=/valid until /')"
