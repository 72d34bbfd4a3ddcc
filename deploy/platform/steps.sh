# shellcheck shell=bash
# The steps of one stack, and the memory of those that are done. Sourced by deploy/setup.sh.
#
# A finished step is a line "stack <tab> step <tab> hash" in STEPS. The hash is over the stack's files and its .env, so
# a stack that was changed is started and initialised anew, and an interrupted run goes on where it was.

STEPS=$STATE/setup/steps.tsv
# How long a stack may take to become healthy. Migrations of a first start run for minutes.
HEALTH_SECONDS=${OMNI_SETUP_HEALTH_SECONDS:-600}
# How long a container may stay unhealthy before that is believed; a slow first start recovers from it.
UNHEALTHY_SECONDS=${OMNI_SETUP_UNHEALTHY_SECONDS:-120}
# A container that restarts this often does not become well by waiting.
MAX_RESTARTS=3

# What is not part of a stack's content: what it writes while it runs, and what is compared by itself. Credentials that
# other stacks give to Prometheus are: its configuration is made from them. Where omni deploys, secret files are as well,
# because they travel with the release, and so is where it may run.
content_hash() {
  local folder file scrape=() secrets=() where=''
  while IFS= read -r folder; do
    if [ -d "${STACK_DIR[$1]}/${folder#./}" ]; then scrape+=("$folder"); fi
  done < <(facts "$1" scrape-folder | cut -f 2 | sort -u)
  if by_mesh "$1"; then
    mapfile -t secrets < <(secret_files "$1")
    if spread "$1"; then where='any host'; else where="host $MESH_HOST"; fi
  fi
  (
    cd "${STACK_DIR[$1]}" || exit 1
    {
      {
        find . \( -path ./data -o -path ./secrets -o -name __pycache__ -o -name node_modules -o -name '.env.new.*' -o -name "$TIE*" \) -prune -o -type f -print0
        if [ "${#scrape[@]}" -gt 0 ]; then find "${scrape[@]}" -type f -print0; fi
        for file in "${secrets[@]}"; do printf '%s\0' "$file"; done
      } | LC_ALL=C sort -z | xargs -0 sha256sum && printf '%s' "$where"
    } | sha256sum
  ) | cut -d ' ' -f 1
}

done_already() { [ -e "$STEPS" ] && awk -F '\t' -v s="$1" -v t="$2" -v h="$3" '$1 == s && $2 == t { last = $3 } END { exit last != h }' "$STEPS"; }
remember() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$STEPS"; }
# forget STACK: its steps are to be done again.
forget() {
  [ -e "$STEPS" ] || return 0
  awk -F '\t' -v s="$1" '$1 != s' "$STEPS" >"$STEPS.new"
  mv -f "$STEPS.new" "$STEPS"
}

# owner_of STACK SERVICE: "uid:gid" when the service runs as a number, else nothing.
owner_of() {
  local user
  user=$(facts "$1" user | awk -F '\t' -v service="$2" '$1 == service { print $2 }')
  [ -n "$user" ] || return 0
  user=$(expand "$1" "$user")
  if [[ $user =~ ^[0-9]+$ ]]; then user=$user:$user; fi
  if [[ $user =~ ^[0-9]+:[0-9]+$ ]]; then printf '%s' "$user"; fi
}

# The folders that containers write to. Docker would make them itself, but for root alone.
make_folders() {
  local stack=$1 service folder path owner
  while IFS=$'\t' read -r service folder; do
    path=${STACK_DIR[$stack]}/${folder#./}
    owner=$(owner_of "$stack" "$service")
    if [ -n "$DRY" ]; then
      if [ ! -d "$path" ]; then plan "folder $(short "$path"), mode 0750${owner:+, owner $owner}"; fi
      continue
    fi
    if [ -d "$path" ]; then continue; fi
    if [ -e "$path" ]; then
      fault "$(short "$path") is in the way: a folder is needed there"
      return 1
    fi
    # An image that changes to a user of its own chooses the owner itself; it starts as root and finds 0750 fine.
    if ! (umask 027 && mkdir -p "$path"); then
      fault "the folder $(short "$path") could not be made"
      return 1
    fi
    if [ -n "$owner" ] && ! chown "$owner" "$path" 2>/dev/null; then
      rmdir "$path" # so that the next run does not take it for done
      fault "$(short "$path") has to belong to $owner, the user of the container $service, and only root can give it away: run this as root, or: sudo install -d -m 0750 -o ${owner%:*} -g ${owner#*:} $path"
      return 1
    fi
  done < <(facts "$stack" folder | sort -u)
}

secret_files() { compose_facts "$1" | awk -F '\t' '$2 == "secret-file" { print $3 }'; }
# may_be_empty STACK NAME: whether the example says that nothing is a value too.
may_be_empty() { [[ $'\n'$(directives "$1")$'\n' == *$'\n'"$2"$'\tdefault\t\n'* ]]; }

# make_secret_files STACK: each ./secrets/NAME that the compose file mounts gets the value of the variable NAME (in
# capitals) of its .env. The folder is for its owner alone; the files in it can be read by whatever user a container
# runs as, because compose mounts them as they are.
make_secret_files() {
  local stack=$1 file path name value list
  list=$(secret_files "$stack")
  [ -n "$list" ] || return 0
  while IFS= read -r file; do
    path=${STACK_DIR[$stack]}/${file#./}
    if [ -e "$path" ]; then continue; fi
    name=$(basename "$file" | tr 'a-z.-' 'A-Z__')
    if [ -n "$DRY" ]; then
      plan "secret file $(short "$path")"
      continue
    fi
    value=$(setting "$stack" "$name")
    if [ -z "$value" ] && ! may_be_empty "$stack" "$name"; then
      fault "$stack mounts $file, which does not exist, and its .env has no $name to make it from; see compose/$stack/README.md"
      return 1
    fi
    if ! (umask 077 && mkdir -p "$(dirname "$path")" && printf '%s' "$value" >"$path.new" && chmod 444 "$path.new" && mv -f "$path.new" "$path"); then
      fault "$(short "$path") could not be written"
      return 1
    fi
  done <<<"$list"
}

# Credentials for Prometheus come from other stacks' init scripts and from people, so their modes are seen to here: the
# folder is 0755 and files in it 0444, because Prometheus reads them as its own user. Others on this machine do not get
# there: secrets/ itself is 0700. A file that somebody gave to another user is left alone.
shut_scrape() {
  local folder
  while IFS= read -r folder; do
    folder=${STACK_DIR[$1]}/${folder#./}
    if [ -d "$folder" ]; then
      find "$folder" \( -type d ! -perm -005 -o -type f -user "$(id -u)" ! -perm -004 \) -print
    fi
  done < <(facts "$1" scrape-folder | cut -f 2 | sort -u)
}
open_scrape() {
  local stack=$1 folder path
  while IFS= read -r folder; do
    path=${STACK_DIR[$stack]}/${folder#./}
    if [ -d "$path" ]; then continue; fi
    if [ -n "$DRY" ]; then
      plan "folder $(short "$path"), mode 0755"
    elif ! (umask 077 && mkdir -p "${path%/*}" && mkdir "$path" && chmod 755 "$path"); then
      fault "the folder $(short "$path") could not be made"
      return 1
    fi
  done < <(facts "$stack" scrape-folder | cut -f 2 | sort -u)
  [ -z "$DRY" ] || return 0
  while IFS= read -r path; do
    if [ -d "$path" ]; then chmod 755 "$path"; else chmod 444 "$path"; fi || {
      fault "$(short "$path") has to be readable for Prometheus (a folder 0755, a file 0444), and chmod failed"
      return 1
    }
  done < <(shut_scrape "$stack")
}

# run_logged STACK STEP COMMAND…: shows the output only when the command fails; ends as it did.
run_logged() {
  local log=$STATE/setup/$1-$2.log code=0
  shift 2
  "$@" >"$log" 2>&1 || code=$?
  [ "$code" != 0 ] || return 0
  tail -n 25 "$log" >&2
  note "all of it: $log"
  return "$code"
}

# start_stack STACK HASH
start_stack() {
  local options=()
  if by_mesh "$1"; then
    deploy_stack "$1" "$2"
    return
  fi
  compose "$1" config -q >/dev/null || { fault "compose does not accept $(short "$(compose_file "$1")"), see above"; return 1; }
  if [ -n "$(facts "$1" build)" ]; then options=(--build); fi
  run_logged "$1" start compose "$1" up -d "${options[@]}" --remove-orphans && return
  explain_log "$1" start || fault "$1 did not start, see above"
  return 1
}

# stop_stack STACK
stop_stack() {
  if by_mesh "$1"; then stop_app "$1"; else compose "$1" down --remove-orphans >&2; fi || return 1
  forget "$1"
}

# explain_log STACK STEP: says what the end of that step's log means, when it is one of the usual things.
explain_log() {
  local stack=$1 log=$STATE/setup/$1-$2.log
  if grep -qiE 'port is already allocated|address already in use' "$log"; then
    fault "a port of $stack is taken: ss -lntup shows by whom; free it, or change it in $(short "$(env_file "$stack")")"
  elif grep -qi 'no space left' "$log"; then
    fault "the disk is full: docker system df shows what can go"
  elif grep -qiE 'manifest unknown|manifest for .* not found|not found: manifest' "$log"; then
    fault "an image does not exist under the pinned name; see the log above and the catalogue's notes on its tag"
  elif grep -qiE 'no such host|i/o timeout|connection refused|TLS handshake|network is unreachable' "$log"; then
    fault "an image could not be fetched: is the registry reachable from here? Run this again to go on"
  elif grep -qiE 'is already in use by container|is taken by a container' "$log"; then
    fault "a container of that name exists and belongs to another project: docker ps -a; remove or rename it"
  else
    return 1
  fi
}

# containers STACK: "name <tab> gate <tab> restart policy" of what it should run; "-" where nothing is said.
containers() {
  local name gate restart
  while IFS=$'\t' read -r name gate restart; do
    printf '%s\t%s\t%s\n' "$(expand "$1" "$name")" "$gate" "$restart"
  done < <(active_facts "$1" | awk -F '\t' '
    $2 == "name" { order[++count] = $1 }
    { value[$1, $2] = $3 }
    function of(service, fact) { return (service, fact) in value ? value[service, fact] : "-" }
    END { for (i = 1; i <= count; i++) print of(order[i], "name") "\t" of(order[i], "gate") "\t" of(order[i], "restart") }')
}

# state_of NAME: "status health exit-code restarts", in Docker's words; "absent" when there is no such container.
state_of() {
  local said
  said=$(docker inspect --format '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}} {{.State.ExitCode}} {{.RestartCount}}' "$1" 2>/dev/null) || said=''
  printf '%s' "${said:-absent none 0 0}"
}

# verdict STACK NAME GATE RESTART PHASE: ready, waiting or failed, and why. PHASE is before or after the init script.
verdict() {
  local status health code restarts
  read -r status health code restarts <<<"$(state_of "$2")"
  case $status in
    running)
      if [ "$restarts" -ge "$MAX_RESTARTS" ]; then
        echo "failed restarted $restarts times"
      elif [ "$health" = healthy ] || [ "$health" = none ]; then
        echo ready
      elif [ "$3" = after-init ] && [ "$5" = before ]; then
        # A store that is sealed until the init script opens it says "unhealthy", and is right.
        echo ready
      elif [ "$health" = unhealthy ]; then
        echo "waiting unhealthy"
      else
        echo "waiting $health"
      fi
      ;;
    exited)
      if [ "$4" != no ] && by_mesh "$1"; then
        # omni's agent starts it again, not the engine.
        echo "waiting exited with code $code"
      elif [ "$4" != no ]; then
        echo "failed exited with code $code"
      elif [ "$code" = 0 ]; then
        echo ready
      else
        echo "failed ended with code $code"
      fi
      ;;
    restarting)
      if [ "$restarts" -ge "$MAX_RESTARTS" ]; then echo "failed restarted $restarts times, last with code $code"; else echo "waiting restarting"; fi
      ;;
    dead) echo "failed dead" ;;
    *) echo "waiting $status" ;;
  esac
}

# gate STACK PHASE: waits until every container is ready; tells what it waits for whenever that changes.
gate() {
  local stack=$1 phase=$2 deadline name policy restart word why waiting before='' list
  local -A ill_since=()
  list=$(containers "$stack")
  deadline=$((SECONDS + HEALTH_SECONDS))
  while :; do
    waiting=''
    while IFS=$'\t' read -r name policy restart; do
      [ -n "$name" ] || continue
      read -r word why <<<"$(verdict "$stack" "$name" "$policy" "$restart" "$phase")"
      case $word in
        ready) ;;
        failed)
          show_failure "$name" "$why"
          return 1
          ;;
        *) waiting+="${waiting:+, }$name ($why)" ;;
      esac
      if [ "$why" != unhealthy ]; then
        unset "ill_since[$name]"
      elif [ $((SECONDS - ${ill_since[$name]:=$SECONDS})) -ge "$UNHEALTHY_SECONDS" ]; then
        show_failure "$name" "unhealthy for $UNHEALTHY_SECONDS s"
        return 1
      fi
    done <<<"$list"
    if [ -z "$waiting" ]; then return 0; fi
    if [ "$SECONDS" -ge "$deadline" ]; then
      name=${waiting%% *}
      show_failure "$name" "not ready after $HEALTH_SECONDS s: $waiting"
      return 1
    fi
    if [ "$waiting" != "$before" ]; then note "waiting for $waiting"; fi
    before=$waiting
    sleep 1
  done
}

# show_failure NAME WHY
show_failure() {
  printf '%s\n' "--- the last lines of $1 ---" >&2
  docker logs --tail 20 "$1" >&2 2>&1 || true
  printf '%s\n' "---" >&2
  fault "$1: $2. Look at: docker logs $1; mend it, then run this again: it goes on here"
}

# running_all STACK: a quick look whether what was started is still there.
running_all() {
  local name policy restart word
  if away "$1"; then
    [ -z "$(app_faults "$1")" ]
    return
  fi
  while IFS=$'\t' read -r name policy restart; do
    [ -n "$name" ] || continue
    read -r word _ <<<"$(verdict "$1" "$name" "$policy" "$restart" after)"
    [ "$word" = ready ] || return 1
  done <<<"$(containers "$1")"
}

# A stack whose containers need files that no .env value alone can give (a token from another program, a password file)
# makes them in scripts/prepare.sh: run before every start, finds nothing to do when they are there.
prepare_script() { printf '%s/scripts/prepare.sh' "${STACK_DIR[$1]}"; }
prepare() {
  local script
  script=$(prepare_script "$1")
  [ -e "$script" ] || return 0
  if [ -n "$DRY" ]; then
    plan "run $(short "$script")"
    return
  fi
  (cd "${STACK_DIR[$1]}" && run_logged "$1" prepare bash scripts/prepare.sh) && return
  fault "$(short "$script") failed, see above; run this again to go on there"
  return 1
}

init_script() { printf '%s/scripts/init.sh' "${STACK_DIR[$1]}"; }
run_init() {
  local script
  script=$(init_script "$1")
  shift
  (cd "$(dirname "$script")/.." && bash scripts/init.sh "$@")
}
