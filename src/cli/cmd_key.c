/* SPDX-License-Identifier: Apache-2.0 */
/* The keyring: a table of subcommands over the functions of keyring.h. Nothing secret is printed
   but by export. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/complain.h"
#include "cli/json.h"
#include "cli/keyring_path.h"
#include "sealq/sealq.h"

/* A primary older than this is worth a word. */
#define PRIMARY_DAYS_MAX 365

static const char *comment, *channel;
static bool is_sure;

static const struct sqi_option options[] = {
    {"channel", SQI_TEXT, &channel, 0, 0, "the keys of this channel alone"},
    {"comment", SQI_TEXT, &comment, 0, 0, "new, add, rotate: what the key is for"},
    {"yes", SQI_FLAG, &is_sure, 0, 0, "export: even to a terminal"},
    {.name = NULL},
};

/* ── telling ──────────────────────────────────────────────────────────────────────────────── */

static int tell(const char *what, const char *id)
{
    if (sqi_globals.json)
        printf("{\"id\":\"%s\",\"done\":\"%s\"}\n", id, what);
    else
        printf("key %s %s\n", id, what);
    return SQI_EXIT_OK;
}

static const char *state_name(sq_key_state state)
{
    static const char *const names[] = {"primary", "accepted", "retired"};
    return names[state];
}

static int64_t age_days(const sq_key_info *key)
{
    int64_t age_s = (int64_t)time(NULL) - key->created_s;
    return age_s > 0 ? age_s / 86400 : 0;
}

static json_t *key_as_json(const sq_key_info *key)
{
    char created[32];
    struct tm date;
    time_t created_s = (time_t)key->created_s;
    gmtime_r(&created_s, &date);
    strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &date);
    return json_pack("{s:s, s:s, s:s*, s:s, s:I, s:s}", "id", key->id, "state",
                     state_name(key->state), "channel", key->channel[0] ? key->channel : NULL,
                     "created", created, "age_days", (json_int_t)age_days(key), "comment",
                     key->comment);
}

static json_t *keys_as_json(const sq_keyring *keyring)
{
    json_t *keys = json_array();
    sq_key_info key;
    for (size_t i = 0; sq_keyring_key_info(keyring, i, &key) == SQ_OK; i++)
        json_array_append_new(keys, key_as_json(&key));
    return keys;
}

static void print_keys(const sq_keyring *keyring)
{
    sq_key_info key;
    printf("%-16s  %-8s  %6s  %-12s  %s\n", "ID", "STATE", "AGE", "CHANNEL", "COMMENT");
    for (size_t i = 0; sq_keyring_key_info(keyring, i, &key) == SQ_OK; i++)
        printf("%-16s  %-8s  %4" PRId64 " d  %-12s  %s\n", key.id, state_name(key.state),
               age_days(&key), key.channel[0] ? key.channel : "(all)", key.comment);
}

/* ── the subcommands ──────────────────────────────────────────────────────────────────────── */

/* Each gets the key named on the command line, or NULL. */
typedef int subcommand(const char *path, const char *id);

typedef int make_function(const char *path, const char *comment, char *ret_id);

static int make_key(const char *path, make_function *make, const char *what)
{
    char id[SQ_KEY_ID_BYTES];
    int result = make(path, comment, id);
    if (result < 0)
        return sqi_complain_of(result, NULL);
    return tell(what, id);
}

static int run_new(const char *path, const char *id)
{
    (void)id;
    int exit_code = make_key(path, sq_keyring_create, "made, as primary");
    if (exit_code == SQI_EXIT_OK && !sqi_globals.json)
        fprintf(stderr,
                "sealq: the keyring is %s: keep a copy, for what it sealed is lost with "
                "it\n",
                path);
    return exit_code;
}

static int run_add(const char *path, const char *id)
{
    (void)id;
    return make_key(path, sq_keyring_add, "added: promote it once every host has it");
}

static int run_rotate(const char *path, const char *id)
{
    (void)id;
    return make_key(path, sq_keyring_rotate, "made, as primary; the one before is accepted");
}

typedef int change_function(const char *path, const char *id, const char *channel);

static int change_key(const char *path, const char *id, change_function *change, const char *what)
{
    int result = change(path, id, channel);
    return result < 0 ? sqi_complain_of(result, NULL) : tell(what, id);
}

static int run_promote(const char *path, const char *id)
{
    return change_key(path, id, sq_keyring_promote, "promoted: it is the primary now");
}

static int run_retire(const char *path, const char *id)
{
    return change_key(path, id, sq_keyring_retire, "retired: what it sealed is refused");
}

static int run_remove(const char *path, const char *id)
{
    return change_key(path, id, sq_keyring_remove, "removed");
}

static int run_list(const char *path, const char *id)
{
    (void)path;
    (void)id;
    sq_keyring *keyring;
    int exit_code = sqi_open_keyring(&keyring);
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    if (sqi_globals.json)
        exit_code = sqi_print_json(json_pack("{s:o}", "keys", keys_as_json(keyring)));
    else
        print_keys(keyring);
    sq_keyring_free(keyring);
    return exit_code;
}

/* The first primary key, of the channel that was named or of all. */
static bool find_primary(const sq_keyring *keyring, sq_key_info *ret_key)
{
    for (size_t i = 0; sq_keyring_key_info(keyring, i, ret_key) == SQ_OK; i++)
        if (ret_key->state == SQ_KEY_PRIMARY &&
            (!channel || strcmp(ret_key->channel, channel) == 0))
            return true;
    return false;
}

static int tell_check(const sq_keyring *keyring)
{
    sq_key_info primary;
    bool is_locked = sq_keyring_is_locked_in_memory(),
         has_primary = find_primary(keyring, &primary);
    size_t count = sq_keyring_key_count(keyring);
    if (sqi_globals.json)
        return sqi_print_json(json_pack("{s:I, s:s*, s:b}", "keys", (json_int_t)count, "primary",
                                        has_primary ? primary.id : NULL, "locked_in_memory",
                                        is_locked));
    printf("the keyring is sound: %zu %s, %s%s\n", count, count == 1 ? "key" : "keys",
           has_primary ? "primary " : "no primary: it opens and cannot seal",
           has_primary ? primary.id : "");
    printf("keys are %slocked in memory%s\n", is_locked ? "" : "NOT ",
           is_locked ? "" : " and may reach the swap space: raise ulimit -l");
    if (has_primary && age_days(&primary) > PRIMARY_DAYS_MAX)
        printf("the primary key is %" PRId64 " days old: sealq key rotate\n", age_days(&primary));
    return SQI_EXIT_OK;
}

static int run_check(const char *path, const char *id)
{
    (void)path;
    (void)id;
    sq_keyring *keyring;
    int exit_code = sqi_open_keyring(&keyring);
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    exit_code = tell_check(keyring);
    sq_keyring_free(keyring);
    return exit_code;
}

static int run_export(const char *path, const char *id)
{
    (void)path;
    (void)id;
    sq_keyring *keyring;
    if (isatty(STDOUT_FILENO) && !is_sure)
        return sqi_complain(SQI_EXIT_USAGE, "export prints secret keys, and this is a terminal: "
                                            "pipe it, or add --yes");
    int exit_code = sqi_open_keyring(&keyring);
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    int result = sq_keyring_export(keyring, channel, STDOUT_FILENO);
    sq_keyring_free(keyring);
    return result < 0 ? sqi_complain_of(result, NULL) : SQI_EXIT_OK;
}

static int run_import(const char *path, const char *id)
{
    (void)id;
    sq_keyring *keyring;
    if (isatty(STDIN_FILENO))
        return sqi_complain(SQI_EXIT_USAGE, "import reads what sealq key export printed, from "
                                            "standard input: pipe it in");
    int result = sq_keyring_open_fd(STDIN_FILENO, &keyring);
    if (result < 0)
        return sqi_complain_of(result, NULL);
    result = sq_keyring_import(path, keyring);
    size_t count = sq_keyring_key_count(keyring);
    sq_keyring_free(keyring);
    if (result < 0)
        return sqi_complain_of(result, NULL);
    if (sqi_globals.json)
        printf("{\"new\":%d,\"known\":%zu}\n", result, count - (size_t)result);
    else
        printf("%d %s imported, %zu known before\n", result, result == 1 ? "key" : "keys",
               count - (size_t)result);
    return SQI_EXIT_OK;
}

static const struct {
    const char *name;
    subcommand *run;
    bool takes_id, changes_file, takes_channel, takes_comment;
} subcommands[] = {
    {"new", run_new, false, true, false, true},
    {"list", run_list, false, false, false, false},
    {"add", run_add, false, true, false, true},
    {"promote", run_promote, true, true, true, false},
    {"rotate", run_rotate, false, true, false, true},
    {"retire", run_retire, true, true, true, false},
    {"remove", run_remove, true, true, true, false},
    {"export", run_export, false, false, true, false},
    {"import", run_import, false, true, false, false},
    {"check", run_check, false, false, true, false},
};

static int run_subcommand(size_t index, int argument_count, char **arguments)
{
    const char *name = subcommands[index].name, *path = NULL;
    if (subcommands[index].takes_id && argument_count != 1)
        return sqi_complain(SQI_EXIT_USAGE,
                            "key %s takes the id of one key: sealq key list shows "
                            "them",
                            name);
    if (!subcommands[index].takes_id && argument_count != 0)
        return sqi_complain(SQI_EXIT_USAGE,
                            "key %s takes no argument, not %s: see sealq key "
                            "--help",
                            name, arguments[0]);
    if ((channel && !subcommands[index].takes_channel) ||
        (comment && !subcommands[index].takes_comment))
        return sqi_complain(SQI_EXIT_USAGE, "key %s takes no --%s: see sealq key --help", name,
                            channel && !subcommands[index].takes_channel ? "channel" : "comment");
    if (subcommands[index].changes_file && !(path = sqi_keyring_path()))
        return SQI_EXIT_USAGE;
    int exit_code = sqi_check_memory_lock(); /* before there is a key in memory */
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    return subcommands[index].run(path, subcommands[index].takes_id ? arguments[0] : NULL);
}

static int run(int argument_count, char **arguments)
{
    if (argument_count == 0)
        return sqi_complain(SQI_EXIT_USAGE, "key needs to know what: sealq key --help lists it");
    for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++)
        if (strcmp(subcommands[i].name, arguments[0]) == 0)
            return run_subcommand(i, argument_count - 1, arguments + 1);
    return sqi_complain(SQI_EXIT_USAGE, "key %s: no such thing: sealq key --help lists them",
                        arguments[0]);
}

const struct sqi_command sqi_command_key = {
    .name = "key",
    .arguments = "WHAT [ID]",
    .summary = "make, list, rotate and move the keys that seal messages",
    .details = "  new          make a keyring with one key\n"
               "  list         the keys: id, state, age, channel, comment\n"
               "  add          a new key, accepted; for several hosts: add, export, import\n"
               "               everywhere, then promote\n"
               "  promote ID   seal with this key from now on\n"
               "  rotate       add and promote, on one host\n"
               "  retire ID    refuse what this key sealed\n"
               "  remove ID    forget this key; what it sealed can never be opened again\n"
               "  export       print the keys; with --channel those that open it alone\n"
               "  import       merge exported keys from standard input\n"
               "  check        whether the keyring is sound, and locked in memory\n\n"
               "  sealq key export | ssh hostb sealq key import\n",
    .is_basic = true,
    .options = options,
    .run = run,
};
