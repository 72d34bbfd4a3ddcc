# shellcheck shell=bash
# The stacks of compose/stacks.tsv: reading, choosing and ordering them. Sourced by deploy/setup.sh.

STACKS_FILE=$REPO/compose/stacks.tsv

# All names in the file's order, and per name its folder (absolute), its system and what it needs (parted by blanks).
ALL_STACKS=()
# shellcheck disable=SC2034 # SYSTEM and ABOUT are read by setup.sh
declare -A STACK_DIR=() SYSTEM=() NEEDS=() ABOUT=()

read_stacks() {
  local line=0 stack system folder needs about need
  [ -r "$STACKS_FILE" ] || die "cannot read $STACKS_FILE, the list of the stacks"
  # A tab is a blank to `read`, which would merge two of them; so an empty column is written "-".
  while IFS=$'\t' read -r stack system folder needs about _ || [ -n "${stack:-}" ]; do
    line=$((line + 1))
    case $stack in '' | '#'*) continue ;; esac
    if [ "$line" -eq 1 ]; then
      [ "$stack $system $folder $needs" = "stack system folder needs" ] ||
        die "$STACKS_FILE: line 1 has to name the columns: stack, system, folder, needs, description, parted by tabs"
      continue
    fi
    if [ -z "${about:-}" ]; then die "$STACKS_FILE: line $line has fewer than five columns parted by tabs"; fi
    [[ $stack =~ ^[a-z][a-z0-9-]*$ ]] || die "$STACKS_FILE: line $line: '$stack' is no stack name (small letters, digits, hyphens)"
    [ -z "${STACK_DIR[$stack]:-}" ] || die "$STACKS_FILE: line $line: the stack $stack is listed twice"
    ALL_STACKS+=("$stack")
    # shellcheck disable=SC2034
    STACK_DIR[$stack]=$REPO/$folder SYSTEM[$stack]=$system ABOUT[$stack]=$about
    if [ "$needs" = - ]; then needs=''; fi
    NEEDS[$stack]=${needs//,/ }
  done <"$STACKS_FILE"
  [ "${#ALL_STACKS[@]}" -gt 0 ] || die "$STACKS_FILE lists no stack"
  for stack in "${ALL_STACKS[@]}"; do
    for need in ${NEEDS[$stack]}; do
      [ -n "${STACK_DIR[$need]:-}" ] || die "$STACKS_FILE: $stack needs '$need', which is no stack$(meant "$need")"
    done
  done
  refuse_cycles
}

# A walk that comes upon a stack it is still inside of has found a cycle.
declare -A WALKED=()
refuse_cycles() {
  local stack
  for stack in "${ALL_STACKS[@]}"; do walk "$stack" ''; done
}
walk() {
  local stack=$1 path=$2 need
  case " $path " in *" $stack "*)
    path="${path#"${path%%"$stack"*}"} $stack"
    die "$STACKS_FILE: these stacks need each other, so none can be first: ${path// / -> }"
    ;;
  esac
  [ -z "${WALKED[$stack]:-}" ] || return 0
  for need in ${NEEDS[$stack]}; do walk "$need" "${path:+$path }$stack"; done
  WALKED[$stack]=1
}

# The number of single-letter changes between two words.
distance() {
  awk -v a="$1" -v b="$2" 'BEGIN {
    for (j = 0; j <= length(b); j++) row[j] = j
    for (i = 1; i <= length(a); i++) {
      diagonal = row[0]; row[0] = i
      for (j = 1; j <= length(b); j++) {
        best = diagonal + (substr(a, i, 1) != substr(b, j, 1))
        if (row[j] + 1 < best) best = row[j] + 1
        if (row[j - 1] + 1 < best) best = row[j - 1] + 1
        diagonal = row[j]; row[j] = best
      }
    }
    print row[length(b)]
  }'
}

# meant WORD: what somebody who typed WORD probably meant, as the end of a sentence; nothing when no name is near.
meant() {
  local stack far best=3 guess=''
  for stack in "${ALL_STACKS[@]}"; do
    far=$(distance "$1" "$stack")
    # "grafana" is nobody's stack, "monitor" is half of one.
    if [[ $stack == "$1"* && -n $1 ]]; then far=1; fi
    if [ "$far" -lt "$best" ]; then best=$far guess=$stack; fi
  done
  [ -z "$guess" ] || printf '; did you mean %s?' "$guess"
}

must_be_stack() {
  [ -n "${STACK_DIR[$1]:-}" ] || usage_error "$2: there is no stack '$1'$(meant "$1") (stacks: ${ALL_STACKS[*]})"
}

# choose ONLY SKIP (names parted by blanks): fills CHOSEN in the order of start, and WHY per stack.
CHOSEN=()
declare -A WHY=()
choose() {
  local only=$1 skip=$2 stack
  for stack in $only; do must_be_stack "$stack" --only; done
  for stack in $skip; do must_be_stack "$stack" --skip; done
  for stack in ${only:-${ALL_STACKS[*]}}; do take "$stack" "$skip" ''; done
  [ "${#CHOSEN[@]}" -gt 0 ] || usage_error "nothing is left to do after --skip"
}
take() {
  local stack=$1 skip=$2 for=$3 need
  case " $skip " in *" $stack "*)
    if [ -n "$for" ]; then warn "$for needs $stack, which is left out by --skip; it has to run already"; fi
    return
    ;;
  esac
  [ -z "${WHY[$stack]:-}" ] || return 0
  WHY[$stack]=${for:+needed by $for}
  WHY[$stack]=${WHY[$stack]:-chosen}
  for need in ${NEEDS[$stack]}; do take "$need" "$skip" "$stack"; done
  CHOSEN+=("$stack")
}

compose_file() { printf '%s/docker-compose.yml' "${STACK_DIR[$1]}"; }
compose_facts() { awk -f "$REPO/deploy/platform/facts.awk" "$(compose_file "$1")"; }

# facts STACK FACT: "service <tab> value" lines of the stack's compose file, without services that no active profile asks for.
facts() {
  active_facts "$1" | awk -F '\t' -v fact="$2" '$2 == fact { print $1 "\t" $3 }'
}
active_facts() {
  local all profiles=''
  all=$(compose_facts "$1")
  if [[ $all == *$'\tprofile\t'* ]]; then profiles=$(setting "$1" COMPOSE_PROFILES); fi
  awk -F '\t' -v active=",$profiles," '
    { line[NR] = $0; of[NR] = $1 }
    $2 == "profile" { named[$1] = 1; if (index(active, "," $3 ",")) on[$1] = 1 }
    END { for (i = 1; i <= NR; i++) if (!named[of[i]] || on[of[i]]) print line[i] }' <<<"$all"
}
