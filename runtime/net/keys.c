/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/net/keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "runtime/base/assert.h"
#include "runtime/net/endpoint.h"

enum { KEY_BYTES = 32, KEY_CHARS = NET_KEY_TEXT - 1 };

#define SPACES " \t\r"

/* ---- words ---------------------------------------------------------------------------------------------------------------------- */

static const struct {
    enum net_role role;
    const char *name;
} roles[] = {
    {NET_ROLE_JOBMANAGER, "jobmanager"}, {NET_ROLE_TASKMANAGER, "taskmanager"}, {NET_ROLE_CLIENT, "client"}, {NET_ROLE_VIEWER, "viewer"},
    {NET_ROLE_OPERATOR, "operator"},     {NET_ROLE_DEPLOYER, "deployer"},       {NET_ROLE_ADMIN, "admin"},
};
#define N_ROLES (sizeof roles / sizeof roles[0])
#define ROLES_IN_WORDS "jobmanager, taskmanager, client, viewer, operator, deployer, admin"

const char *net_role_name(enum net_role role)
{
    for (size_t i = 0; i < N_ROLES; i++)
        if (roles[i].role == role) return roles[i].name;
    return "?";
}

enum net_role net_role_of_name(const char *name, size_t length)
{
    for (size_t i = 0; i < N_ROLES; i++)
        if (strlen(roles[i].name) == length && memcmp(roles[i].name, name, length) == 0) return roles[i].role;
    return NET_ROLE_NONE;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

bool net_key_name_valid(const char *name, size_t length)
{
    if (length == 0 || length > NET_KEY_NAME_MAX || name[0] == '.') return false;
    for (size_t i = 0; i < length; i++)
        if (!is_name_char(name[i])) return false;
    return true;
}

struct word {
    const char *at;
    size_t length;
};

struct lines {
    const char *at, *end;
    unsigned number; /* of the line that was given last, from 1 */
};

/* text: NULL with length 0. */
static struct lines lines_of(const char *text, size_t length)
{
    const char *at = length > 0 ? text : "";
    return (struct lines){.at = at, .end = at + length};
}

/* The next line that says something, or may. false: no more. */
static bool next_line(struct lines *l, struct word *out)
{
    while (l->at < l->end) {
        const char *end = memchr(l->at, '\n', (size_t)(l->end - l->at));
        *out = (struct word){l->at, (size_t)((end ? end : l->end) - l->at)};
        l->at = end ? end + 1 : l->end;
        l->number++;
        if (out->length > 0 && out->at[0] != '#') return true;
    }
    return false;
}

/* The next word of a line that ends at `end`; its length is 0 when there is none. */
static struct word next_word(const char **at, const char *end)
{
    while (*at < end && memchr(SPACES, **at, strlen(SPACES))) ++*at;
    struct word w = {*at, 0};
    while (*at < end && !memchr(SPACES, **at, strlen(SPACES))) ++*at;
    w.length = (size_t)(*at - w.at);
    return w;
}

static bool is_word(struct word w, const char *text)
{
    return w.length == strlen(text) && memcmp(w.at, text, w.length) == 0;
}

/* Takes a key out of a word. false: it is none. */
static bool take_key(struct word w, char out[static NET_KEY_TEXT])
{
    uint8_t bytes[KEY_BYTES];
    char text[NET_KEY_TEXT];
    if (w.length != KEY_CHARS || memchr(w.at, '\0', w.length)) return false;
    memcpy(text, w.at, KEY_CHARS);
    text[KEY_CHARS] = '\0';
    bool good = zmq_z85_decode(bytes, text) != NULL;
    if (good) memcpy(out, text, sizeof text);
    explicit_bzero(bytes, sizeof bytes);
    explicit_bzero(text, sizeof text);
    return good;
}

/* Keys that everybody knows, for ZeroMQ's manual prints them with their secrets. */
static bool is_published(const char *key)
{
    static const char *const published[] = {
        "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7",
        "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6",
        "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
        "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs",
    };
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++)
        if (strcmp(published[i], key) == 0) return true;
    return false;
}

#define PUBLISHED "this key is printed in ZeroMQ's manual, everybody has its secret: make one with `jobctl cert new`"

/* ---- key pairs ------------------------------------------------------------------------------------------------------------------ */

weir_err net_key_pair_new(struct net_key_pair *out, struct weir_diag *diag)
{
    if (zmq_curve_keypair(out->open, out->secret) == 0) return WEIR_OK;
    return weir_fail(diag, WEIR_E_UNSUPPORTED, "cannot make a key pair: %s: install a libzmq with CURVE", zmq_strerror(errno));
}

void net_key_pair_forget(struct net_key_pair *pair)
{
    explicit_bzero(pair, sizeof *pair);
}

static weir_err read_pair_line(struct net_key_pair *pair, const char *line, const char *end, unsigned number, struct weir_diag *diag)
{
    struct word name = next_word(&line, end), key = next_word(&line, end), more = next_word(&line, end);
    if (name.length == 0) return WEIR_OK;
    char *to = is_word(name, "public") ? pair->open : is_word(name, "secret") ? pair->secret : NULL;
    if (!to) return weir_fail(diag, WEIR_E_ARGUMENT, "line %u is neither \"public KEY\" nor \"secret KEY\"", number);
    if (*to != '\0') return weir_fail(diag, WEIR_E_ARGUMENT, "line %u: the %.*s key is there twice", number, (int)name.length, name.at);
    if (!take_key(key, to) || more.length > 0) return weir_fail(diag, WEIR_E_ARGUMENT, "line %u: a key is 40 characters of Z85", number);
    return WEIR_OK;
}

static weir_err check_pair(const struct net_key_pair *pair, struct weir_diag *diag)
{
    char open[NET_KEY_TEXT];
    if (pair->open[0] == '\0' || pair->secret[0] == '\0')
        return weir_fail(diag, WEIR_E_ARGUMENT, "it has no %s key: make a pair with `jobctl cert new`", *pair->open ? "secret" : "public");
    if (is_published(pair->open) || is_published(pair->secret)) return weir_fail(diag, WEIR_E_ARGUMENT, PUBLISHED);
    if (zmq_curve_public(open, pair->secret) != 0)
        return weir_fail(diag, WEIR_E_UNSUPPORTED, "cannot check the key pair: %s: install a libzmq with CURVE", zmq_strerror(errno));
    if (strcmp(open, pair->open) == 0) return WEIR_OK;
    return weir_fail(diag, WEIR_E_ARGUMENT, "its public key is not that of its secret key: the file was changed, make a new pair");
}

weir_err net_key_pair_parse(struct net_key_pair *out, const char *text, size_t length, struct weir_diag *diag)
{
    struct net_key_pair pair = {0};
    struct lines lines = lines_of(text, length);
    struct word line;
    weir_err err = WEIR_OK;
    if (length > NET_KEY_FILE_MAX) return weir_fail(diag, WEIR_E_ARGUMENT, "a key pair has at most %u bytes", NET_KEY_FILE_MAX);
    while (!err && next_line(&lines, &line)) err = read_pair_line(&pair, line.at, line.at + line.length, lines.number, diag);
    if (!err) err = check_pair(&pair, diag);
    if (!err) *out = pair;
    net_key_pair_forget(&pair);
    return err;
}

void net_key_pair_text(const struct net_key_pair *pair, const char *name, struct buffer *out)
{
    buffer_printf(out, "# weir key pair \"%s\". Whoever has the secret is %s: keep this file to yourself (mode 0600).\n", name, name);
    buffer_printf(out, "public %s\nsecret %s\n", pair->open, pair->secret);
}

/* ---- files ---------------------------------------------------------------------------------------------------------------------- */

/* The whole of an open file. */
static weir_err read_all(int fd, size_t max, struct buffer *out, const char *path, struct weir_diag *diag)
{
    ssize_t n;
    do {
        unsigned char *to = buffer_extend(out, 4096);
        if (!to) return weir_fail(diag, WEIR_E_NOMEM, "out of memory");
        n = read(fd, to, 4096);
        out->len -= 4096 - (n > 0 ? (size_t)n : 0);
        if (n < 0 && errno != EINTR) return weir_fail_errno(diag, errno, "read %s", path);
        if (out->len > max) return weir_fail(diag, WEIR_E_ARGUMENT, "%s has more than %zu bytes", path, max);
    } while (n != 0);
    return WEIR_OK;
}

static weir_err read_file(const char *path, mode_t forbidden, const char *remedy, size_t max, struct buffer *out, struct weir_diag *diag)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe of that name must not hold us up */
    if (fd < 0) return weir_fail_errno(diag, errno, "open %s", path);
    weir_err err = WEIR_OK;
    if (fstat(fd, &st) != 0)
        err = weir_fail_errno(diag, errno, "look at %s", path);
    else if (!S_ISREG(st.st_mode))
        err = weir_fail(diag, WEIR_E_ARGUMENT, "%s is no plain file", path);
    else if (st.st_uid != geteuid() && st.st_uid != 0)
        err = weir_fail(diag, WEIR_E_ARGUMENT, "%s belongs to user %u: it must be this process's user's, or root's", path, st.st_uid);
    else if (st.st_mode & forbidden)
        err = weir_fail(diag, WEIR_E_ARGUMENT, "%s has mode %04o: %s", path, (unsigned)st.st_mode & 07777, remedy);
    if (!err) err = read_all(fd, max, out, path, diag);
    (void)close(fd);
    return err;
}

static void close_secret(struct buffer *b)
{
    if (b->data) explicit_bzero(b->data, b->cap);
    buffer_close(b);
}

weir_err net_key_pair_load(struct net_key_pair *out, const char *path, struct weir_diag *diag)
{
    struct buffer text = {0};
    weir_err err = read_file(path, 077, "others may read or change it; `chmod 600` it", NET_KEY_FILE_MAX, &text, diag);
    if (!err) {
        err = net_key_pair_parse(out, (const char *)text.data, text.len, diag);
        if (err) err = weir_wrap(diag, err, "%s is no key pair", path);
    }
    close_secret(&text);
    return err;
}

static weir_err write_all(int fd, const struct buffer *text, const char *path, struct weir_diag *diag)
{
    for (size_t at = 0; at < text->len;) {
        ssize_t n = write(fd, text->data + at, text->len - at);
        if (n < 0 && errno != EINTR) return weir_fail_errno(diag, errno, "write %s", path);
        if (n > 0) at += (size_t)n;
    }
    return fsync(fd) == 0 ? WEIR_OK : weir_fail_errno(diag, errno, "write %s", path);
}

weir_err net_key_pair_save(const struct net_key_pair *pair, const char *name, const char *path, struct weir_diag *diag)
{
    struct buffer text = {0};
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == EEXIST)
        return weir_fail(diag, WEIR_E_EXISTS, "%s is there already: take another name, or remove it if nobody uses its key", path);
    if (fd < 0) return weir_fail_errno(diag, errno, "make %s", path);
    net_key_pair_text(pair, name, &text);
    weir_err err = text.err ? weir_fail(diag, text.err, "out of memory") : write_all(fd, &text, path, diag);
    if (close(fd) != 0 && !err) err = weir_fail_errno(diag, errno, "write %s", path);
    if (err) (void)unlink(path);
    close_secret(&text);
    return err;
}

/* ---- known keys ----------------------------------------------------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct net_known_key *)a)->key, ((const struct net_known_key *)b)->key);
}

static struct net_known_key *grow(struct net_known_keys *list)
{
    if (list->n == list->cap) {
        uint32_t cap = list->cap ? 2 * list->cap : 16;
        struct net_known_key *at = realloc(list->at, cap * sizeof *at);
        if (!at) return NULL;
        list->at = at;
        list->cap = cap;
    }
    return &list->at[list->n];
}

static weir_err take_endpoint(struct net_known_key *key, struct word w, struct weir_diag *diag)
{
    struct endpoint e;
    char text[NET_ENDPOINT_MAX];
    if (key->role != NET_ROLE_JOBMANAGER)
        return weir_fail(diag, WEIR_E_ARGUMENT, "only JobManagers answer somewhere: \"%.*s\" is too much", (int)w.length, w.at);
    if (key->n_endpoints == NET_KEY_ENDPOINTS_MAX)
        return weir_fail(diag, WEIR_E_ARGUMENT, "more than %u endpoints of one key: tcp://HOST:* stands for every port",
                         NET_KEY_ENDPOINTS_MAX);
    if (w.length >= sizeof text || memchr(w.at, '\0', w.length))
        return weir_fail(diag, WEIR_E_ARGUMENT, "an endpoint has at most %zu bytes", sizeof text - 1);
    memcpy(text, w.at, w.length);
    text[w.length] = '\0';
    weir_err err = endpoint_parse(&e, text, diag);
    if (!err) endpoint_text(&e, key->endpoints[key->n_endpoints++]);
    return err;
}

static weir_err read_known(struct net_known_key *key, const char *at, const char *end, struct weir_diag *diag)
{
    struct word role = next_word(&at, end), name = next_word(&at, end), text = next_word(&at, end), w;
    memset(key, 0, sizeof *key);
    key->role = net_role_of_name(role.at, role.length);
    if (!key->role)
        return weir_fail(diag, WEIR_E_ARGUMENT, "\"%.*s\" is no role: " ROLES_IN_WORDS, (int)(role.length < 40 ? role.length : 40),
                         role.at);
    if (!net_key_name_valid(name.at, name.length))
        return weir_fail(diag, WEIR_E_ARGUMENT, "behind the role stands a name of 1 to %u letters, digits, '-', '_', '.'",
                         NET_KEY_NAME_MAX);
    memcpy(key->name, name.at, name.length);
    if (!take_key(text, key->key))
        return weir_fail(diag, WEIR_E_ARGUMENT, "behind the name stands a public key, 40 characters of Z85: copy the line of NAME.pub");
    if (is_published(key->key)) return weir_fail(diag, WEIR_E_ARGUMENT, PUBLISHED);
    weir_err err = WEIR_OK;
    while (!err && (w = next_word(&at, end)).length > 0) err = take_endpoint(key, w, diag);
    return err;
}

static const char *shared_endpoint(const struct net_known_key *a, const struct net_known_key *b)
{
    for (uint32_t i = 0; i < a->n_endpoints; i++)
        for (uint32_t j = 0; j < b->n_endpoints; j++)
            if (strcmp(a->endpoints[i], b->endpoints[j]) == 0) return a->endpoints[i];
    return NULL;
}

static weir_err compare_with_others(const struct net_known_keys *list, const struct net_known_key *key, struct weir_diag *diag)
{
    for (uint32_t i = 0; i < list->n; i++) {
        const struct net_known_key *other = &list->at[i];
        const char *shared = shared_endpoint(key, other);
        if (strcmp(other->key, key->key) == 0)
            return weir_fail(diag, WEIR_E_ARGUMENT, "the key of \"%s\" is there already, as \"%s\": each key has one line", key->name,
                             other->name);
        if (shared)
            return weir_fail(diag, WEIR_E_ARGUMENT, "\"%s\" and \"%s\" cannot both answer at %s: strike it out of one line", other->name,
                             key->name, shared);
    }
    return WEIR_OK;
}

static weir_err add_known(struct net_known_keys *list, const char *line, const char *end, struct weir_diag *diag)
{
    const char *at = line;
    if (next_word(&at, end).length == 0) return WEIR_OK;
    if (list->n == NET_KEYS_MAX) return weir_fail(diag, WEIR_E_LIMIT, "more than %u keys", NET_KEYS_MAX);
    struct net_known_key *key = grow(list);
    if (!key) return weir_fail(diag, WEIR_E_NOMEM, "out of memory");
    weir_err err = read_known(key, line, end, diag);
    if (err) return err;
    err = compare_with_others(list, key, diag);
    if (!err) list->n++;
    return err;
}

weir_err net_known_keys_parse(struct net_known_keys *list, const char *text, size_t length, const char *source, struct weir_diag *diag)
{
    struct lines lines = lines_of(text, length);
    struct word line;
    weir_err err = WEIR_OK;
    while (!err && next_line(&lines, &line)) err = add_known(list, line.at, line.at + line.length, diag);
    if (list->n > 0) qsort(list->at, list->n, sizeof *list->at, compare_keys);
    return err ? weir_wrap(diag, err, "%s:%u", source, lines.number) : WEIR_OK;
}

void net_known_key_text(const struct net_known_key *key, struct buffer *out)
{
    buffer_printf(out, "%s %s %s", net_role_name(key->role), key->name, key->key);
    for (uint32_t i = 0; i < key->n_endpoints; i++) buffer_printf(out, " %s", key->endpoints[i]);
    buffer_str(out, "\n");
}

static weir_err load_file(struct net_known_keys *list, const char *path, struct weir_diag *diag)
{
    struct buffer text = {0};
    weir_err err = read_file(path, 022, "others may change who comes in; `chmod go-w` it", NET_KEYS_FILE_MAX, &text, diag);
    if (!err) err = net_known_keys_parse(list, (const char *)text.data, text.len, path, diag);
    buffer_close(&text);
    return err;
}

static int is_list(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > 4 && strcmp(entry->d_name + length - 4, ".pub") == 0;
}

static weir_err load_folder(struct net_known_keys *list, const char *path, const struct stat *st, struct weir_diag *diag)
{
    char file[PATH_MAX];
    struct dirent **names = NULL;
    if (st->st_mode & 022)
        return weir_fail(diag, WEIR_E_ARGUMENT, "folder %s has mode %04o: others may change who comes in; `chmod go-w` it", path,
                         (unsigned)st->st_mode & 07777);
    if (st->st_uid != geteuid() && st->st_uid != 0)
        return weir_fail(diag, WEIR_E_ARGUMENT, "folder %s belongs to user %u: it must be this process's user's, or root's", path,
                         st->st_uid);
    int n = scandir(path, &names, is_list, alphasort);
    if (n < 0) return weir_fail_errno(diag, errno, "read %s", path);
    weir_err err = WEIR_OK;
    if (n > (int)NET_KEYS_FILES_MAX) err = weir_fail(diag, WEIR_E_LIMIT, "%s has more than %u files", path, NET_KEYS_FILES_MAX);
    for (int i = 0; i < n; i++) {
        if (!err && snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name) >= (int)sizeof file)
            err = weir_fail(diag, WEIR_E_LIMIT, "the path of %s is too long", names[i]->d_name);
        if (!err) err = load_file(list, file, diag);
        free(names[i]);
    }
    free(names);
    return err;
}

weir_err net_known_keys_load(struct net_known_keys *out, const char *path, struct weir_diag *diag)
{
    struct net_known_keys list = {0};
    struct stat st;
    if (stat(path, &st) != 0) return weir_fail_errno(diag, errno, "find %s", path);
    weir_err err = S_ISDIR(st.st_mode) ? load_folder(&list, path, &st, diag) : load_file(&list, path, diag);
    if (!err && list.n == 0) err = weir_fail(diag, WEIR_E_ARGUMENT, "%s holds no keys: put lines of NAME.pub into it", path);
    if (err)
        net_known_keys_close(&list);
    else
        *out = list;
    return err;
}

void net_known_keys_close(struct net_known_keys *list)
{
    free(list->at);
    *list = (struct net_known_keys){0};
}

const struct net_known_key *net_known_keys_find(const struct net_known_keys *list, const char *key)
{
    uint32_t low = 0, high = list->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(key, list->at[middle].key);
        if (order == 0) return &list->at[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* "tcp://HOST:*" and "tcp://HOST:6123". */
static bool is_any_port_of(const char *pattern, const char *endpoint)
{
    size_t length = strlen(pattern);
    return length > 1 && pattern[length - 1] == '*' && strncmp(pattern, "tcp://", 6) == 0 && strncmp(pattern, endpoint, length - 1) == 0 &&
           !strchr(endpoint + length - 1, ':');
}

const struct net_known_key *net_known_keys_at(const struct net_known_keys *list, const char *endpoint)
{
    const struct net_known_key *any = NULL;
    for (uint32_t i = 0; i < list->n; i++) {
        const struct net_known_key *k = &list->at[i];
        for (uint32_t j = 0; j < k->n_endpoints; j++) {
            if (strcmp(k->endpoints[j], endpoint) == 0) return k;
            if (is_any_port_of(k->endpoints[j], endpoint)) any = k;
        }
    }
    return any;
}
