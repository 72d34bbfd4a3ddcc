#!/usr/bin/env bash
# Opens the store after a restart. Each keyholder runs it with their own age identity, on their own or one after the other on one terminal.
#   unseal.sh -i IDENTITY [-i IDENTITY...]    gives the share that each identity opens
#   unseal.sh --reset                         forgets the shares given so far
# For another member of the cluster: OPENBAO_ADDR. Exit: 0 open or one step further, 1 failed, 2 usage.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

HELP="unseal.sh -i IDENTITY [-i IDENTITY...] | --reset"
identities "$@"
reset=no
if [ "${REST[*]:-}" = --reset ]; then reset=yes REST=(); fi
# Either shares or --reset, and nothing else.
if [ ${#REST[@]} -gt 0 ] || [ "$reset-${#IDENTITIES[@]}" = no-0 ] || { [ "$reset" = yes ] && [ ${#IDENTITIES[@]} -gt 0 ]; }; then usage_error "$HELP"; fi
load_env
need curl jq age

seal_status
[ "$(status .initialized)" = true ] || die "the store is not initialised: run scripts/init.sh"
if [ "$reset" = yes ]; then
  must POST sys/unseal '{"reset":true}'
  say "shares given so far are forgotten"
  exit 0
fi
[ "$(status .type)" = shamir ] || die "this store opens by itself (seal '$(status .type)'); shares do not open it. Look at its log for why it did not"
for identity in "${IDENTITIES[@]}"; do
  if [ "$(status .sealed)" = false ]; then break; fi
  # A subshell of its own, so that its failure ends this script and its share does not outlive the step.
  found=$(share_of "$identity")
  before=$(status .progress)
  give_share "${found#* }"
  if [ "$(status .sealed)" = true ] && [ "$(status .progress)" -le "$before" ] && [ "$(status .t)" -gt 1 ]; then
    if [ "$(status .progress)" -eq 0 ]; then die "enough shares, but together they do not open it: one is of another store. Begin again"; fi
    die "the share of ${found%% *} was given already"
  fi
  say "${found%% *}: $([ "$(status .sealed)" = false ] && echo 'the store is open' || echo "$(status .progress) of $(status .t)")"
done
if [ "$(status .sealed)" = true ]; then say "$(($(status .t) - $(status .progress))) more needed"; else say "open"; fi
