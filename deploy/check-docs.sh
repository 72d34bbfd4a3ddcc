#!/usr/bin/env bash
# Checks what documents say about this repository: links lead somewhere, named files exist, and the lists that
# are copied from code (metrics, close codes, exit codes, refusals at the door) are whole. Part of `make verify`.

# shellcheck source=deploy/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$REPO"

FAULTS=0
fault() {
  printf '%s\n' "$*" >&2
  FAULTS=$((FAULTS + 1))
}

# The document without fenced code, which may hold brackets that are no links.
prose() { awk '/^ *```/ { code = !code; next } !code' "$1"; }

# Headings as anchors, the way code hosts make them.
anchors() {
  prose "$1" | sed -nE 's/^#+ +//p' | tr '[:upper:]' '[:lower:]' | sed -E 's/[^a-z0-9 _-]//g; s/ /-/g'
}

check_link() {
  local doc=$1 target=$2 file=${2%%#*} path
  case $target in *://* | mailto:*) return ;; esac
  path=$doc
  [ -z "$file" ] || path=$(dirname "$doc")/$file
  if [ ! -e "$path" ]; then
    fault "$doc: the link $target leads nowhere"
  elif [[ $target == *#* && $path == *.md ]] && ! anchors "$path" | grep -qxF -- "${target#*#}"; then
    fault "$doc: $path has no heading for #${target#*#}"
  fi
}

# Anything that looks like a file of ours, in prose, tables and drawings alike.
named_files() {
  local tops
  tops=$(git ls-files | sed -n 's|/.*||p' | sort -u | sed 's/[.]/[.]/g' | paste -sd '|')
  grep -oE "(^|[^A-Za-z0-9_./-])($tops)/[A-Za-z0-9_./-]*[A-Za-z0-9_/]" "$1" | sed -E 's/^[^A-Za-z0-9_.]//' | sort -u
}

check_document() {
  local doc=$1 target file
  while IFS= read -r target; do check_link "$doc" "$target"; done < <(
    prose "$doc" | grep -oE '\]\([^) ]+\)' | sed -E 's/^\]\(//; s/\)$//'
  )
  while IFS= read -r file; do
    # What running the platform makes beside its files is not in the tree, and git is told so.
    [ -e "$file" ] || git check-ignore -q "$file" || fault "$doc: there is no $file"
  done < <(named_files "$doc")
}

# said_in DOC WHAT: each word on standard input has to stand in DOC, in backquotes.
said_in() {
  local doc=$1 what=$2 word
  while IFS= read -r word; do
    grep -qF "\`$word\`" "$doc" || fault "$doc: $what \`$word\` is missing"
  done
}

# Words that code defines and documents repeat.
metrics() { grep -ohE '"omni_[a-z0-9_]+"' controller/src/metrics.rs controller/src/app/exposition.rs | tr -d '"' | sort -u; }
close_codes() { sed -nE 's/^ +[A-Za-z]+ = [0-9]+, "([a-z_]+)";/\1/p' common/src/wire/close.rs; }
exit_codes() { sed -nE 's/^ +Self::[A-Za-z]+ => ([0-9]+),/\1/p' cli/src/exit.rs; }
api_codes() { grep -ohE '"[a-z]+(_[a-z]+)*", "[A-Z]' controller/src/api/error.rs | cut -d'"' -f2 | sort -u; }
refusal_codes() { sed -nE 's/^ +Self::[A-Za-z]+ => "([a-z_]+)",/\1/p' controller/src/state/command.rs; }

check_lists() {
  local name
  metrics | said_in docs/metrics.md "the metric"
  close_codes | said_in docs/operations.md "the close code"
  refusal_codes | said_in docs/errors.md "the refusal"
  api_codes | said_in docs/errors.md "the error code"
  exit_codes | said_in docs/cli.md "the exit code"
  # shellcheck disable=SC2016 # backquotes as Markdown means them
  while IFS= read -r name; do
    metrics | grep -qxF "$name" || fault "docs/metrics.md: no code exports \`$name\`"
  done < <(grep -oE '`omni_[a-z0-9_]+`' docs/metrics.md | tr -d '`' | sort -u)
}

mapfile -t DOCUMENTS < <(git ls-files --cached --others --exclude-standard '*.md')
for document in "${DOCUMENTS[@]}"; do
  if [ -e "$document" ]; then check_document "$document"; fi
done
check_lists
[ "$FAULTS" -eq 0 ] || die "$FAULTS faults in the documents"
note "${#DOCUMENTS[@]} documents agree with the tree"
