#!/bin/sh
# Man pages and completions: made without a complaint, and nothing missing.
# shellcheck disable=SC2317 # functions are called by check()
set -u
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-man.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
bad=0
unset MAKEFLAGS MAKELEVEL MFLAGS

check() { # name, command
	name=$1
	shift
	if "$@" >"$dir/out" 2>&1; then
		echo "ok - $name"
	else
		sed 's/^/# /' "$dir/out"
		echo "not ok - $name"
		bad=1
	fi
}

has() { # program: says why and fails if it is not there
	command -v "$1" >/dev/null && return 0
	echo "skip - $2 # $1 is not installed"
	return 1
}

share=$B/share
check "make man" make MODE="$MODE" man

silent() { # command: succeeds and says nothing
	"$@" >"$dir/said" 2>&1 || return 1
	cat "$dir/said"
	[ ! -s "$dir/said" ]
}
render() { groff -man -Tutf8 -ww "$1" >"$dir/page" && [ -s "$dir/page" ]; }

for page in "$share"/man/man*/*; do
	if has groff "$(basename "$page") renders"; then
		check "$(basename "$page") renders without a warning" \
			silent render "$page"
	fi
done

# Every option of the help is in the page and in each completion.
complete_page() { # program
	"build/$MODE/$1" help --dump >"$dir/dump" || return 1
	cut -f4 "$dir/dump" | grep '^--' | sort -u >"$dir/options"
	[ -s "$dir/options" ] || return 1
	sed 's/\\-/-/g' "$share/man/man1/$1.1" >"$dir/page"
	while read -r option; do
		grep -qF -e "$option" "$dir/page" || {
			echo "$option is not in $1.1"
			return 1
		}
	done <"$dir/options"
}

# Every key of the help is in the page of spec files, with its values, in the
# section that it is a key of.
page_of_keys() {
	"build/$MODE/qcowbench" help --dump | grep '^key' | cut -f2-4 |
		sort >"$dir/keys"
	[ "$(wc -l <"$dir/keys")" -gt 30 ] || return 1
	sed 's/\\-/-/g; s/\\&//' "$share/man/man5/qcowbench-spec.5" |
		awk '/^\.SH / { section = tolower($2) }
			match($0, /^\\fB[a-z0-9_]+\\fR = \\fI/) {
				name = substr($0, 4, RLENGTH - 12)
				value = substr($0, RLENGTH + 1)
				sub(/\\fR$/, "", value)
				print section "\t" name "\t" value
			}' | sort | diff "$dir/keys" -
}

offers() { # program, what is expected, words typed so far
	program=$1 expected=$2
	shift 2
	# shellcheck disable=SC2016 # for the other shell
	got=$(bash -c '
		. "$0"
		compopt() { :; }
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		"_$1"
		echo "${COMPREPLY[@]}"' \
		"$share/bash-completion/completions/$program" "$program" "$@")
	[ "$got" = "$expected" ] || {
		echo "offered '$got', not '$expected'"
		return 1
	}
}

for program in qcowimg qcowbench; do
	check "$program.1 has every option" complete_page $program
	for shell in bash zsh fish; do
		case $shell in
		bash) file=$share/bash-completion/completions/$program ;;
		zsh) file=$share/zsh/site-functions/_$program ;;
		fish) file=$share/fish/vendor_completions.d/$program.fish ;;
		esac
		if has $shell "$shell takes the completion of $program"; then
			check "$shell takes the completion of $program" \
				silent $shell -n "$file"
		fi
	done
done

# Each has a source file of its own.
all_commands() {
	"$B/qcowimg" help >"$dir/help" || return 1
	for c in engine/img/cmd_*.c; do
		c=${c##*cmd_} && c=${c%.c}
		grep -q "^  $c " "$dir/help" &&
			"$B/qcowimg" help "$c" | grep -q "^Usage: qcowimg $c " &&
			continue
		echo "$c" && return 1
	done
}
check "help has every command" all_commands

check "qcowbench-spec.5 has every key" page_of_keys

check "bash offers commands" offers qcowimg "convert commit compare" co
check "bash offers the words of an option" offers qcowimg "leaks all" check -r ""
check "bash offers them behind =" offers qcowimg leaks check --repair = l
check "bash offers options" offers qcowimg "--target-is-zero --target-image-opts" \
	convert --ta
check "bash offers topics" offers qcowbench "results" help resu
check "bash offers keys" offers qcowbench "cluster_size" explain clus
# The program that completes is the one in PATH.
PATH=$PWD/build/$MODE:$PATH
check "bash offers suites" offers qcowbench "preallocation" run prea
check "bash offers cache modes" offers qcowbench "writeback writethrough" \
	run --cache = w
exit $bad
