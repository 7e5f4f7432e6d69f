# A man page from its prose and from what the programs print about themselves.
#
#	awk -v VERSION=1.0 -f man.awk DUMP PAGE.in >PAGE
#
# DUMP is the output of `qcowimg help --dump` or `qcowbench help --dump`.  In
# the page these lines stand for what is in it: @COMMANDS@ (each command with
# its options), @COLUMNS FILE@ (those of a result file), @KEYS SECTION@ (those
# of a spec file).  @VERSION@ is replaced everywhere.

function roff(text) {
	gsub(/\\/, "\\e", text)
	gsub(/-/, "\\-", text)
	if (text ~ /^[.']/)
		text = "\\&" text
	return text
}

# Text with lines of its own: an indented one is an example.
function paragraph(text) {
	if (text == "")
		return ".PP\n"
	if (text ~ /^ /) {
		sub(/^ +/, "", text)
		return ".RS\n.nf\n" roff(text) "\n.fi\n.RE\n"
	}
	return roff(text) "\n"
}

function option_page(letter, long, value, help) {
	return ".TP\n" fonts(letter, long, value) "\n" roff(help) "\n"
}

function fonts(letter, long, value,    s) {
	s = ""
	if (letter != "")
		s = "\\fB" roff(letter) "\\fR"
	if (long != "")
		s = s (s == "" ? "" : ", ") "\\fB" roff(long) "\\fR"
	if (value != "")
		s = s (long == "" ? " " : "=") "\\fI" roff(value) "\\fR"
	return s
}

BEGIN { FS = "\t" }

# ---- the dump ----

# What a command does, unless sentences of its own said so.
function say_about() {
	if (about != "")
		page = page roff(toupper(substr(about, 1, 1)) substr(about, 2)) ".\n"
	about = ""
}

FNR == NR && $1 == "command" {
	say_about()
	page = page ".SS " roff($2) (($3 == "") ? "" : " " roff($3)) "\n"
	about = $4
	tail = 0
	next
}
FNR == NR && $1 == "text" { about = ""; page = page paragraph($2); next }
FNR == NR && $1 == "example" {
	say_about()
	page = page ".PP\n" roff(toupper(substr($4, 1, 1)) substr($4, 2)) \
		(($4 ~ /\?$/) ? "" : ":") "\n" paragraph("  " $3)
	next
}
FNR == NR && $1 == "option" {
	say_about()
	page = page option_page($3, $4, $5, $7)
	tail = 1
	next
}
FNR == NR && $1 == "more" {
	say_about()
	page = page (tail ? ".PP\n" : "") paragraph($2)
	tail = 0
	next
}
FNR == NR && $1 == "column" {
	columns[$2] = columns[$2] ".TP\n\\fB" roff($3) "\\fR (" $4 \
		(($5 == "") ? "" : ", " roff($5)) ")\n" roff($6) ".\n" \
		(($7 == "never empty") ? "" : "Empty: " roff($7) ".\n")
	next
}
FNR == NR && $1 == "key" {
	keys[$2] = keys[$2] ".TP\n\\fB" roff($3) "\\fR = \\fI" roff($4) "\\fR\n" \
		roff($6) ".\n" (($7 == "") ? "" : "Of " roff($7) ".\n") \
		(($5 == "") ? "" : "Default: " roff($5) ".\n") \
		(($8 == "") ? "" : "Otherwise: " roff($8) ".\n")
	next
}
FNR == NR { next }

# ---- the page ----

$0 == "@COMMANDS@" { say_about(); printf "%s", page; next }
/^@COLUMNS .*@$/ {
	name = substr($0, 10, length($0) - 10)
	if (!(name in columns)) {
		print "man.awk: no columns of " name | "cat 1>&2"
		exit 1
	}
	printf "%s", columns[name]
	next
}
/^@KEYS .*@$/ {
	name = substr($0, 7, length($0) - 7)
	if (!(name in keys)) {
		print "man.awk: no keys of " name | "cat 1>&2"
		exit 1
	}
	printf "%s", keys[name]
	next
}
{ gsub(/@VERSION@/, VERSION); print }
