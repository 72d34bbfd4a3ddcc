#!/usr/bin/env bash
# Escrow: what opens the backups, kept so that no one person can open it alone and no single loss locks it. ESCROW.md is the procedure.
#   escrow.sh seal                        gather, seal, split; writes escrow/ (ciphertext only)
#   escrow.sh rehearse -i ID -i ID...     open with that many keyholders' age identities, prove every secret, write the result down
#   escrow.sh open DIR -i ID -i ID...     the same opening into DIR (empty, and on a RAM disk), for a real recovery
#   escrow.sh sheet NAME                  the page that keyholder NAME prints (ciphertext; useless without NAME's age identity)
#   escrow.sh sheet NAME --plain -i ID    the same with the share in clear, to standard output only, for a sealed envelope
#   escrow.sh read-sheet NAME FILE        puts the share of keyholder NAME back from the typed lines of a page
#   escrow.sh status                      1 when the escrow is missing, older than a secret, or not rehearsed in ESCROW_REHEARSE_DAYS
# How it is made: a fresh age identity encrypts the bundle; that identity is split (ssss, m of n) and forgotten; each share is encrypted to
# one keyholder. Exit: 0 done, 1 failed, 2 usage.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ESCROW=${BACKUP_ESCROW:-$BACKUP_STACK/escrow}
REHEARSE_DAYS=${ESCROW_REHEARSE_DAYS:-100}
help="escrow.sh seal | rehearse -i ID... | open DIR -i ID... | sheet NAME [--plain -i ID] | read-sheet NAME FILE | status"
load_env

# One line a keyholder: name and age recipient. Public keys only, so the file may lie in git.
keyholders() {
  local file=${ESCROW_KEYHOLDERS:-$ESCROW/keyholders.txt}
  [ -s "$file" ] || die "$file is missing: one line for each keyholder, 'name age1…' (ESCROW.md, step 1)"
  awk '!/^#/ && NF { if (NF != 2 || $1 !~ /^[a-z0-9-]+$/ || length($2) != 62 || $2 !~ /^age1[0-9a-z]+$/) { print "bad " NR; exit } print }' "$file"
}

check_keyholders() {
  local lines count threshold=${ESCROW_THRESHOLD:-2}
  lines=$(keyholders)
  case $lines in *bad\ *) die "the keyholders file, line ${lines##*bad }: write a name (a-z, 0-9, -) and an age recipient (age1…)" ;; esac
  [ "$(cut -d' ' -f1 <<<"$lines" | sort -u | wc -l)" -eq "$(wc -l <<<"$lines")" ] || die "the keyholders file names somebody two times"
  [ "$(awk '{print $2}' <<<"$lines" | sort -u | wc -l)" -eq "$(wc -l <<<"$lines")" ] || die "the keyholders file gives one recipient to two people: each needs a key of their own"
  count=$(wc -l <<<"$lines")
  if [ "$threshold" -lt 2 ] || [ "$threshold" -ge "$count" ]; then
    die "ESCROW_THRESHOLD is $threshold of $count keyholders: at least 2, so that nobody opens it alone, and fewer than all, so that one loss does not lock it"
  fi
}

# A folder in memory: what is clear must never reach a disk.
private_folder() {
  local base=${ESCROW_RAM:-/dev/shm}
  [ "$(stat -f -c %T "$base" 2>/dev/null)" = tmpfs ] || die "$base is no RAM disk; set ESCROW_RAM to one (mount -t tmpfs)"
  mktemp -d "$base/escrow.XXXXXX"
}

# name<TAB>file of everything that goes in. Unseal shares are not here: each is encrypted to one keyholder by compose/secrets, and stays so.
items() {
  local file
  for file in "$BACKUP_SECRETS"/restic/*.password; do [ ! -e "$file" ] || printf 'restic/%s\t%s\n' "${file##*/}" "$file"; done
  for file in "$BACKUP_SECRETS"/http/* "$BACKUP_SECRETS"/remote-http/*; do [ ! -e "$file" ] || printf '%s/%s\t%s\n' "$(basename "$(dirname "$file")")" "${file##*/}" "$file"; done
  [ ! -s "$BACKUP_SECRETS/tls/ca-key.pem" ] || printf 'tls/ca-key.pem\t%s\n' "$BACKUP_SECRETS/tls/ca-key.pem"
  if [ -n "${BACKUP_S3_SECRET_KEY:-}" ]; then printf 's3/keys\t-\n'; fi
  # More by name: ESCROW_EXTRA="sops-age-key=/path cluster-key=/path break-glass=/path"
  for file in ${ESCROW_EXTRA:-}; do
    [[ $file =~ ^[a-z0-9-]+=/.+ ]] || die "ESCROW_EXTRA: '$file' is not name=/path"
    [ -s "${file#*=}" ] || die "ESCROW_EXTRA: ${file#*=} is missing or empty"
    printf 'extra/%s\t%s\n' "${file%%=*}" "${file#*=}"
  done
}

write_item() {
  if [ "$1" = s3/keys ]; then printf 'AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n' "$BACKUP_S3_ACCESS_KEY" "$BACKUP_S3_SECRET_KEY"; else cat "$2"; fi
}

# Says which secrets are inside and when they changed, without saying them: a keyed digest would be another secret, so it is salted per seal.
fingerprint() { { printf '%s' "$1"; cat; } | sha256sum | cut -c1-32; }

seal() {
  need age age-keygen ssss-split jq tar
  check_keyholders
  local work threshold=${ESCROW_THRESHOLD:-2} lines count shares name recipient file index=0 salt next=$ESCROW/new
  lines=$(keyholders)
  count=$(wc -l <<<"$lines")
  work=$(private_folder)
  # shellcheck disable=SC2064 # the path is known now
  trap "rm -rf '$work'" EXIT
  mkdir -p "$work/bundle" "$ESCROW"
  rm -rf "$next"; mkdir -p "$next/shares"
  salt=$(random_hex 16)
  [ -n "$(items)" ] || die "there is nothing to seal yet: run scripts/init.sh first"
  while IFS=$'\t' read -r name file; do
    mkdir -p "$work/bundle/$(dirname "$name")"
    write_item "$name" "$file" >"$work/bundle/$name"
    printf '%s\t%s\n' "$name" "$(fingerprint "$salt" <"$work/bundle/$name")" >>"$next/contents.tsv"
  done < <(items)
  {
    echo "# What opens what. Sealed $(date -u +%FT%TZ) on $(hostname)."
    echo "# restic/SITE-TIER.password opens that repository; http/TIER is the server user's password; procedure: ESCROW.md"
    for site in $(sites); do for tier in $TIERS; do use_repository "$site" "$tier"; printf '%s-%s\t%s\n' "$site" "$tier" "$(sed 's#//[^@/]*@#//#' "$RESTIC_REPOSITORY_FILE")"; done; done
  } >"$work/bundle/README.tsv"
  [ ! -s "$BACKUP_SECRETS/tls/ca.pem" ] || cp "$BACKUP_SECRETS/tls/ca.pem" "$work/bundle/ca.pem"

  age-keygen -o "$work/identity" 2>/dev/null
  tar -C "$work/bundle" -cf - . | age -r "$(age-keygen -y "$work/identity")" -o "$next/bundle.age"
  # ssss takes 128 characters at most; an age identity has 74.
  shares=$(grep '^AGE-SECRET-KEY-' "$work/identity" | tr -d '\n' | ssss-split -t "$threshold" -n "$count" -q -Q)
  [ "$(wc -l <<<"$shares")" -eq "$count" ] || die "ssss-split gave $(wc -l <<<"$shares") shares instead of $count"
  while read -r name recipient; do
    index=$((index + 1))
    sed -n "${index}p" <<<"$shares" | age -a -r "$recipient" -o "$next/shares/$name.age"
  done <<<"$lines"
  jq -n --arg salt "$salt" --arg made "$(date -u +%FT%TZ)" --arg bundle "$(sha256sum <"$next/bundle.age" | cut -d' ' -f1)" --argjson threshold "$threshold" \
    --argjson keyholders "$(awk '{print $1 "\t" $2}' <<<"$lines" | jq -R 'split("\t") | {name: .[0], recipient: .[1]}' | jq -s .)" \
    '{made: $made, threshold: $threshold, keyholders: $keyholders, bundle_sha256: $bundle, salt: $salt}' >"$next/escrow.json"

  # The shares are proved before they replace the old ones: every combination that must open, on the clear shares that are still here.
  prove_shares "$work" "$threshold" "$count" "$shares" "$next/bundle.age"
  for file in bundle.age contents.tsv escrow.json shares; do rm -rf "${ESCROW:?}/$file"; mv "$next/$file" "$ESCROW/$file"; done
  rmdir "$next"
  say "sealed $(wc -l <"$ESCROW/contents.tsv") secrets; any $threshold of $count keyholders open it: $(awk '{print $1}' <<<"$lines" | xargs)"
  say "next: copy $ESCROW to two other places, print a sheet for each keyholder, and rehearse (ESCROW.md)"
}

combine() { ssss-combine -t "$1" -q -Q 2>&1 >/dev/null | tail -n 1; }

prove_shares() {
  local work=$1 threshold=$2 count=$3 shares=$4 bundle=$5 start chosen
  for ((start = 1; start <= count; start++)); do
    chosen=$({ sed -n "$start,\$p" <<<"$shares"; sed -n "1,$((start - 1))p" <<<"$shares"; } | grep . | head -n "$threshold")
    combine "$threshold" <<<"$chosen" >"$work/try"
    age -d -i "$work/try" "$bundle" 2>/dev/null | tar -tf - >/dev/null || die "shares $start.. do not open the bundle; nothing was replaced"
  done
  chosen=$(head -n $((threshold - 1)) <<<"$shares")
  combine "$((threshold - 1))" <<<"$chosen" >"$work/try" 2>/dev/null || true
  if age -d -i "$work/try" "$bundle" >/dev/null 2>&1; then die "fewer than $threshold shares open the bundle; nothing was replaced"; fi
}

# Opens the bundle into folder $1 with the identities given after it. Prints the names of the keyholders who took part.
open_bundle() {
  local into=$1 work threshold name identity share shares='' who=()
  shift
  [ -s "$ESCROW/escrow.json" ] || die "$ESCROW/escrow.json is missing: this is no escrow folder (BACKUP_ESCROW names it)"
  threshold=$(jq -r .threshold "$ESCROW/escrow.json")
  [ "$(sha256sum <"$ESCROW/bundle.age" | cut -d' ' -f1)" = "$(jq -r .bundle_sha256 "$ESCROW/escrow.json")" ] || die "bundle.age is not the one that escrow.json describes: take both from the same copy"
  work=$(private_folder)
  for identity in "$@"; do
    [ -s "$identity" ] || { rm -rf "$work"; die "identity $identity is missing"; }
    share=''
    for name in $(jq -r '.keyholders[].name' "$ESCROW/escrow.json"); do
      case " ${who[*]} " in *" $name "*) continue ;; esac
      if share=$(age -d -i "$identity" "$ESCROW/shares/$name.age" 2>/dev/null); then who+=("$name"); shares+=$share$'\n'; break; fi
    done
    [ -n "$share" ] || { rm -rf "$work"; die "identity $identity opens no share that is not already open: it belongs to no keyholder of this escrow, or was given two times"; }
  done
  [ "${#who[@]}" -ge "$threshold" ] || { rm -rf "$work"; die "${#who[@]} share(s) (${who[*]}), $threshold are needed"; }
  head -n "$threshold" <<<"$shares" | combine "$threshold" >"$work/identity"
  if ! age -d -i "$work/identity" "$ESCROW/bundle.age" 2>/dev/null | tar -C "$into" -xf - 2>/dev/null; then
    rm -rf "$work"; die "the shares of ${who[*]} do not open the bundle: one of them is from another sealing, or mistyped"
  fi
  rm -rf "$work"
  echo "${who[*]}"
}

compare_contents() {
  local folder=$1 salt name print wrong=0
  salt=$(jq -r .salt "$ESCROW/escrow.json")
  while IFS=$'\t' read -r name print; do
    [ -s "$folder/$name" ] || { say "  missing: $name"; wrong=1; continue; }
    [ "$(fingerprint "$salt" <"$folder/$name")" = "$print" ] || { say "  changed: $name"; wrong=1; }
  done <"$ESCROW/contents.tsv"
  return "$wrong"
}

# Proof by use: each password of the bundle opens its repository, and the newest snapshot comes back.
rehearse() {
  need age ssss-combine jq tar "$RESTIC"
  local folder who name site tier id failed=0 tried=0 scratch
  [ $# -gt 0 ] || usage_error "$help"
  folder=$(private_folder)
  # shellcheck disable=SC2064 # the path is known now
  trap "rm -rf '$folder'" EXIT
  who=$(open_bundle "$folder" "$@") || exit 1
  compare_contents "$folder" || failed=1
  for name in "$folder"/restic/*.password; do
    id=${name##*/}; id=${id%.password}; site=${id%%-*}; tier=${id#*-}
    tried=$((tried + 1))
    if ! (use_repository "$site" "$tier" 2>/dev/null && RESTIC_PASSWORD_FILE=$name run_restic cat config >/dev/null 2>&1); then
      say "  repository $id: does not open with the password from the escrow"; failed=1; continue
    fi
    use_repository "$site" "$tier"
    export RESTIC_PASSWORD_FILE=$name
    if [ "$(run_restic snapshots --json | jq length)" -eq 0 ]; then say "  repository $id: opens, holds no snapshot yet"; continue; fi
    scratch=$(mktemp -d "${ESCROW_SCRATCH:-${TMPDIR:-/tmp}}/rehearsal.XXXXXX")
    if run_restic restore latest --target "$scratch" --verify >/dev/null 2>&1 && [ -n "$(find "$scratch" -type f | head -n 1)" ]; then
      say "  repository $id: opens, newest snapshot restored and verified"
    else
      say "  repository $id: opens, but its newest snapshot does not come back"; failed=1
    fi
    rm -rf "$scratch"
  done
  for name in "$folder"/extra/*; do
    [ -e "$name" ] || continue
    if grep -q '^AGE-SECRET-KEY-' "$name"; then
      # Whatever was encrypted for this key must open with it: the probe is made and opened here.
      echo probe | age -r "$(age-keygen -y "$name")" | age -d -i "$name" >/dev/null 2>&1 || { say "  ${name##*/}: is no working age identity"; failed=1; }
    fi
  done
  [ "$tried" -gt 0 ] || { say "  no restic password in the bundle"; failed=1; }
  printf '%s\t%s\t%s\t%s\n' "$(date -u +%FT%TZ)" "$(jq -r .made "$ESCROW/escrow.json")" "$([ "$failed" -eq 0 ] && echo passed || echo failed)" "$who" >>"$ESCROW/rehearsals.tsv"
  [ "$failed" -eq 0 ] || die "the rehearsal failed; until it passes, treat the backups as lost and mend this first"
  say "rehearsal passed with $who: $tried repositories"
}

open_for_recovery() {
  need age ssss-combine jq tar
  local into=$1 who
  shift
  [ $# -gt 0 ] || usage_error "$help"
  mkdir -p "$into"
  [ -z "$(ls -A "$into")" ] || die "$into is not empty"
  [ "$(stat -f -c %T "$into")" = tmpfs ] || die "$into is not on a RAM disk: use a folder under /dev/shm, so that nothing clear stays on a disk"
  who=$(open_bundle "$into" "$@") || exit 1
  compare_contents "$into" || die "the bundle is not what contents.tsv says"
  say "opened by $who into $into; README.tsv there says what opens what. Remove the folder when done"
}

# ---- paper ----------------------------------------------------------------------------------------------------------

# Every line carries four hex digits of its own digest, so that a typing error is found in its line.
numbered() {
  local line number=0
  while IFS= read -r line; do
    number=$((number + 1))
    printf '%02d  %-64s  %s\n' "$number" "$line" "$(printf '%02d%s' "$number" "$line" | sha256sum | cut -c1-4)"
  done
}

sheet() {
  need jq fold
  local name=$1 plain=no identity='' share
  shift
  while [ $# -gt 0 ]; do
    case $1 in
      --plain) plain=yes; shift ;;
      -i) [ $# -ge 2 ] || usage_error "$help"; identity=$2; shift 2 ;;
      *) usage_error "$help" ;;
    esac
  done
  [ -s "$ESCROW/shares/$name.age" ] || die "'$name' is no keyholder of this escrow: $(jq -r '[.keyholders[].name] | join(", ")' "$ESCROW/escrow.json" 2>/dev/null)"
  if [ "$plain" = yes ]; then
    need age
    [ -n "$identity" ] || usage_error "sheet NAME --plain -i IDENTITY"
    [ ! -t 1 ] || say "the share is printed in clear: send this to a printer (| lp), not to a file"
    share=$(age -d -i "$identity" "$ESCROW/shares/$name.age" 2>/dev/null) || die "$identity does not open the share of $name"
  fi
  cat <<PAGE
OMNI BACKUP ESCROW                                     keyholder: $name
sealed $(jq -r .made "$ESCROW/escrow.json")                            any $(jq -r .threshold "$ESCROW/escrow.json") of: $(jq -r '[.keyholders[].name] | join(", ")' "$ESCROW/escrow.json")
bundle $(jq -r .bundle_sha256 "$ESCROW/escrow.json" | cut -c1-16)…  (bundle.age, first 16 digits of its SHA-256)

$(if [ "$plain" = yes ]; then echo "This page shows a share IN CLEAR. Keep it in a sealed, dated and signed envelope."; else echo "This page holds a share encrypted to $name's age key. Without that key it is useless."; fi)
Each line: number, text, check digits. Type the text without spaces at its ends.

$(if [ "$plain" = yes ]; then fold -w 64 <<<"$share"; else cat "$ESCROW/shares/$name.age"; fi | numbered)

To open: two things are needed, bundle.age (any copy of the escrow folder) and $(jq -r .threshold "$ESCROW/escrow.json") keyholders.
 1. machine with Debian, offline:  apt-get install age ssss jq
 2. copy of the repository's folder compose/backup, and of the escrow folder
 3. no copy of the share left?  scripts/escrow.sh read-sheet $name TYPED-FILE
 4. scripts/escrow.sh open /dev/shm/open -i ID-OF-ONE -i ID-OF-ANOTHER
 5. by hand, without the script:  age -d -i ID shares/NAME.age  for each;
    ssss-combine -t $(jq -r .threshold "$ESCROW/escrow.json")  gives AGE-SECRET-KEY-…  (put it into a file K);
    age -d -i K bundle.age | tar -xf -

rehearsed on: ____________  ____________  ____________  ____________
PAGE
}

read_sheet() {
  need jq age
  local name=$1 file=$2 line number text check out
  jq -e --arg name "$name" 'any(.keyholders[]; .name == $name)' "$ESCROW/escrow.json" >/dev/null 2>&1 || die "'$name' is no keyholder of this escrow"
  [ -s "$file" ] || die "$file is missing or empty"
  out=$(mktemp)
  while read -r line || [ -n "$line" ]; do
    [[ $line =~ ^([0-9]{2})\ +(.+)\ +([0-9a-f]{4})$ ]] || continue
    number=${BASH_REMATCH[1]} text=${BASH_REMATCH[2]} check=${BASH_REMATCH[3]}
    text=${text%"${text##*[! ]}"}
    [ "$(printf '%s%s' "$number" "$text" | sha256sum | cut -c1-4)" = "$check" ] || { rm -f "$out"; die "line $number is mistyped (its check digits do not fit); look at l/1, O/0 and capitals"; }
    printf '%s\n' "$text" >>"$out"
  done <"$file"
  [ -s "$out" ] || { rm -f "$out"; die "$file holds no line of a sheet (number, text, four check digits)"; }
  if head -n 1 "$out" | grep -q '^-----BEGIN AGE'; then
    tail -n 1 "$out" | grep -q '^-----END AGE' || { rm -f "$out"; die "the last line (-----END AGE…) is missing"; }
  else
    # A share in clear is encrypted again at once, to its own keyholder.
    tr -d '\n' <"$out" | age -a -r "$(jq -r --arg name "$name" '.keyholders[] | select(.name == $name).recipient' "$ESCROW/escrow.json")" >"$out.age"
    mv "$out.age" "$out"
  fi
  mkdir -p "$ESCROW/shares"
  mv "$out" "$ESCROW/shares/$name.age"
  say "share of $name is back in $ESCROW/shares"
}

status() {
  need jq
  local salt name file print wrong=0 last days
  bad() { say "  wrong: $*"; wrong=1; }
  [ -s "$ESCROW/escrow.json" ] || die "there is no escrow in $ESCROW: until there is, losing this host's secrets/ folder loses every backup (ESCROW.md)"
  salt=$(jq -r .salt "$ESCROW/escrow.json")
  while IFS=$'\t' read -r name file; do
    print=$(awk -F'\t' -v name="$name" '$1 == name { print $2 }' "$ESCROW/contents.tsv")
    if [ -z "$print" ]; then bad "$name is not in the escrow"; elif [ "$(write_item "$name" "$file" | fingerprint "$salt")" != "$print" ]; then bad "$name changed since the sealing"; fi
  done < <(items)
  for name in $(jq -r '.keyholders[].name' "$ESCROW/escrow.json"); do [ -s "$ESCROW/shares/$name.age" ] || bad "the share of $name is missing"; done
  if [ -s "${ESCROW_KEYHOLDERS:-$ESCROW/keyholders.txt}" ] && [ "$(keyholders | awk '{print $1, $2}' | sort)" != "$(jq -r '.keyholders[] | .name + " " + .recipient' "$ESCROW/escrow.json" | sort)" ]; then
    bad "the keyholders file has changed since the sealing: seal again, then destroy the old shares"
  fi
  last=$(awk -F'\t' -v made="$(jq -r .made "$ESCROW/escrow.json")" '$2 == made && $3 == "passed" { last = $1 } END { print last }' "$ESCROW/rehearsals.tsv" 2>/dev/null || true)
  if [ -z "$last" ]; then
    bad "this sealing was never rehearsed"
  else
    days=$(( ($(date +%s) - $(date -d "$last" +%s)) / 86400 ))
    [ "$days" -le "$REHEARSE_DAYS" ] || bad "last rehearsal $days days ago, over $REHEARSE_DAYS: are the keyholders still there?"
  fi
  [ "$wrong" -eq 0 ] || exit 1
  say "escrow is current; last rehearsal $last"
}

identities=()
collect_identities() {
  while [ $# -gt 0 ]; do
    if [ "$1" != -i ] || [ $# -lt 2 ]; then usage_error "$help"; fi
    identities+=("$2")
    shift 2
  done
}

case ${1:-} in
  seal) [ $# -eq 1 ] || usage_error "$help"; seal ;;
  rehearse) shift; collect_identities "$@"; rehearse "${identities[@]}" ;;
  open) [ $# -ge 2 ] || usage_error "$help"; into=$2; shift 2; collect_identities "$@"; open_for_recovery "$into" "${identities[@]}" ;;
  sheet) [ $# -ge 2 ] || usage_error "$help"; shift; sheet "$@" ;;
  read-sheet) [ $# -eq 3 ] || usage_error "$help"; read_sheet "$2" "$3" ;;
  status) [ $# -eq 1 ] || usage_error "$help"; status ;;
  *) usage_error "$help" ;;
esac
