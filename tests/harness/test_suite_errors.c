/* SPDX-License-Identifier: MIT */
/*
 * What is wrong with a spec file is told by place, value and the nearest known
 * name: one malformed text for each error, and the whole message.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "harness/spec_suite.h"

#define SUITE   "[suite]\nquestion = Q\n"
#define CONFIGS "[configurations]\na = target=raw\n"
#define PASSES  "[passes]\nc = op=create\nw = rw=randwrite size=50%\n"

#define WRITE "[passes]\nw = rw=randwrite size=50%\n"

struct bad {
	const char *text, *message;
};

static const struct bad files[] = {
	{"[suit]\n"
	 "question = Q\n",
	 "x.ini:1:1: unknown section [suit]; did you mean [suite]?"},
	{"[suite\n"
	 "question = Q\n",
	 "x.ini:1:1: '[suite' is not a section: it is written [name]"},
	{"[suite] x\n", "x.ini:1:9: 'x' after the section's name"},
	{"[who]\n",
	 "x.ini:1:1: unknown section [who]; there are [suite], [defaults], [configurations], [passes] and [quick]"},
	{"question = Q\n", "x.ini:1:1: 'question' before the first [section]"},
	{"[suite]\n"
	 "question\n",
	 "x.ini:2:1: no '=' after 'question': a line is key = value"},
	{"[suite]\n"
	 "= Q\n",
	 "x.ini:2:1: no key before '='"},
	{SUITE "question = R\n",
	 "x.ini:3:1: 'question' a second time in [suite]; the first is at x.ini:2:1"},
	{"[suite]\n"
	 "question = \001\n",
	 "x.ini:2:12: byte 0x01 is not text (a spec file is UTF-8)"},
	{"[suite]\n"
	 "question = \377\n",
	 "x.ini:2:12: byte 0xff is not text (a spec file is UTF-8)"},
	{"[suite]\n"
	 "include\n",
	 "x.ini:2:1: include takes the name of one file"},
	{"[suite]\n"
	 "include nosuch\n",
	 "x.ini:2:9: cannot read 'nosuch': No such file or directory"},
	{"[suite]\n"
	 "include no/such.ini\n",
	 "x.ini:2:9: cannot read 'no/such.ini': No such file or directory"},
	{"[suite]\n"
	 "include x.ini\n",
	 "x.ini:2:9: 'x.ini' is included by itself"},
	{SUITE, "x.ini: [configurations] is missing"},
	{SUITE CONFIGS "[passes]\n", "x.ini: [passes] is empty"},
	{SUITE "rouns = 8\n" CONFIGS PASSES,
	 "x.ini:3:1: unknown key 'rouns'; did you mean 'rounds'?"},
	{SUITE "rounds = many\n" CONFIGS PASSES,
	 "x.ini:3:10: rounds: 'many' is not a number (1 to 100000)"},
	{SUITE "rounds = 0\n" CONFIGS PASSES,
	 "x.ini:3:10: rounds: 0 is not from 1 to 100000"},
	{SUITE "rounds = -3\n" CONFIGS PASSES,
	 "x.ini:3:10: rounds: -3 is not from 1 to 100000"},
	{SUITE "rounds = 100001\n" CONFIGS PASSES,
	 "x.ini:3:10: rounds: 100001 is not from 1 to 100000"},
	{SUITE "rounds = 99999999999999999999\n" CONFIGS PASSES,
	 "x.ini:3:10: rounds: '99999999999999999999' is not a number (1 to 100000)"},
	{SUITE "rounds =\n" CONFIGS PASSES, "x.ini:3:1: rounds has no value"},
	{SUITE "rounds = 6 7\n" CONFIGS PASSES,
	 "x.ini:3:12: rounds takes one value; '7' is a second one"},
	{SUITE "margin = 5\n" CONFIGS PASSES,
	 "x.ini:3:10: margin: '5' is not a percentage from 0.01% to 50%"},
	{SUITE "margin = 0%\n" CONFIGS PASSES,
	 "x.ini:3:10: margin: '0%' is not a percentage from 0.01% to 50%"},
	{SUITE "advice = maybe\n" CONFIGS PASSES,
	 "x.ini:3:10: advice: 'maybe' is not one of on or off"},
	{SUITE "bs = 4k\n" CONFIGS PASSES,
	 "x.ini:3:1: 'bs' is a key of passes"},
	{SUITE "zzz = 4k\n" CONFIGS PASSES,
	 "x.ini:3:1: unknown key 'zzz'; 'qcowbench explain' lists them"},
	{SUITE "reference = b\n" CONFIGS PASSES,
	 "x.ini:3:13: reference: 'b' is no configuration; name one of a; or leave "
	 "it out"},
	{SUITE "baseline = aa\n" CONFIGS PASSES,
	 "x.ini:3:12: baseline: 'aa' is no configuration; did you mean 'a'?"},
	{SUITE "contrast = a\n" CONFIGS PASSES,
	 "x.ini:3:12: contrast: 'a' is not a pair A/B"},
	{SUITE "contrast = a/b\n" CONFIGS PASSES,
	 "x.ini:3:14: contrast: 'b' is no configuration; name one of a; or leave "
	 "it out"},
	{SUITE "split = bss\n" CONFIGS PASSES,
	 "x.ini:3:9: unknown key 'bss'; did you mean 'bs'?"},
	{SUITE "split = l2_cache_size\n" CONFIGS PASSES,
	 "x.ini:3:9: split: nothing has the key l2_cache_size"},
	{SUITE "[defaults]\n"
	       "clustersize = 64k\n" CONFIGS PASSES,
	 "x.ini:4:1: unknown key 'clustersize'; did you mean 'cluster_size'?"},
	{SUITE "[defaults]\n"
	       "bs =\n" CONFIGS PASSES,
	 "x.ini:4:1: bs has no value"},
	{SUITE "[defaults]\n"
	       "bs = 4k, 8k\n" CONFIGS PASSES,
	 "x.ini:4:10: bs takes one word, such as 1,2,4; '8k' is a second one"},
	{SUITE "[defaults]\n"
	       "bs = 4k,\n" CONFIGS PASSES,
	 "x.ini:4:9: bs has an empty value"},
	{SUITE "[defaults]\n"
	       "rounds = 8\n" CONFIGS PASSES,
	 "x.ini:4:1: 'rounds' is a key of [suite]"},
	{SUITE "[configurations]\n"
	       "a = state=sparse\n" PASSES,
	 "x.ini:4:1: 'a' has no target; add target=raw or target=qcow2"},
	{SUITE "[configurations]\n"
	       "a = target=tape\n" PASSES,
	 "x.ini:4:12: target: 'tape' is not known; it is raw, qcow2, null, nbd or qemu"},
	{SUITE "[configurations]\n"
	       "a = target=qcow\n" PASSES,
	 "x.ini:4:12: target: 'qcow' is not known; did you mean 'qcow2'? (raw, qcow2, null, nbd or qemu)"},
	{SUITE "[configurations]\n"
	       "a = target = raw\n" PASSES,
	 "x.ini:4:5: 'target' is not key=value (no blanks around '=' and ',')"},
	{SUITE "[configurations]\n"
	       "a = target=raw bs=4k\n" PASSES,
	 "x.ini:4:16: 'bs' is a key of passes"},
	{SUITE "[configurations]\n"
	       "a = target=raw cluster_size=64k\n" PASSES,
	 "x.ini:4:29: cluster_size=64k: cluster_size is of target=qcow2 and target=qemu without state=, which a is not"},
	{SUITE "[configurations]\n"
	       "a = target=raw state=full\n" PASSES,
	 "x.ini:4:22: state: 'full' is not known; it is sparse, falloc or written"},
	{SUITE "[configurations]\n"
	       "a = target=raw target=raw\n" PASSES,
	 "x.ini:4:16: target a second time on this line"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 cluster-size=65k\n" PASSES,
	 "x.ini:4:31: cluster_size: 65k is not from 512 to 2m, a power of two"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 cluster_size=4m\n" PASSES,
	 "x.ini:4:31: cluster_size: 4m is not from 512 to 2m, a power of two"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 cluster_size=64q\n" PASSES,
	 "x.ini:4:31: cluster_size: '64q' is not a size: a number, then nothing, k, m, g or t (512 to 2m, a power of two)"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 cluster_size=\n" PASSES,
	 "x.ini:4:31: cluster_size has an empty value"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 clustersize=64k\n" PASSES,
	 "x.ini:4:18: unknown key 'clustersize'; did you mean 'cluster_size'?"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 cluster_size=64k,64K\n" PASSES,
	 "x.ini:4:35: cluster_size has the value 64K twice"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 cluster_size=512..2m*2\n" PASSES,
	 "x.ini:4:1: several are called 'a'; add ${cluster_size} to the label"},
	{SUITE "[configurations]\n"
	       "a-${clustersize} = target=qcow2\n" PASSES,
	 "x.ini:4:3: unknown key 'clustersize'; did you mean 'cluster_size'?"},
	{SUITE "[configurations]\n"
	       "a-${l2_cache_size} = target=qcow2\n" PASSES,
	 "x.ini:4:3: ${l2_cache_size}: l2_cache_size is not said here"},
	{SUITE "[configurations]\n"
	       "a-$x = target=qcow2\n" PASSES,
	 "x.ini:4:3: '$' is written ${key} in a label"},
	{SUITE "[configurations]\n"
	       "a/b = target=qcow2\n" PASSES,
	 "x.ini:4:1: 'a/b' is not a label: letters, digits, - _ . and +, at most 63, beginning with a letter or digit"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2\n"
	       "b = target=raw\n"
	       "a = target=raw\n" PASSES,
	 "x.ini:6:1: 'a' a second time in [configurations]; the first is at x.ini:4:1"},
	{SUITE "[configurations]\n"
	       "a-sparse = target=raw\n"
	       "a-${state} = target=raw\n" PASSES,
	 "x.ini:5:1: 'a-sparse' is called like that of x.ini:4:1"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 extended_l2=on cluster_size=8k\n" PASSES,
	 "x.ini:4:30: a: extended_l2 takes clusters of at least 16k, not 8k"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 compat=0.10 lazy_refcounts=on\n" PASSES,
	 "x.ini:4:45: a: lazy_refcounts takes compat=1.1"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 compat=0.10 refcount_bits=8\n" PASSES,
	 "x.ini:4:44: a: compat=0.10 has refcounts of 16 bits only"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 l2_cache_entry_size=128k\n" PASSES,
	 "x.ini:4:38: a: l2_cache_entry_size 128k is more than a cluster of 64k"},
	{SUITE "[configurations]\n"
	       "a = target=raw detect_zeroes=unmap\n" PASSES,
	 "x.ini:4:30: a: detect_zeroes=unmap takes discard=unmap"},
	{SUITE "[configurations]\n"
	       "a = target=raw image_size=1m\n" PASSES,
	 "x.ini:4:27: image_size: 1m is not at least 16m, a multiple of 1m"},
	{SUITE "[configurations]\n"
	       "a-${image_size} = target=raw image_size=1g..17g+1g\n" PASSES,
	 "x.ini:4:1: 17 configurations, at most 16 can be compared; drop some, or make groups with split=KEY"},
	{SUITE "[configurations]\n"
	       "a-${image_size} = target=raw image_size=1g..99g+1g\n" PASSES,
	 "x.ini:4:41: image_size has more than 64 values"},
	{SUITE
	 "[configurations]\n"
	 "a-${cache_clean_interval}-${image_size} = target=qcow2 image_size=1g..17g+1g cache_clean_interval=1..20\n" PASSES,
	 "x.ini:4:1: more than 256 configurations"},
	{SUITE
	 "[configurations]\n"
	 "a-${refcount_bits} = target=qcow2 refcount_bits=64..1*2\n" PASSES,
	 "x.ini:4:49: refcount_bits: the range '64..1*2' ends before it begins"},
	{SUITE
	 "[configurations]\n"
	 "a-${refcount_bits} = target=qcow2 refcount_bits=1..64*1\n" PASSES,
	 "x.ini:4:55: refcount_bits: the range '1..64*1' never ends: *1 from 1"},
	{SUITE
	 "[configurations]\n"
	 "a-${refcount_bits} = target=qcow2 refcount_bits=1..64+0\n" PASSES,
	 "x.ini:4:55: refcount_bits: 0 is not at least 1"},
	{SUITE
	 "[configurations]\n"
	 "a-${refcount_bits} = target=qcow2 refcount_bits=1..64*x\n" PASSES,
	 "x.ini:4:55: refcount_bits: 'x' is not a number (at least 1)"},
	{SUITE "[configurations]\n"
	       "a-${refcount_bits} = target=qcow2 refcount_bits=1..3\n" PASSES,
	 "x.ini:4:49: refcount_bits: 3 is not from 1 to 64, a power of two"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 preallocation=off..full\n" PASSES,
	 "x.ini:4:32: preallocation: 'off..full': only numbers and sizes have ranges"},
	{SUITE "[configurations]\n"
	       "a = target=qemu zero=hole\n" PASSES,
	 "x.ini:4:22: zero=hole: zero is of target=qcow2, which a is not"},
	{SUITE "[configurations]\n"
	       "a = target=qemu state=written cluster_size=64k\n" PASSES,
	 "x.ini:4:44: cluster_size=64k: cluster_size is of target=qcow2 and target=qemu without state=, which a is not"},
	{SUITE "[configurations]\n"
	       "a = target=qemu extended_l2=on cluster_size=4k\n" PASSES,
	 "x.ini:4:29: a: extended_l2 takes clusters of at least 16k, not 4k"},
	/* What QEMU, and the engine, would make another number of. */
	{SUITE "[configurations]\n"
	       "a = target=qcow2 l2_cache_size=4k\n" PASSES,
	 "x.ini:4:32: a: l2_cache_size: 4k is not at least 8k, a multiple of 4k; QEMU would use 8k"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 l2_cache_size=10k cluster_size=2k\n" PASSES
	       "[quick]\n"
	       "a = l2_cache_size=9k\n",
	 "x.ini:9:19: a: l2_cache_size: 9k is not at least 4k, a multiple of 2k; QEMU would use 8k"},
	{SUITE
	 "[configurations]\n"
	 "a = target=qemu l2_cache_entry_size=64k l2_cache_size=64k\n" PASSES,
	 "x.ini:4:55: a: l2_cache_size: 64k is not at least 128k, a multiple of 64k; QEMU would use 128k"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 refcount_cache_size=255k\n" PASSES,
	 "x.ini:4:38: a: refcount_cache_size: 255k is not at least 256k, a multiple of 64k; QEMU would use 256k"},
	{SUITE "[configurations]\n"
	       "a = target=null state=sparse\n" PASSES,
	 "x.ini:4:23: state=sparse: state is of target=raw and target=qemu with state=, which a is not"},
	{SUITE "[configurations]\n"
	       "a = target=raw uri=nbd://h\n" PASSES,
	 "x.ini:4:20: uri=nbd://h: uri is of target=nbd, which a is not"},
	{SUITE "[configurations]\n"
	       "a = target=nbd uri=nbd://h cache=none\n" WRITE,
	 "x.ini:4:34: cache=none: cache is of target=raw, target=qcow2 and target=qemu, which a is not"},
	{SUITE "[configurations]\n"
	       "a = target=nbd uri=nbd://h aio=threads\n" WRITE,
	 "x.ini:4:32: aio=threads: aio is of all targets but nbd, which a is not"},
	{SUITE "[configurations]\n"
	       "a = target=nbd uri=localhost:10809\n" WRITE,
	 "x.ini:4:20: uri: 'localhost:10809' is not an export: it is nbd://HOST[:PORT]/EXPORT, nbd+unix:///EXPORT?socket=PATH or another that libnbd knows"},
	{SUITE "[configurations]\n"
	       "a = target=nbd\n" WRITE,
	 "x.ini:4:1: 'a' has no uri; add uri=nbd://HOST/EXPORT"},
	{SUITE "[configurations]\n"
	       "a = target=nbd uri=nbd://h/x\n" WRITE,
	 "x.ini:4:1: a: pass 'w' would overwrite what is in nbd://h/x; if that may be lost, add overwrite=on"},
	{SUITE "[configurations]\n"
	       "a = target=nbd uri=nbd://h/x overwrite=off\n" WRITE,
	 "x.ini:4:40: a: pass 'w' would overwrite what is in nbd://h/x; if that may be lost, add overwrite=on"},
	{SUITE "[configurations]\n"
	       "a = target=nbd uri=nbd://h/x overwrite=on\n"
	       "b = target=nbd uri=nbd://h/x overwrite=on\n" WRITE,
	 "x.ini:5:20: b: 'a' has the same uri, and both would use it at once"},
	{SUITE "split = uri\n"
	       "[configurations]\n"
	       "a = target=nbd uri=nbd://h/x overwrite=on\n" WRITE,
	 "x.ini:3:9: split: uri cannot be part of a folder's name"},
	{SUITE "[configurations]\n"
	       "a = target=nbd uri=nbd://h/x\n"
	       "[passes]\n"
	       "r = rw=randread\n"
	       "s = rw=read\n",
	 "x.ini:7:1: 's' is no first touch: it works where 'r' has read; move it with offset=, or use touch=r"},
	/* Only exports hold something before anybody has written. */
	{SUITE "[configurations]\n"
	       "a = target=nbd uri=nbd://h/x\n"
	       "b = target=null\n"
	       "[passes]\n"
	       "r = rw=randread\n",
	 "x.ini:7:8: 'r' reads what nobody has written; name a writing pass with touch="},
	{SUITE "[configurations]\n"
	       "a = target=nbd uri=nbd://h/x overwrite=on\n"
	       "b = target=qemu\n" WRITE,
	 "x.ini:7:1: 'w' has no image yet; the first pass is create = op=create"},
	{SUITE CONFIGS "[passes]\n"
		       "w = rw=randwrite\n",
	 "x.ini:6:1: 'w' has no image yet; the first pass is create = op=create"},
	{SUITE CONFIGS "[passes]\n"
		       "c = op=create\n"
		       "d = op=create\n",
	 "x.ini:7:1: 'd' makes the image a second time"},
	{SUITE CONFIGS "[passes]\n"
		       "c = bs=4k\n",
	 "x.ini:6:1: 'c' has neither op nor rw; add rw=randwrite or the like"},
	{SUITE CONFIGS "[passes]\n"
		       "c = op=create bs=4k\n",
	 "x.ini:6:18: bs=4k: bs is of passes with requests, which c is not"},
	{SUITE CONFIGS "[passes]\n"
		       "c = op=create\n"
		       "w = rw=write stride=64k\n",
	 "x.ini:7:21: stride=64k: stride is of random passes, which w is not"},
	{SUITE CONFIGS PASSES "r = rw=randread touch=x\n",
	 "x.ini:8:23: touch: there is no pass 'x' before it; there is c, w"},
	{SUITE CONFIGS PASSES "r = rw=randread touch=ww\n",
	 "x.ini:8:23: touch: there is no pass 'ww' before it; did you mean 'w'?"},
	{SUITE CONFIGS PASSES "r = rw=randread touch=s\n"
			      "s = rw=write offset=50%\n",
	 "x.ini:8:23: touch: 's' does not come before 'r'"},
	{SUITE CONFIGS PASSES "r = rw=randread touch=c\n",
	 "x.ini:8:23: touch: 'c' writes nothing"},
	{SUITE CONFIGS PASSES "r = rw=randread touch=w size=10%\n",
	 "x.ini:8:30: size: 'r' works where 'w' did; size is for touch=first"},
	{SUITE CONFIGS PASSES "r = rw=randwrite touch=w\n"
			      "s = rw=read touch=r\n",
	 "x.ini:9:19: touch: 'r' uses the bytes of 'w' itself; name that one"},
	{SUITE CONFIGS PASSES "r = rw=randread\n",
	 "x.ini:8:8: 'r' reads what nobody has written; name a writing pass with touch="},
	{SUITE CONFIGS PASSES "r = rw=randwrite size=50%\n",
	 "x.ini:8:1: 'r' is no first touch: it works where 'w' has written; move it with offset=, or use touch=w"},
	{SUITE CONFIGS PASSES "r = rw=randwrite offset=60% size=50%\n",
	 "x.ini:8:25: 'r' ends at 110%, beyond the image: offset=60% and size=50%"},
	{SUITE CONFIGS PASSES "r = rw=randwrite offset=101%\n",
	 "x.ini:8:25: offset: 101% is beyond 100%"},
	{SUITE CONFIGS PASSES "r = rw=randwrite size=0%\n",
	 "x.ini:8:23: size is 0"},
	{SUITE CONFIGS PASSES "r = rw=randwrite size=1.5%\n",
	 "x.ini:8:23: size: 1.5% is not a whole number of percent"},
	{SUITE CONFIGS PASSES "r = rw=randwrite size=big\n",
	 "x.ini:8:23: size: 'big' is neither a percentage such as 80% nor a size such as 1g"},
	{SUITE CONFIGS PASSES "r = rw=randwrite touch=w slices=3\n",
	 "x.ini:8:33: slices: 3 is odd; turns come in pairs, or there is one"},
	{SUITE CONFIGS PASSES "r = rw=randwrite touch=w bs=1000\n",
	 "x.ini:8:29: bs: 1000 is not from 512 to 64m, a multiple of 512"},
	{SUITE CONFIGS PASSES "r = rw=randrw touch=w\n",
	 "x.ini:8:8: rw: 'randrw' is not known; it is read, write, randread or randwrite"},
	{SUITE CONFIGS PASSES
	 "r-${iodepth} = rw=randread touch=w iodepth=1..15\n",
	 "x.ini:8:1: 17 passes, at most 16 can be compared; drop some, or make groups with split=KEY"},
	{SUITE CONFIGS PASSES "[quick]\n"
			      "rouds = 6\n",
	 "x.ini:9:1: 'rouds' is no configuration, pass or key; did you mean 'rounds'?"},
	{SUITE CONFIGS PASSES "[quick]\n"
			      "w =\n",
	 "x.ini:9:1: 'w' has no value"},
	{SUITE CONFIGS PASSES "[quick]\n"
			      "drop = x\n",
	 "x.ini:9:8: drop: 'x' is no configuration and no pass"},
	{SUITE CONFIGS PASSES "[quick]\n"
			      "drop = a\n",
	 "x.ini: all configurations are dropped"},
	{SUITE "reference = a\n" CONFIGS "b = target=raw\n" PASSES "[quick]\n"
	       "drop = a\n",
	 "x.ini:3:13: reference: 'a' is dropped in [quick]"},
	{SUITE CONFIGS PASSES "read = rw=randread touch=w\n"
			      "[quick]\n"
			      "drop = w\n",
	 "x.ini:8:26: touch: 'w' is dropped in [quick]; drop 'read' too"},
	{SUITE CONFIGS PASSES "[quick]\n"
			      "probe = size\n",
	 "x.ini:9:9: probe: 'size' is neither image_size nor PASS.requests"},
	{SUITE CONFIGS PASSES "[quick]\n"
			      "probe = v.requests\n",
	 "x.ini:9:9: probe: there is no pass 'v'"},
	{SUITE CONFIGS PASSES "[quick]\n"
			      "probe = w.requests\n",
	 "x.ini:9:9: probe: 'w' has no requests= that could be chosen"},
	{SUITE CONFIGS PASSES "[quick]\n"
			      "w = offset=80%\n",
	 "x.ini:9:12: 'w' ends at 130%, beyond the image: offset=80% and size=50%"},
	{SUITE CONFIGS PASSES "[quick]\n"
			      "w = ofset=80%\n",
	 "x.ini:9:5: unknown key 'ofset'; did you mean 'offset'?"},
	{SUITE CONFIGS "b = target=raw image_size=1g\n" PASSES "[quick]\n"
		       "probe = image_size\n",
	 "x.ini:10:9: probe: image_size differs between configurations"},
	{SUITE "split = image_size\n"
	       "reference = b\n"
	       "[configurations]\n"
	       "a = target=raw image_size=1g,2g\n"
	       "b = target=raw image_size=1g\n" PASSES,
	 "x.ini:4:13: reference: 'b' is no configuration of the group image_size=2g; "
	 "name one of a; or leave it out"},
};

/* What images hold before the first pass, and what is judged. */
#define FILLED "[configurations]\na = target=qcow2 fill=seq\n"

static const struct bad contents[] = {
	{SUITE "[configurations]\n"
	       "a = target=qcow2 fill=sequential\n" PASSES,
	 "x.ini:4:23: fill: 'sequential' is not known; it is none, seq or rand"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 chain_depth=1001\n" PASSES,
	 "x.ini:4:30: chain_depth: 1001 is not from 0 to 1000"},
	{SUITE "[configurations]\n"
	       "a = target=raw chain_depth=1\n" PASSES,
	 "x.ini:4:28: chain_depth=1: chain_depth is of target=qcow2, which a is not"},
	{SUITE "[configurations]\n"
	       "a = target=qemu snapshots=1\n" PASSES,
	 "x.ini:4:27: snapshots=1: snapshots is of target=qcow2, which a is not"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 encryption=rot13\n" PASSES,
	 "x.ini:4:29: encryption: 'rot13' is not known; it is none, aes or luks"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 encryption=luks iter_time=0\n" PASSES,
	 "x.ini:4:44: iter_time: 0 is not from 1 to 60000"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 compression_type=lzo\n" PASSES,
	 "x.ini:4:35: compression_type: 'lzo' is not known; it is zlib or zstd"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 compress=on\n" PASSES,
	 "x.ini:4:27: a: compress=on is for a pass with op=convert, and there is none"},
	{SUITE FILLED "[passes]\n"
		      "c = op=convert\n"
		      "r = rw=randread\n",
	 "x.ini:4:23: a: op=convert fills the image; leave fill out"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 chain_depth=2\n"
	       "[passes]\n"
	       "c = op=convert\n",
	 "x.ini:4:30: a: op=convert makes an image without files below; leave chain_depth out"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 chain_depth=2 encryption=luks\n" PASSES,
	 "x.ini:4:43: a: encryption=luks with chain_depth=2; only images without files below are encrypted here"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 encryption=aes compress=on\n"
	       "[passes]\n"
	       "c = op=convert\n",
	 "x.ini:4:29: a: encryption=aes with compress=on; what is encrypted is not compressed"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 chain_depth=1 preallocation=full\n" PASSES,
	 "x.ini:4:46: a: preallocation=full with chain_depth=1; preallocation is for images without files below"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 snapshots=3 refcount_bits=2\n" PASSES,
	 "x.ini:4:44: a: refcount_bits=2 counts to 3, too few for 3 snapshots; take 16"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2 refcount_bits=1\n" PASSES "s = op=snapshot\n",
	 "x.ini:4:32: a: refcount_bits=1 counts to 1, too few for 1 snapshot; take 16"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2\n" PASSES "d = op=snapshot-delete\n",
	 "x.ini:8:1: 'd' deletes a snapshot that no pass has taken; put op=snapshot before it"},
	{SUITE "[configurations]\n"
	       "a = target=qcow2\n" PASSES "s = op=snapshot\n"
	       "d = op=snapshot-delete\n"
	       "e = op=snapshot-delete\n",
	 "x.ini:10:1: 'e' deletes a snapshot that no pass has taken; put op=snapshot before it"},
	{SUITE CONFIGS PASSES "s = op=snapshot\n",
	 "x.ini:8:8: 's': op=snapshot is not for target=raw of 'a'; it takes target=qcow2"},
	{SUITE "[configurations]\n"
	       "a = target=qemu\n"
	       "[passes]\n"
	       "c = op=convert\n",
	 "x.ini:6:8: 'c': op=convert is not for target=qemu of 'a'; it takes target=qcow2 or target=raw"},
	{SUITE CONFIGS "[passes]\n"
		       "c = op=create buffer_compress_percentage=50\n",
	 "x.ini:6:42: c: buffer_compress_percentage is of op=convert"},
	{SUITE CONFIGS "[passes]\n"
		       "c = op=convert buffer_compress_percentage=100\n",
	 "x.ini:6:43: buffer_compress_percentage: 100 is not from 0 to 99"},
	{SUITE CONFIGS "[passes]\n"
		       "c = op=create\n"
		       "d = op=convert\n",
	 "x.ini:7:1: 'd' makes the image a second time"},
	/* All of them must hold something before anybody has written. */
	{SUITE FILLED "b = target=qcow2\n"
		      "[passes]\n"
		      "c = op=create\n"
		      "r = rw=randread\n",
	 "x.ini:8:8: 'r' reads what nobody has written; name a writing pass with touch="},
	{SUITE FILLED "[passes]\n"
		      "c = op=create\n"
		      "r = rw=randread\n"
		      "w = rw=randwrite\n",
	 "x.ini:8:1: 'w' is no first touch: it works where 'r' has read; move it with offset=, or use touch=r"},
	{SUITE "judge = w.iops\n" CONFIGS PASSES,
	 "x.ini:3:1: judge: there is nothing to judge against; add reference="},
	{SUITE "reference = a\njudge = iops\n" CONFIGS PASSES,
	 "x.ini:4:9: judge: 'iops' is not PASS.METRIC, such as read.iops"},
	{SUITE "reference = a\njudge = v.iops\n" CONFIGS PASSES,
	 "x.ini:4:9: judge: there is no pass 'v'; there is c, w"},
	{SUITE "reference = a\njudge = w.iop\n" CONFIGS PASSES,
	 "x.ini:4:9: judge: 'iop' is no metric with a better and a worse; did you mean 'iops'?"},
	{SUITE "reference = a\njudge = w.l2_hits\n" CONFIGS PASSES,
	 "x.ini:4:9: judge: 'l2_hits' is no metric with a better and a worse; iops is one"},
	{SUITE "sweep = clustersize\n" CONFIGS PASSES,
	 "x.ini:3:9: unknown key 'clustersize'; did you mean 'cluster_size'?"},
	{SUITE "sweep = rounds\n" CONFIGS PASSES,
	 "x.ini:3:9: 'rounds' is a key of [suite]"},
};

/* Over SUITE CONFIGS PASSES, by --set. */
static const struct bad sets[] = {
	{"x", "--set x: it takes key=value, or section.key=value"},
	{"=1", "--set =1: it takes key=value, or section.key=value"},
	{"bss=4k",
	 "--set bss=4k: 'bss' is no configuration, pass or key; did you mean 'bs'?"},
	{"nothing=1",
	 "--set nothing=1: 'nothing' is no configuration, pass or key"},
	{"w.bs=1",
	 "--set w.bs=1: bs: 1 is not from 512 to 64m, a multiple of 512"},
	{"q.bs=4k", "--set q.bs=4k: 'q' is no configuration, pass or key"},
	{"configurations.zzz.cache=none",
	 "--set configurations.zzz.cache=none: 'zzz' is no configuration, pass or key"},
	{"defaults.zz=1",
	 "--set defaults.zz=1: unknown key 'zz'; 'qcowbench explain' lists them"},
	{"suite.zz=1",
	 "--set suite.zz=1: unknown key 'zz'; 'qcowbench explain' lists them"},
	{"rounds=0", "--set rounds=0: rounds: 0 is not from 1 to 100000"},
	{"bs=", "--set bs=: the value is empty"},
	{"a=cluster_size=64k",
	 "--set a=cluster_size=64k: cluster_size=64k: cluster_size is of target=qcow2 and target=qemu without state=, which a is not"},
	{"bs=4k,8k",
	 "x.ini:7:1: several are called 'w'; add ${bs} to the label"},
	{"cluster_size=64k",
	 "--set cluster_size=64k: cluster_size is of target=qcow2 and target=qemu without state=, and there is none"},
	{"uri=nbd://h/x",
	 "--set uri=nbd://h/x: uri is of target=nbd, and there is none"},
	{"drop=a", "--set drop=a: drop is of [quick]: --set quick.drop="},
	{"cache=none writeback",
	 "--set cache=none writeback: cache takes one value"},
};

static void
check(const struct bad *bad, const char *text, const struct suite_sets *sets_of)
{
	struct spec_mem mem = {0};
	struct q2_err err = {0};
	struct suite *suite;

	assert_int_equal(spec_suite_read(&mem,
					 &(struct spec_source){"x.ini", text,
							       strlen(text),
							       sets_of, NULL},
					 &suite, &err),
			 -EINVAL);
	if (strcmp(err.text, bad->message) != 0)
		print_error("of: %s\n", bad->text);
	assert_string_equal(err.text, bad->message);
	spec_mem_done(&mem);
}

static void
test_each_mistake_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		check(&files[i], files[i].text, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(contents); i++)
		check(&contents[i], contents[i].text, NULL);
}

static void
test_each_mistake_in_set_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		struct suite_sets one = {.v = &sets[i].text, .n = 1};

		check(&sets[i], SUITE CONFIGS PASSES, &one);
	}
}

/* The control: without the mistake it is a suite. */
static void
test_the_text_around_the_mistakes_is_right(void **state)
{
	struct spec_mem mem = {0};
	struct q2_err err = {0};
	struct suite *suite;
	const char *text = SUITE CONFIGS PASSES;

	(void)state;
	assert_int_equal(
		spec_suite_read(&mem,
				&(struct spec_source){"x.ini", text,
						      strlen(text), NULL, NULL},
				&suite, &err),
		0);
	assert_string_equal(suite->name, "x");
	assert_int_equal(suite->nconfigs, 1);
	assert_int_equal(suite->npasses, 2);
	spec_mem_done(&mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_mistake_is_named),
		cmocka_unit_test(test_each_mistake_in_set_is_named),
		cmocka_unit_test(test_the_text_around_the_mistakes_is_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
