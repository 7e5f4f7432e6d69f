# Completion for a shell, from what a program prints about its options.
#
#	qcowimg help --dump | awk -v PROGRAM=qcowimg -v SHELL=bash -f complete.awk
#
# SHELL is bash, zsh or fish.  Commands, options and the words that an option
# takes are offered; everything else is a file name.  The operand SUITE is
# completed by what `PROGRAM list --names` prints, KEY by the keys of spec files,
# and that of help by commands and topics.

function quote(text) {
	gsub(/'/, (SHELL == "fish") ? "\\'" : "'\\''", text)
	return "'" text "'"
}

# zsh: in specs of _arguments and _describe these have a meaning.
function zsh(text) {
	gsub(/\\/, "\\\\", text)
	gsub(/\[/, "\\[", text)
	gsub(/\]/, "\\]", text)
	gsub(/:/, "\\:", text)
	return text
}

BEGIN { FS = "\t" }

$1 == "command" {
	names[++n] = $2
	about[$2] = $4
	suite[$2] = $3 ~ /SUITE/
	key[$2] = $3 ~ /KEY/
}
$1 == "topic" { topics = topics " " $2 }
$1 == "key" { keys = keys (keys == "" ? "" : " ") $3 }
$1 == "option" {
	k = ++count[$2]
	letter[$2, k] = $3
	long[$2, k] = $4
	value[$2, k] = $5
	words[$2, k] = $6
	help[$2, k] = $7
}

# ---- bash ----

function bash_case(c,    k, s) {
	for (k = 1; k <= count[c]; k++) {
		if (value[c, k] == "")
			continue
		s = letter[c, k]
		if (long[c, k] != "")
			s = s (s == "" ? "" : "|" c "\\ ") long[c, k]
		if (words[c, k] == "FILE")
			printf "\t%s\\ %s) _qcow_files; return ;;\n", c, s
		else
			printf "\t%s\\ %s) _qcow_words %s; return ;;\n", c, s, \
				quote(words[c, k])
	}
}

function bash_options(c,    k, s) {
	s = ""
	for (k = 1; k <= count[c]; k++)
		s = s " " letter[c, k] " " long[c, k]
	gsub(/ +/, " ", s)
	sub(/^ /, "", s)
	return s
}

function bash(    i, s) {
	print "# bash completion for " PROGRAM
	print "_qcow_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\"); }"
	print "_qcow_files() { compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); }"
	print "_" PROGRAM "() {"
	print "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}"
	print "\tlocal cmd=${COMP_WORDS[1]}"
	print "\t# --name=value comes as three words"
	print "\t[ \"$cur\" = = ] && cur="
	print "\t[ \"$prev\" = = ] && prev=${COMP_WORDS[COMP_CWORD-2]}"
	for (i = 1; i <= n; i++)
		s = s (i > 1 ? " " : "") names[i]
	print "\tif [ \"$COMP_CWORD\" -eq 1 ]; then _qcow_words " quote(s " --help --version") "; return; fi"
	print "\tcase \"$cmd $prev\" in"
	for (i = 1; i <= n; i++)
		bash_case(names[i])
	print "\thelp\\ help) _qcow_words " quote(s topics) "; return ;;"
	print "\tesac"
	print "\tcase \"$cmd $cur\" in"
	for (i = 1; i <= n; i++) {
		printf "\t%s\\ -*) _qcow_words %s ;;\n", names[i], quote(bash_options(names[i]))
		if (suite[names[i]])
			printf "\t%s\\ [!./]*|%s\\ ) _qcow_words \"$(%s list --names 2>/dev/null)\"; " \
				"COMPREPLY+=($(compgen -f -X '!*.ini' -- \"$cur\")) ;;\n", \
				names[i], names[i], PROGRAM
		if (key[names[i]])
			printf "\t%s\\ *) _qcow_words %s ;;\n", names[i], quote(keys)
	}
	print "\t*) _qcow_files ;;"
	print "\tesac"
	print "}"
	print "complete -F _" PROGRAM " " PROGRAM
}

# ---- zsh ----

function zsh_option(c, k,    s, t) {
	s = zsh(help[c, k])
	t = ""
	if (value[c, k] != "")
		t = ":" zsh(value[c, k]) ":" (words[c, k] == "FILE" ? "_files" : \
			(words[c, k] == "" ? "" : "(" words[c, k] ")"))
	if (letter[c, k] != "")
		printf " \\\n\t\t\t%s", quote(letter[c, k] "[" s "]" t)
	if (long[c, k] != "")
		printf " \\\n\t\t\t%s", quote(long[c, k] (t == "" ? "" : "=") "[" s "]" t)
}

function zsh_all(    i, k) {
	print "#compdef " PROGRAM
	print "_" PROGRAM "() {"
	print "\tlocal -a commands=("
	for (i = 1; i <= n; i++)
		print "\t\t" quote(zsh(names[i]) ":" zsh(about[names[i]]))
	print "\t)"
	print "\tif (( CURRENT == 2 )); then _describe command commands; return; fi"
	print "\tlocal cmd=$words[2]"
	print "\tshift words; (( CURRENT-- ))"
	print "\tcase $cmd in"
	for (i = 1; i <= n; i++) {
		printf "\t%s) _arguments -s", names[i]
		for (k = 1; k <= count[names[i]]; k++)
			zsh_option(names[i], k)
		if (suite[names[i]])
			printf " \\\n\t\t\t%s", quote("1:suite:{_alternative \"suites:suite:($(" PROGRAM " list --names 2>/dev/null))\" \"files:file:_files -g *.ini\"}")
		else if (key[names[i]])
			printf " \\\n\t\t\t%s", quote("1:key:(" keys ")")
		else if (names[i] == "help")
			printf " \\\n\t\t\t%s", quote("1:command:{_describe command commands; compadd --" topics "}")
		else
			printf " \\\n\t\t\t%s", quote("*:file:_files")
		print " ;;"
	}
	print "\tesac"
	print "}"
	print "_" PROGRAM " \"$@\""
}

# ---- fish ----

function fish(    i, k, c, s, all) {
	for (i = 1; i <= n; i++)
		all = all (i > 1 ? " " : "") names[i]
	print "# fish completion for " PROGRAM
	for (i = 1; i <= n; i++) {
		c = names[i]
		printf "complete -c %s -n __fish_use_subcommand -f -a %s -d %s\n", \
			PROGRAM, c, quote(about[c])
		for (k = 1; k <= count[c]; k++) {
			s = "complete -c " PROGRAM " -n '__fish_seen_subcommand_from " c "'"
			if (letter[c, k] != "")
				s = s " -s " substr(letter[c, k], 2)
			if (long[c, k] != "")
				s = s " -l " substr(long[c, k], 3)
			if (value[c, k] != "")
				s = s (words[c, k] == "FILE" ? " -r -F" : \
					(words[c, k] == "" ? " -x" : " -x -a " quote(words[c, k])))
			print s " -d " quote(help[c, k])
		}
		if (suite[c])
			printf "complete -c %s -n '__fish_seen_subcommand_from %s' -a '(%s list --names 2>/dev/null)'\n", \
				PROGRAM, c, PROGRAM
		if (key[c])
			printf "complete -c %s -n '__fish_seen_subcommand_from %s' -f -a %s\n", \
				PROGRAM, c, quote(keys)
	}
	printf "complete -c %s -n '__fish_seen_subcommand_from help' -f -a %s\n", PROGRAM, quote(all topics)
}

END {
	if (SHELL == "bash")
		bash()
	else if (SHELL == "zsh")
		zsh_all()
	else if (SHELL == "fish")
		fish()
	else {
		print "complete.awk: SHELL must be bash, zsh or fish" | "cat 1>&2"
		exit 1
	}
}
