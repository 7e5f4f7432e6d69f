#!/bin/sh
# What scripts share that fetch packages; to be read by them.

# URI of the host's own main archive: "main" of a suite like bookworm, not
# bookworm-updates.
# shellcheck disable=SC2016 # $(...) is apt's
apt_mirror() {
	apt-get indextargets --no-release-info \
		--format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Created-By: Packages' |
		awk '$3 == "main" && $2 !~ /[-\/]/ { print $1; exit }'
}
