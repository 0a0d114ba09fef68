/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jobctl/coord.h"

#include "api/jobctl/exit.h"
#include "api/jobctl/interrupt.h"
#include "api/jobctl/session.h"
#include "weir/coord_recipes.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { ACL_BYTES = 20000, LOOK_MS = 100 /* pause between two looks at Ctrl-C */ };

struct tree {
    const struct ctl_arguments *args;
    struct weir_coord *coord;
};

/* ---- what is said -------------------------------------------------------------------------------------------------------------- */

static int told(const struct tree *t, enum weir_coord_err err)
{
    if (err == WEIR_COORD_OK) return CTL_EXIT_OK;
    session_complain("%s %s: %s: %s", t->args->verb, t->args->subject, weir_coord_err_name(err), weir_coord_err_words(err));
    if (err != WEIR_COORD_OPERATION_TIMEOUT) return CTL_EXIT_REFUSED;
    quorum_explain(t->args);
    return CTL_EXIT_UNREACHABLE;
}

/* Data as text where it is some, else in hexadecimal digits. */
static json_t *data_json(struct weir_bytes data)
{
    if (!data.data) return json_null();
    json_t *text = json_stringn((const char *)data.data, data.length);
    if (text) return text;
    char *hex = malloc(2u * data.length + 1);
    if (!hex) return json_null();
    for (uint32_t i = 0; i < data.length; i++) (void)snprintf(hex + 2 * (size_t)i, 3, "%02x", ((const uint8_t *)data.data)[i]);
    text = json_pack("{s:s}", "hex", hex);
    free(hex);
    return text;
}

static json_t *zxid_json(struct weir_coord_zxid z)
{
    char text[48];
    (void)snprintf(text, sizeof text, "%" PRIu64 ":%" PRIu64, z.epoch, z.counter);
    return json_string(text);
}

static json_t *stat_json(const struct weir_coord_stat *s)
{
    static const char *const kinds[] = {"persistent", "ephemeral", "container", "ttl"};
    return json_pack("{s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "kind", kinds[s->kind & 3], "czxid",
                     zxid_json(s->czxid), "mzxid", zxid_json(s->mzxid), "pzxid", zxid_json(s->pzxid), "ctime", (json_int_t)s->ctime_ms,
                     "mtime", (json_int_t)s->mtime_ms, "version", (json_int_t)s->version, "cversion", (json_int_t)s->cversion, "aversion",
                     (json_int_t)s->aversion, "owner", (json_int_t)s->owner, "ttl", (json_int_t)s->ttl_ms, "data-length",
                     (json_int_t)s->data_length, "children", (json_int_t)s->n_children);
}

/* Takes the document. */
static int print_json(json_t *doc)
{
    if (!doc) return CTL_EXIT_FAILED;
    (void)json_dumpf(doc, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    (void)putchar('\n');
    json_decref(doc);
    return CTL_EXIT_OK;
}

static int print_stat(const struct tree *t, const struct weir_coord_stat *s)
{
    json_t *doc = stat_json(s);
    const char *key;
    json_t *value;
    if (t->args->format == CTL_JSON) return print_json(doc);
    json_object_foreach(doc, key, value)
    {
        if (json_is_string(value))
            printf("%-12s %s\n", key, json_string_value(value));
        else
            printf("%-12s %" JSON_INTEGER_FORMAT "\n", key, json_integer_value(value));
    }
    json_decref(doc);
    return CTL_EXIT_OK;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------------- */

static int list(const struct tree *t)
{
    struct weir_coord_read read = {.type = WEIR_COORD_GET_CHILDREN, .path = t->args->subject};
    char after[256] = "";
    json_t *names = json_array();
    bool more = true;
    int code = CTL_EXIT_OK;
    while (more && !code) {
        struct weir_coord_reply reply;
        read.after = after;
        code = told(t, weir_coord_read(t->coord, &read, 1, t->args->linear, &reply));
        more = !code && reply.results[0].more && reply.results[0].n_names > 0;
        for (uint32_t i = 0; !code && i < reply.results[0].n_names; i++) {
            const char *name = reply.results[0].names[i];
            if (t->args->format == CTL_JSON)
                (void)json_array_append_new(names, json_string(name));
            else
                puts(name);
            (void)snprintf(after, sizeof after, "%s", name);
        }
        weir_coord_reply_close(&reply);
    }
    if (!code && t->args->format == CTL_JSON) return print_json(names);
    json_decref(names);
    return code;
}

static int get(const struct tree *t)
{
    struct weir_coord_reply reply;
    struct weir_coord_read read = {.type = WEIR_COORD_GET, .path = t->args->subject};
    int code = told(t, weir_coord_read(t->coord, &read, 1, t->args->linear, &reply));
    const struct weir_coord_result *r = reply.results;
    if (!code && t->args->format == CTL_JSON)
        code = print_json(json_pack("{s:o, s:o}", "data", data_json(r->data), "stat", stat_json(&r->stat)));
    else if (!code && r->data.length > 0)
        printf("%.*s%s", (int)r->data.length, (const char *)r->data.data, isatty(STDOUT_FILENO) ? "\n" : "");
    weir_coord_reply_close(&reply);
    return code;
}

static int show_stat(const struct tree *t)
{
    struct weir_coord_reply reply;
    struct weir_coord_read read = {.type = WEIR_COORD_EXISTS, .path = t->args->subject};
    int code = told(t, weir_coord_read(t->coord, &read, 1, t->args->linear, &reply));
    if (!code) code = print_stat(t, &reply.results[0].stat);
    weir_coord_reply_close(&reply);
    return code;
}

static void on_members(void *arg, enum weir_coord_err err, const struct weir_coord_member *members, uint32_t n)
{
    const struct tree *t = arg;
    json_t *doc = json_array();
    for (uint32_t i = 0; !err && i < n; i++) {
        if (t->args->format == CTL_JSON)
            (void)json_array_append_new(doc, json_pack("{s:s, s:o, s:o}", "name", members[i].name, "data", data_json(members[i].data),
                                                       "token", zxid_json(members[i].token)));
        else
            printf("%s\t%.*s\n", members[i].name, (int)members[i].data.length,
                   members[i].data.data ? (const char *)members[i].data.data : "");
    }
    if (!err && t->args->format == CTL_JSON)
        (void)print_json(doc);
    else
        json_decref(doc);
}

static int members(struct tree *t)
{
    struct weir_coord_group *group = NULL;
    int code = told(t, weir_coord_exists(t->coord, t->args->subject, NULL));
    if (!code) code = told(t, weir_coord_group_watch(&group, t->coord, t->args->subject, on_members, t));
    weir_coord_group_unwatch(&group);
    return code;
}

static void on_event(void *arg, const struct weir_coord_event *event)
{
    static const char *const names[] = {"", "created", "deleted", "changed", "children", "resync", "ended"};
    (void)arg;
    printf("%s\t%s\t%" PRIu64 ":%" PRIu64 "\n", names[event->type], event->path, event->zxid.epoch, event->zxid.counter);
    (void)fflush(stdout);
}

static int watch(struct tree *t)
{
    int code = told(t, weir_coord_watch(t->coord, t->args->subject, t->args->recursive, on_event, NULL, NULL));
    while (!code && !interrupt_pending()) {
        if (weir_coord_state(t->coord) == WEIR_COORD_EXPIRED) return told(t, WEIR_COORD_SESSION_EXPIRED);
        interrupt_pause(LOOK_MS);
    }
    return code ? code : CTL_EXIT_INTERRUPTED;
}

/* ---- writing ------------------------------------------------------------------------------------------------------------------- */

static int write_one(const struct tree *t, struct weir_coord_op op)
{
    struct weir_coord_reply reply;
    op.path = t->args->subject;
    int code = told(t, weir_coord_write(t->coord, &op, 1, &reply));
    if (!code && op.type == WEIR_COORD_CREATE) puts(reply.results[0].path);
    weir_coord_reply_close(&reply);
    return code;
}

static struct weir_bytes value_of(const struct ctl_arguments *args)
{
    const char *value = args->value ? args->value : "";
    return (struct weir_bytes){(const uint8_t *)value, (uint32_t)strlen(value)};
}

static int parse_acl(const char *text, void *out, struct weir_bytes *acl)
{
    enum weir_coord_err err = weir_coord_acl_parse(text, out, ACL_BYTES, &acl->length);
    acl->data = out;
    if (!err) return CTL_EXIT_OK;
    session_complain("'%s' is no ACL: entries SCHEME:ID:PERMISSIONS with commas between them, permissions of c d r w a, as in "
                     "world:anyone:r,auth::cdrwa",
                     text);
    return CTL_EXIT_USAGE;
}

static int create(const struct tree *t)
{
    uint8_t acl[ACL_BYTES];
    const struct ctl_arguments *a = t->args;
    struct weir_coord_op op = {.type = WEIR_COORD_CREATE, .data = value_of(a), .ttl_ms = a->ttl_ms};
    op.kind = a->ttl_ms ? WEIR_COORD_TTL : a->container ? WEIR_COORD_CONTAINER : WEIR_COORD_PERSISTENT;
    if (a->sequential) op.kind |= WEIR_COORD_SEQUENTIAL;
    int code = a->acl ? parse_acl(a->acl, acl, &op.acl) : CTL_EXIT_OK;
    if (!code && a->parents) code = told(t, weir_coord_create_parents(t->coord, a->subject));
    return code ? code : write_one(t, op);
}

static enum weir_coord_err remove_tree(struct weir_coord *coord, const char *path)
{
    struct weir_coord_reply reply;
    char below[WEIR_COORD_NODE_MAX + 256];
    enum weir_coord_err err = weir_coord_children(coord, path, &reply);
    for (uint32_t i = 0; !err && i < reply.results[0].n_names; i++) {
        (void)snprintf(below, sizeof below, "%s/%s", path[1] ? path : "", reply.results[0].names[i]);
        err = remove_tree(coord, below);
        if (err == WEIR_COORD_NO_NODE) err = WEIR_COORD_OK; /* somebody else removed it */
    }
    weir_coord_reply_close(&reply);
    if (!err) err = weir_coord_delete(coord, path, WEIR_COORD_ANY_VERSION);
    return err == WEIR_COORD_NOT_EMPTY ? remove_tree(coord, path) : err; /* more than a page of children, or new ones */
}

static int remove_node(const struct tree *t)
{
    if (t->args->recursive) return told(t, remove_tree(t->coord, t->args->subject));
    return write_one(t, (struct weir_coord_op){.type = WEIR_COORD_DELETE, .version = t->args->version});
}

static int print_acl(const struct tree *t, struct weir_bytes acl)
{
    static const char letters[] = "rwcda";
    struct weir_coord_acl_entry e;
    json_t *doc = json_array();
    uint32_t at = 0;
    while (weir_coord_acl_next(acl, &at, &e)) {
        char permissions[8] = "", line[512];
        for (unsigned i = 0, n = 0; i < 5; i++)
            if (e.permissions & 1u << i) permissions[n++] = letters[i];
        (void)snprintf(line, sizeof line, "%s:%s:%s", e.scheme, e.id, permissions);
        if (t->args->format == CTL_JSON)
            (void)json_array_append_new(doc, json_string(line));
        else
            puts(line);
    }
    if (t->args->format == CTL_JSON) return print_json(doc);
    json_decref(doc);
    return CTL_EXIT_OK;
}

static int acl(const struct tree *t)
{
    uint8_t bytes[ACL_BYTES];
    struct weir_coord_op op = {.type = WEIR_COORD_SET_ACL, .version = t->args->version};
    struct weir_coord_read read = {.type = WEIR_COORD_GET_ACL, .path = t->args->subject};
    struct weir_coord_reply reply;
    if (t->args->value) {
        int code = parse_acl(t->args->value, bytes, &op.acl);
        return code ? code : write_one(t, op);
    }
    int code = told(t, weir_coord_read(t->coord, &read, 1, t->args->linear, &reply));
    if (!code) code = print_acl(t, reply.results[0].data);
    weir_coord_reply_close(&reply);
    return code;
}

/* ---- lock ---------------------------------------------------------------------------------------------------------------------- */

static int start_program(const struct tree *t, struct weir_coord_zxid token, pid_t *pid)
{
    char text[48];
    (void)snprintf(text, sizeof text, "%" PRIu64 ":%" PRIu64, token.epoch, token.counter);
    (void)setenv("WEIR_LOCK_TOKEN", text, 1);
    int failed = posix_spawnp(pid, t->args->job_args[0], NULL, NULL, t->args->job_args, environ);
    if (failed == 0) return CTL_EXIT_OK;
    session_complain("cannot run %s: %s", t->args->job_args[0], strerror(failed));
    return CTL_EXIT_FAILED;
}

/* Until the program has ended; when the lock is lost, or at Ctrl-C, it is told to. */
static int attend_program(const struct tree *t, struct weir_coord_claim *claim, pid_t pid)
{
    int status;
    bool told_to_end = false;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        bool held = weir_coord_claim_held(claim, NULL);
        if ((!held || interrupt_pending()) && !told_to_end) {
            if (!held)
                session_complain("lock %s: it is no longer certain that the lock is held; the program is told to end", t->args->subject);
            (void)kill(pid, SIGTERM);
            told_to_end = true;
        }
        interrupt_pause(LOOK_MS);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int lock(const struct tree *t)
{
    struct weir_coord_claim *claim = NULL;
    struct weir_coord_zxid token;
    pid_t pid;
    enum weir_coord_err err =
        weir_coord_claim_enter(&claim, t->coord, t->args->subject, WEIR_COORD_EXCLUSIVE, (struct weir_bytes){0}, NULL, NULL);
    if (!err) err = WEIR_COORD_OPERATION_TIMEOUT;
    while (err == WEIR_COORD_OPERATION_TIMEOUT && claim && !interrupt_pending()) err = weir_coord_claim_wait(claim, LOOK_MS);
    int code = interrupt_pending() ? CTL_EXIT_INTERRUPTED : told(t, err);
    if (!code) {
        (void)weir_coord_claim_held(claim, &token);
        code = start_program(t, token, &pid);
        if (!code) code = attend_program(t, claim, pid);
    }
    weir_coord_claim_leave(&claim);
    return code;
}

/* ---- the command --------------------------------------------------------------------------------------------------------------- */

enum verb { LS, GET, SET, CREATE, RM, STAT, WATCH, ACL, LOCK, MEMBERS, VERBS };

static const struct {
    const char *name, *operands;
    unsigned min, max; /* operands behind the verb */
} verbs[VERBS] = {
    [LS] = {"ls", "PATH", 1, 1},
    [GET] = {"get", "PATH", 1, 1},
    [SET] = {"set", "PATH DATA", 2, 2},
    [CREATE] = {"create", "PATH [DATA]", 1, 2},
    [RM] = {"rm", "PATH", 1, 1},
    [STAT] = {"stat", "PATH", 1, 1},
    [WATCH] = {"watch", "PATH", 1, 1},
    [ACL] = {"acl", "PATH [ACL]", 1, 2},
    [LOCK] = {"lock", "FOLDER -- PROGRAM [ARGUMENT...]", 1, 1},
    [MEMBERS] = {"members", "FOLDER", 1, 1},
};

static enum verb find_verb(const char *name)
{
    enum verb v = LS;
    while (v < VERBS && strcmp(verbs[v].name, name) != 0) v++;
    return v;
}

static weir_err check_servers(struct ctl_arguments *args, struct weir_diag *diag)
{
    const char *environment = getenv(CTL_COORD_ENV);
    if (!args->servers && environment && *environment) args->servers = environment;
    if (args->servers) return WEIR_OK;
    return weir_fail(
        diag, WEIR_E_ARGUMENT,
        "which servers? Give the endpoints for clients of the peers, with commas between them: --servers tcp://HOST:PORT,... or "
        "in $" CTL_COORD_ENV "; a JobManager's log says its own (\"coordinating\", clients=)");
}

static weir_err check_quorum(struct ctl_arguments *args, const char *const *operands, unsigned n, struct weir_diag *diag)
{
    args->verb = n ? operands[0] : NULL;
    args->value = n > 1 ? operands[1] : NULL;
    bool fits = n == 0 || (n == 2 && (strcmp(args->verb, "add") == 0 || strcmp(args->verb, "remove") == 0));
    if (!fits) return weir_fail(diag, WEIR_E_ARGUMENT, "the use is `jobctl quorum [add ID=ADDRESS | remove ID]`");
    return check_servers(args, diag);
}

weir_err coord_check(struct ctl_arguments *args, const char *const *operands, unsigned n, struct weir_diag *diag)
{
    if (args->command == CTL_QUORUM) return check_quorum(args, operands, n, diag);
    enum verb verb = find_verb(operands[0]);
    if (verb == VERBS)
        return weir_fail(diag, WEIR_E_ARGUMENT,
                         "cannot '%s' in the tree: ls, get, set, create, rm, stat, watch, acl, lock and members are there", operands[0]);
    if (n - 1 < verbs[verb].min || n - 1 > verbs[verb].max || (verb == LOCK) != (args->n_job_args > 0))
        return weir_fail(diag, WEIR_E_ARGUMENT, "the use is `jobctl coord %s %s`", verbs[verb].name, verbs[verb].operands);
    args->verb = operands[0];
    args->subject = operands[1];
    args->value = n > 2 ? operands[2] : NULL;
    if (args->subject[0] != '/')
        return weir_fail(diag, WEIR_E_ARGUMENT, "'%s' is no path of the tree: paths begin with a slash", args->subject);
    return check_servers(args, diag);
}

static int perform(struct tree *t)
{
    const struct ctl_arguments *a = t->args;
    switch (find_verb(a->verb)) {
    case LS: return list(t);
    case GET: return get(t);
    case SET: return write_one(t, (struct weir_coord_op){.type = WEIR_COORD_SET, .data = value_of(a), .version = a->version});
    case CREATE: return create(t);
    case RM: return remove_node(t);
    case STAT: return show_stat(t);
    case WATCH: return watch(t);
    case ACL: return acl(t);
    case LOCK: return lock(t);
    default: return members(t);
    }
}

int coord_command(const struct ctl_arguments *args)
{
    struct tree t = {.args = args};
    struct weir_diag diag;
    struct weir_coord_config config = {.servers = args->servers, .request_timeout_ms = (uint32_t)args->timeout_ms};
    if (weir_coord_open(&t.coord, &config, &diag)) {
        session_complain("%s", diag.text);
        return CTL_EXIT_USAGE;
    }
    int code = args->auth ? told(&t, weir_coord_add_auth(t.coord, args->auth)) : CTL_EXIT_OK;
    if (!code) code = perform(&t);
    weir_coord_close(&t.coord);
    return code;
}
