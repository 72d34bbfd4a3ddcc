#!/usr/bin/env bash
# Writes alertmanager.local.yml: alertmanager.yml with the switches you ask for turned on. Start Alertmanager with it
# (compose/monitoring: ALERTMANAGER_CONFIG=alertmanager.local.yml). Safe to repeat; the same arguments give the same file.
#
#   build.sh [--omni-webhook URL [--omni-ca FILE]]
#            [--email-to ADDRESS --email-from ADDRESS --smarthost HOST:PORT [--smtp-user NAME] [--no-tls]]
#            [--heartbeat URL] [--output FILE]
#
#   --omni-webhook  where omni takes alerts; its token is the file /run/secrets/omni_webhook_token
#   --omni-ca       root certificate of omni, as Alertmanager's container sees the file
#   --email-*       critical alerts by mail as well, for the night when chat is what is down;
#                   with --smtp-user the password is the file /run/secrets/smtp_password
#   --heartbeat     a POST every half hour while alerting works, for a dead man's switch that stands elsewhere
#
# Ends with 0 written, 1 not valid, 2 usage.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() { sed -n '2,/^set -euo/p' "${BASH_SOURCE[0]}" | sed -e '/^set /d' -e 's/^# \{0,1\}//'; }
wrong() { printf 'build.sh: %s\n' "$1" >&2; exit 2; }

omni='' omni_ca='' to='' from='' smarthost='' user='' tls=true beat='' output=alertmanager.local.yml
while [ $# -gt 0 ]; do
  case "$1" in
    -h|--help) usage; exit 0 ;;
    --no-tls) tls=false; shift; continue ;;
    --omni-webhook|--omni-ca|--email-to|--email-from|--smarthost|--smtp-user|--heartbeat|--output)
      [ $# -ge 2 ] || wrong "$1 needs a value" ;;
    *) wrong "$1 is not known; build.sh --help lists what is" ;;
  esac
  # A quote or a line break would end the YAML string that the value is put into.
  case "$2" in *"'"*|*'|'*|*$'\n'*) wrong "the value of $1 holds a quote, a bar or a line break: $2" ;; esac
  case "$1" in
    --omni-webhook) omni=$2 ;; --omni-ca) omni_ca=$2 ;; --email-to) to=$2 ;; --email-from) from=$2 ;;
    --smarthost) smarthost=$2 ;; --smtp-user) user=$2 ;; --heartbeat) beat=$2 ;; --output) output=$2 ;;
  esac
  shift 2
done

for url in "$omni" "$beat"; do
  case "$url" in ''|http://?*|https://?*) ;; *) wrong "$url is no http:// or https:// address" ;; esac
done
[ -z "$omni_ca" ] || [ -n "$omni" ] || wrong "--omni-ca is of use only with --omni-webhook"
if [ -n "$to$from$smarthost$user" ]; then
  if [ -z "$to" ] || [ -z "$from" ] || [ -z "$smarthost" ]; then
    wrong "mail needs --email-to, --email-from and --smarthost"
  fi
  case "$smarthost" in ?*:[0-9]*) ;; *) wrong "--smarthost is HOST:PORT, not $smarthost" ;; esac
fi

# `on TAG` uncomments the lines of a switch.
script=()
on() { script+=(-e "s|^#$1#||"); }
put() { script+=(-e "s|$1|${2//&/\\&}|"); }
[ -z "$omni" ] || { on omni; put OMNI_WEBHOOK_URL "$omni"; }
[ -z "$omni_ca" ] || { on ca; put OMNI_CA_FILE "$omni_ca"; }
[ -z "$to" ] || { on mail; put EMAIL_TO "$to"; put EMAIL_FROM "$from"; put SMARTHOST "$smarthost"; put SMTP_TLS "$tls"; }
[ -z "$user" ] || { on smtp; put SMTP_USER "$user"; }
[ -z "$beat" ] || { on beat; put HEARTBEAT_URL "$beat"; }

new=$(mktemp "$output.XXXXXX")
trap 'rm -f "$new"' EXIT
{
  printf '# Made by build.sh from alertmanager.yml: change that, then run it again with the same arguments.\n'
  # Switches that stay off are left out, so that the result reads as what it does.
  sed "${script[@]}" -e '/^#[a-z]*#/d' -e '/^# Lines that begin with #omni#/d' alertmanager.yml
} >"$new"
chmod 0644 "$new"
if command -v amtool >/dev/null; then
  amtool check-config "$new" >&2 || { echo "build.sh: amtool refuses the result; $output was not changed" >&2; exit 1; }
else
  echo "build.sh: amtool is not installed, so the result was not checked" >&2
fi
mv "$new" "$output"
echo "wrote $(realpath "$output")" >&2
