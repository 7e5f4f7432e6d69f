/* SPDX-License-Identifier: MIT */
/*
 * info_crypt.c - what `info` says of encryption, human and JSON; and how an
 * image that was named with its key is called
 *
 * The order is that of QEMU's hash table.
 */
#include "engine/img/info_crypt.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/img/msg.h"

static bool
is_luks(const struct q2_info *info)
{
	return info->encryption && strcmp(info->encryption, "luks") == 0;
}

static void
say_luks(const struct q2_luks_info *l)
{
	say("        slots:\n");
	for (unsigned i = 0; i < ARRAY_SIZE(l->slots); i++) {
		const struct q2_luks_slot *s = &l->slots[i];

		say("            [%u]:\n", i);
		say("                active: %s\n",
		    s->active ? "true" : "false");
		if (s->active)
			say("                iters: %u\n", s->iters);
		say("                key offset: %" PRIu64 "\n", s->key_offset);
		if (s->active)
			say("                stripes: %u\n", s->stripes);
	}
	say("        payload offset: %" PRIu64 "\n", l->payload_offset);
	say("        master key iters: %u\n", l->master_key_iters);
}

void
info_crypt_say(const struct q2_info *info)
{
	const struct q2_luks_info *l = &info->luks;

	if (!info->encryption)
		return;
	say("    encrypt:\n");
	if (!is_luks(info)) {
		say("        format: %s\n", info->encryption);
		return;
	}
	say("        ivgen alg: %s\n", l->ivgen_alg);
	say("        hash alg: %s\n", l->hash_alg);
	say("        cipher alg: %s\n", l->cipher_alg);
	say("        uuid: %s\n", l->uuid);
	if (l->ivgen_hash_alg)
		say("        ivgen hash alg: %s\n", l->ivgen_hash_alg);
	say("        format: %s\n", info->encryption);
	say("        cipher mode: %s\n", l->cipher_mode);
	say_luks(l);
}

static void
json_slots(struct json *j, const struct q2_luks_info *l)
{
	json_open(j, "slots", '[');
	for (unsigned i = 0; i < ARRAY_SIZE(l->slots); i++) {
		const struct q2_luks_slot *s = &l->slots[i];

		json_open(j, NULL, '{');
		json_bool(j, "active", s->active);
		if (s->active)
			json_u64(j, "iters", s->iters);
		json_u64(j, "key-offset", s->key_offset);
		if (s->active)
			json_u64(j, "stripes", s->stripes);
		json_close(j, '}');
	}
	json_close(j, ']');
}

void
info_crypt_json(struct json *j, const struct q2_info *info)
{
	const struct q2_luks_info *l = &info->luks;

	if (!info->encryption)
		return;
	json_open(j, "encrypt", '{');
	if (is_luks(info)) {
		json_str(j, "ivgen-alg", l->ivgen_alg);
		json_str(j, "hash-alg", l->hash_alg);
		json_str(j, "cipher-alg", l->cipher_alg);
		json_str(j, "uuid", l->uuid);
		if (l->ivgen_hash_alg)
			json_str(j, "ivgen-hash-alg", l->ivgen_hash_alg);
	}
	json_str(j, "format", info->encryption);
	if (is_luks(info)) {
		json_str(j, "cipher-mode", l->cipher_mode);
		json_slots(j, l);
		json_u64(j, "payload-offset", l->payload_offset);
		json_u64(j, "master-key-iters", l->master_key_iters);
	}
	json_close(j, '}');
}

/* ---- names ------------------------------------------------------------- */

/* text, as it stands in a string of JSON; out has room. */
static char *
escape(char *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			*out++ = '\\';
		*out++ = *text;
	}
	*out = 0;
	return out;
}

char *
info_crypt_name(const char *path, const char *secret)
{
	static const char head[] = "json:{\"encrypt.key-secret\": \"";
	static const char middle[] = "\", \"driver\": \"qcow2\", \"file\": "
				     "{\"driver\": \"file\", \"filename\": \"";
	size_t room = sizeof(head) + sizeof(middle) + 2 * strlen(path) +
		      2 * strlen(secret) + 4;
	char *name = malloc(room), *at;

	if (!name)
		return NULL;
	(void)strcpy(name, head);
	at = escape(name + strlen(name), secret);
	(void)strcpy(at, middle);
	at = escape(at + strlen(at), path);
	(void)strcpy(at, "\"}}");
	return name;
}
