# shellcheck shell=bash
# The .env file of a stack, made from its .env.example. Sourced by deploy/setup.sh.
#
# A line `#: …` directly above a variable of the example says where its value comes from:
#
#   #: generate hex N        N random bytes, as 2N hexadecimal digits
#   #: generate base64 N     N random bytes, as base64
#   #: generate password N   N letters and digits
#   #: required              a person has to give it; asked for on a terminal
#   #: from STACK VARIABLE   the same value as over there
#   #: default               the example's own value will do (also what no line at all means)
#
# A value that is there already is never changed. No value is ever printed. Values of an .env file are kept as they
# are written, quotes and all, so that what is copied means the same in the copy.

env_file() { printf '%s/.env' "${STACK_DIR[$1]}"; }
example_file() { printf '%s/.env.example' "${STACK_DIR[$1]}"; }
# For people: the path from the repository's folder.
short() { printf '%s' "${1#"$REPO"/}"; }

NAME_PATTERN='^[A-Za-z_][A-Za-z0-9_]*$'

# each_variable FILE: "NAME <tab> value" per line; fails with a message on a line that is neither that nor a comment.
# A broken line is named by its number only: it may hold a part of a secret.
each_variable() {
  local file=$1 at text number=0 name
  local -A seen=()
  at=$(short "$file")
  while IFS= read -r text || [ -n "$text" ]; do
    number=$((number + 1))
    text=${text%$'\r'}
    if [[ $text =~ ^[[:space:]]*(#|$) ]]; then continue; fi
    name=${text%%=*}
    if [[ $text != *=* || ! $name =~ $NAME_PATTERN ]]; then
      warn "$at, line $number, is not NAME=value. It looks cut off or mistyped: finish it or delete it, then run this again"
      return 1
    fi
    if [ -n "${seen[$name]:-}" ]; then
      warn "$at sets $name twice, in lines ${seen[$name]} and $number. Delete the one that is wrong, then run this again"
      return 1
    fi
    seen[$name]=$number
    printf '%s\t%s\n' "$name" "${text#*=}"
  done <"$file"
}

# directives STACK: "NAME <tab> directive <tab> example value" per variable of the example, in its order.
directives() {
  local file at text number=0 pending='' name
  file=$(example_file "$1")
  at=$(short "$file")
  [ -e "$file" ] || return 0
  while IFS= read -r text || [ -n "$text" ]; do
    number=$((number + 1))
    case $text in
      '#:'*)
        if [ -n "$pending" ]; then warn "$at, line $number: two '#:' lines in a row; a variable has one"; return 1; fi
        pending=$(xargs <<<"${text#'#:'}")
        known_directive "$pending" || { warn "$at, line $number: '#: $pending' is not understood"; return 1; }
        ;;
      [A-Za-z_]*=*)
        name=${text%%=*}
        [[ $name =~ $NAME_PATTERN ]] || { warn "$at, line $number: '$name' is no name of a variable"; return 1; }
        printf '%s\t%s\t%s\n' "$name" "${pending:-default}" "${text#*=}"
        pending=''
        ;;
      '' | '#'*)
        if [ -n "$pending" ]; then warn "$at, line $number: '#: $pending' has to stand directly above its variable"; return 1; fi
        ;;
      *)
        warn "$at, line $number, is not NAME=value"
        return 1
        ;;
    esac
  done <"$file"
  if [ -n "$pending" ]; then warn "$at: '#: $pending' at the end belongs to no variable"; return 1; fi
}
known_directive() { [[ $1 =~ ^(required|default|generate\ (hex|base64|password)\ [1-9][0-9]*|from\ [a-z][a-z0-9-]*\ [A-Za-z_][A-Za-z0-9_]*)$ ]]; }

# random_value KIND N
random_value() {
  local text=''
  case $1 in
    hex) od -An -v -tx1 -N "$2" /dev/urandom | tr -d ' \n' ;;
    base64) head -c "$2" /dev/urandom | base64 -w 0 ;;
    password)
      # Letters and digits mean themselves in every file, shell and URL; 24 of them are 142 bits.
      while [ "${#text}" -lt "$2" ]; do
        text+=$(head -c 256 /dev/urandom | LC_ALL=C tr -dc 'A-Za-z0-9')
      done
      printf '%s' "${text:0:$2}"
      ;;
  esac
}
# The length that such a value is written with.
length_of() {
  local groups=$((($2 + 2) / 3))
  case $1 in
    hex) echo $(($2 * 2)) ;;
    base64) echo $((groups * 4)) ;;
    password) echo "$2" ;;
  esac
}

# stored STACK NAME: the value as written in the stack's .env, or nothing.
stored() {
  local file
  file=$(env_file "$1")
  [ -e "$file" ] || return 0
  each_variable "$file" | awk -F '\t' -v name="$2" '$1 == name { sub(/^[^\t]*\t/, ""); print }'
}
# setting STACK NAME: the value that compose will see: from .env, else what the example would give; without quotes.
setting() {
  local value
  value=$(stored "$1" "$2")
  if [ -z "$value" ] && [ -e "$(example_file "$1")" ]; then
    value=$(directives "$1" | awk -F '\t' -v name="$2" '$1 == name && $2 == "default" { print $3 }')
  fi
  value=${value#[\"\']}
  printf '%s' "${value%[\"\']}"
}

# Variables that only a person can give and nobody has given, as messages; filled by make_env.
MISSING=()
# Stacks whose .env is complete in this run, and those that are being made right now.
declare -A ENV_DONE=() ENV_OPEN=()

# make_env STACK: writes what its .env lacks. With DRY=1 only says what it would do.
make_env() {
  local stack=$1 file name directive example value changed=0 append='' list
  local -A have_value=() fill=()
  [ -z "${ENV_DONE[$stack]:-}" ] || return 0
  [ -z "${ENV_OPEN[$stack]:-}" ] || die "$(short "$(example_file "$stack")"): its '#: from' lines lead back to itself"
  ENV_OPEN[$stack]=1
  file=$(env_file "$stack")
  list=$(directives "$stack") || die "$(short "$(example_file "$stack")") cannot be used, see above"
  if [ -z "$list" ]; then
    ENV_DONE[$stack]=1
    return
  fi
  if [ -L "$file" ] || { [ -e "$file" ] && [ ! -f "$file" ]; }; then die "$(short "$file") is not a plain file"; fi
  if [ -e "$file" ]; then
    [ -r "$file" ] || die "$(short "$file") cannot be read by $(id -un)"
    whole "$stack" "$list" || die "$(short "$file") looks half-written; nothing was changed"
    while IFS=$'\t' read -r name value; do have_value[$name]=$value; done < <(each_variable "$file")
  fi
  # Another descriptor than standard input, which may be the terminal that is asked on.
  while IFS=$'\t' read -r -u 3 name directive example; do
    # Present and not empty: kept. An empty value stays when the example says that empty is a value too.
    if [ -n "${have_value[$name]:-}" ]; then continue; fi
    if [ -n "${have_value[$name]+there}" ] && [ "$directive" = default ]; then continue; fi
    value=''
    new_value "$stack" "$name" "$directive" "$example" || continue
    changed=1
    if [ -n "${have_value[$name]+there}" ]; then fill[$name]=$value; else append+="$name=$value"$'\n'; fi
  done 3<<<"$list"
  if [ "$changed" = 1 ] && [ -z "$DRY" ]; then write_env "$stack" "$append"; fi
  if [ -z "$DRY" ] && [ -e "$file" ] && [ "$(stat -c %a "$file")" != 600 ]; then
    chmod 600 "$file" || die "cannot make $(short "$file") readable by its owner alone (chmod 600)"
    note "$(short "$file") could be read by others; now it is 0600"
  fi
  unset "ENV_OPEN[$stack]"
  ENV_DONE[$stack]=1
}

# new_value STACK NAME DIRECTIVE EXAMPLE: sets `value`; fails when there is none to be had (and notes what is missing).
new_value() {
  local stack=$1 name=$2 directive=$3 example=$4 kind count other theirs
  case $directive in
    default)
      value=$example
      say_env "$name: the example's value"
      ;;
    'generate '*)
      read -r _ kind count <<<"$directive"
      [ -n "$DRY" ] || value=$(random_value "$kind" "$count")
      say_env "$name: generated, $kind $count"
      ;;
    required)
      ask "$stack" "$name" "$example"
      ;;
    'from '*)
      read -r _ other theirs <<<"$directive"
      [ -n "${STACK_DIR[$other]:-}" ] ||
        die "$(short "$(example_file "$stack")"): $name comes '#: from $other', which is no stack$(meant "$other")"
      directives "$other" | cut -f 1 | grep -qxF -- "$theirs" ||
        die "$(short "$(example_file "$stack")"): $name comes '#: from $other $theirs', but $(short "$(example_file "$other")") has no $theirs"
      # The other stack may not be part of this run; its value has to be the same all the same.
      make_env "$other"
      value=$(stored "$other" "$theirs")
      if [ -z "$value" ] && [ -z "$DRY" ]; then return 1; fi
      say_env "$name: the same as $theirs of $other"
      ;;
  esac
}
say_env() { if [ -n "$DRY" ]; then plan "$(short "$(env_file "$stack")"): $1"; fi; }

# ask STACK NAME HINT: sets `value` from the terminal; without one, notes that it is missing.
ask() {
  local file
  file=$(short "$(env_file "$1")")
  if [ -n "$DRY" ]; then
    plan "$file: $2: a person has to give it${3:+ (such as: $3)}"
    return 1
  fi
  if [ -t 0 ] && [ -t 2 ]; then
    # -p, not printf before it: the terminal has to be silent by the time somebody sees that they may type.
    IFS= read -rsp "$1 needs $2${3:+, such as $3} (not shown; empty to stop): " value || value=''
    printf '\n' >&2
    if [ -n "$value" ]; then
      case $value in
        *[\'\"\`\$\\]* | *$'\n'*) die "$2: a value with quotes, \$, backquotes or backslashes cannot be written to $file safely; write it there by hand" ;;
        *[!A-Za-z0-9_./:@%+=,~-]*) value="'$value'" ;;
      esac
      return
    fi
  fi
  MISSING+=("$2 of the stack $1. Give it: add the line  $2=…  to $file (make the file with: umask 077; touch $file)")
  return 1
}

# A last line without its newline is how a write that was cut off looks. Is its value shorter than what it must be?
whole() {
  local stack=$1 list=$2 file name value kind count last
  file=$(env_file "$stack")
  each_variable "$file" >/dev/null || return 1
  [ -s "$file" ] || return 0
  [ -n "$(tail -c 1 "$file")" ] || return 0
  last=$(each_variable "$file" | tail -n 1)
  name=${last%%$'\t'*} value=${last#*$'\t'}
  read -r kind count < <(awk -F '\t' -v name="$name" '$1 == name && $2 ~ /^generate/ { sub(/^generate /, "", $2); print $2 }' <<<"$list") || return 0
  if [ -n "$value" ] && [ "${#value}" -lt "$(length_of "$kind" "$count")" ]; then
    warn "$(short "$file") ends in the middle of $name, which is shorter than it must be. Delete that line if nothing uses the value yet, or complete it"
    return 1
  fi
}

# write_env STACK APPEND: puts the values of `fill` into their empty lines and APPEND at the end. The new file takes the
# place of the old one in one step, so that no half file is ever seen.
write_env() {
  local file text name new
  file=$(env_file "$1")
  new=$file.new.$$
  (
    umask 077
    {
      if [ -e "$file" ]; then
        while IFS= read -r text || [ -n "$text" ]; do
          name=${text%%=*}
          if [[ $text == *=* ]] && [ -n "${fill[$name]:-}" ]; then text=$name=${fill[$name]}; fi
          printf '%s\n' "$text"
        done <"$file"
      else
        printf '# Made by deploy/setup.sh from .env.example, which says what each of these is. Secrets: keep it 0600 and out of git.\n'
      fi
      printf '%s' "$2"
    } >"$new"
  ) || {
    rm -f "$new"
    die "cannot write $(short "$file"); is the disk full?"
  }
  # The owner of an earlier file keeps it.
  if [ -e "$file" ]; then chown --reference="$file" "$new" 2>/dev/null || true; fi
  mv -f "$new" "$file"
  note "$(short "$file") written"
}

# env_faults STACK: what is wrong with its .env, a line each.
env_faults() {
  local stack=$1 file list name directive example other theirs value
  list=$(directives "$stack") || { echo "$(short "$(example_file "$stack")") cannot be used"; return; }
  [ -n "$list" ] || return 0
  file=$(env_file "$stack")
  if [ ! -e "$file" ]; then
    echo "$(short "$file") does not exist"
    return
  fi
  [ "$(stat -c %a "$file")" = 600 ] || echo "$(short "$file") has mode $(stat -c %a "$file"), not 600: others may read its secrets"
  if ! whole "$stack" "$list" 2>/dev/null; then
    echo "$(short "$file") is half-written or holds a line that is not NAME=value"
    return
  fi
  while IFS=$'\t' read -r name directive example; do
    value=$(stored "$stack" "$name")
    if ! each_variable "$file" | cut -f 1 | grep -qxF -- "$name"; then
      echo "$(short "$file") lacks $name"
    elif [ -z "$value" ] && [ "$directive" != default ]; then
      echo "$(short "$file"): $name is empty"
    elif [[ $directive == 'from '* ]]; then
      read -r _ other theirs <<<"$directive"
      if [ "$value" != "$(stored "$other" "$theirs")" ]; then
        echo "$(short "$file"): $name is not the same as $theirs in $(short "$(env_file "$other")")"
      fi
    fi
  done <<<"$list"
}

# expand STACK TEXT: TEXT with ${…} as compose reads it, from the stack's settings. Innermost first, so nesting works.
expand() {
  if [[ $2 != *'$'* ]]; then
    printf '%s' "$2"
    return
  fi
  local stack=$1 text=$2 name operator word value
  while [[ $text =~ \$\{([A-Za-z_][A-Za-z0-9_]*)(:?[-?+])?([^{}]*)\} ]]; do
    name=${BASH_REMATCH[1]} operator=${BASH_REMATCH[2]} word=${BASH_REMATCH[3]}
    value=${!name:-$(setting "$stack" "$name")}
    case $operator in
      :- | -) value=${value:-$word} ;;
      :+ | +) value=${value:+$word} ;;
    esac
    text=${text/"${BASH_REMATCH[0]}"/"$value"}
  done
  printf '%s' "$text"
}
