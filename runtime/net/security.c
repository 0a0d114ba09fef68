/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/net/security.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/id.h"
#include "runtime/base/log.h"
#include "runtime/net/curve.h"
#include "runtime/net/endpoint.h"

#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93 /* a draft in the header of libzmq 4.3, there in every build of it; curve_bind makes sure */
#endif

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define ZAP_VERSION "1.0"
#define DOMAIN_PREFIX "weir-roles-" /* and the roles in hexadecimal */

enum { ZAP_PARTS = 7, ZAP_PART_MAX = 256, KEY_BYTES = 32, DOMAIN_MAX = 32 };

/* What the list's file was when it was read. */
struct version {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

/* Of the process. Written by net_secure, before there are other threads, but for what the mutex guards. */
static struct {
    struct net_key_pair own;
    char path[4096]; /* of the list */
    pthread_t handler;
    struct net_key_pair stranger; /* of the self-test */
    bool handles;                 /* the handler runs */
    atomic_bool on;

    pthread_mutex_t mutex; /* of what follows */
    struct net_known_keys known;
    struct version version;
    int64_t looked_ms;
} self = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- the list ------------------------------------------------------------------------------------------------------------------- */

static bool version_of(const char *path, struct version *out)
{
    struct stat st;
    if (stat(path, &st) != 0) return false;
    memset(out, 0, sizeof *out);
    *out = (struct version){.device = st.st_dev, .inode = st.st_ino, .size = st.st_size, .changed = st.st_mtim};
    return true;
}

static bool same_version(const struct version *a, const struct version *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

static void read_again(const struct version *version)
{
    struct net_known_keys list = {0};
    struct weir_diag diag = {0};
    self.version = *version; /* a bad list is told once */
    if (net_known_keys_load(&list, self.path, &diag)) {
        log_error("the list of known keys is not taken, the former one holds", " reason=\"%s\"", diag.text);
        return;
    }
    log_info("the list of known keys was read again", " keys=%" PRIu32, list.n);
    net_known_keys_close(&self.known);
    self.known = list;
}

/* With the mutex. true: the list is another one now. */
static bool look(bool at_once)
{
    struct version now;
    int64_t now_ms = clock_mono_ms();
    if (!at_once && now_ms < self.looked_ms + NET_KEYS_LOOK_MS) return false;
    self.looked_ms = now_ms;
    if (!version_of(self.path, &now) || same_version(&now, &self.version)) return false;
    read_again(&now);
    return true;
}

/* With the mutex. What is not known may have come a moment ago. */
static const struct net_known_key *find_now(const char *key)
{
    (void)look(false);
    const struct net_known_key *k = net_known_keys_find(&self.known, key);
    return k || !look(true) ? k : net_known_keys_find(&self.known, key);
}

static const struct net_known_key *find_at_now(const char *endpoint)
{
    (void)look(false);
    const struct net_known_key *k = net_known_keys_at(&self.known, endpoint);
    return k || !look(true) ? k : net_known_keys_at(&self.known, endpoint);
}

/* Copies what is known of a key. */
static bool find(const char *key, enum net_role *role, char name[static NET_KEY_NAME_MAX + 1])
{
    (void)pthread_mutex_lock(&self.mutex);
    const struct net_known_key *k = find_now(key);
    if (k) {
        *role = k->role;
        memcpy(name, k->name, NET_KEY_NAME_MAX + 1);
    }
    (void)pthread_mutex_unlock(&self.mutex);
    return k != NULL;
}

bool net_is_secured(void)
{
    return atomic_load(&self.on);
}

const char *net_own_key(void)
{
    return net_is_secured() ? self.own.open : "";
}

enum net_role net_role_of(const char *key)
{
    enum net_role role;
    char name[NET_KEY_NAME_MAX + 1];
    return net_is_secured() && find(key, &role, name) ? role : NET_ROLE_NONE;
}

bool net_name_of(const char *key, char out[static NET_KEY_NAME_MAX + 1])
{
    enum net_role role;
    return net_is_secured() && find(key, &role, out);
}

/* ---- the handler: who comes in ----------------------------------------------------------------------------------------------------- */

/* One request as it came: version, request id, domain, address, identity, mechanism, key. */
struct zap {
    uint32_t n;
    struct {
        size_t length;
        unsigned char bytes[ZAP_PART_MAX];
    } part[ZAP_PARTS];
};

static bool part_is(const struct zap *z, uint32_t i, const char *text)
{
    return z->part[i].length == strlen(text) && memcmp(z->part[i].bytes, text, z->part[i].length) == 0;
}

/* The roles that a domain names; 0: it is none of ours. */
static uint32_t roles_of_domain(const struct zap *z)
{
    char text[DOMAIN_MAX], *end;
    size_t prefix = strlen(DOMAIN_PREFIX), length = z->part[2].length;
    if (length <= prefix || length >= sizeof text) return 0;
    memcpy(text, z->part[2].bytes, length);
    text[length] = '\0';
    unsigned long roles = strncmp(text, DOMAIN_PREFIX, prefix) == 0 ? strtoul(text + prefix, &end, 16) : 0;
    return roles > 0 && *end == '\0' && roles <= UINT32_MAX ? (uint32_t)roles : 0;
}

/* Whoever knocks as fast as he can fills no disk: a line in NET_REFUSALS_LOG_MS. Thread: the handler. */
static void tell_refused(const struct zap *z, const char *key, const char *name, enum net_role role)
{
    static int64_t next_ms = INT64_MIN;
    static uint64_t untold;
    int64_t now_ms = clock_mono_ms();
    if (strcmp(key, self.stranger.open) == 0) return;
    untold++;
    if (now_ms < next_ms) return;
    next_ms = now_ms + NET_REFUSALS_LOG_MS;
    int length = (int)z->part[3].length;
    const char *from = (const char *)z->part[3].bytes;
    if (role)
        log_warn("a key was refused: its role may not come to this endpoint", " name=%s role=%s from=%.*s refused=%" PRIu64, name,
                 net_role_name(role), length, from, untold);
    else
        log_warn("an unknown key was refused", " key=\"%s\" from=%.*s refused=%" PRIu64, key, length, from, untold);
    untold = 0;
}

/* Fills `key`, as text, when it may come in. */
static bool admits(const struct zap *z, char key[static NET_KEY_TEXT])
{
    enum net_role role = NET_ROLE_NONE;
    char name[NET_KEY_NAME_MAX + 1];
    if (z->n != ZAP_PARTS || !part_is(z, 0, ZAP_VERSION) || !part_is(z, 5, "CURVE") || z->part[6].length != KEY_BYTES) return false;
    if (!zmq_z85_encode(key, z->part[6].bytes, KEY_BYTES)) return false;
    if (find(key, &role, name) && (role & roles_of_domain(z))) return true;
    tell_refused(z, key, name, role);
    return false;
}

/* false: the context has ended. */
static bool receive_zap(void *socket, struct zap *z)
{
    z->n = 0;
    for (int more = 1; more != 0;) {
        unsigned char bytes[ZAP_PART_MAX];
        size_t size = sizeof more;
        int length = zmq_recv(socket, bytes, sizeof bytes, 0);
        if (length < 0 && errno == EINTR) continue;
        if (length < 0 || zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) != 0) return false;
        bool fits = length <= ZAP_PART_MAX && z->n < ZAP_PARTS;
        if (fits) {
            z->part[z->n].length = (size_t)length;
            memcpy(z->part[z->n].bytes, bytes, (size_t)length);
        }
        z->n = fits ? z->n + 1 : ZAP_PARTS + 1; /* too much of anything: refused */
    }
    return true;
}

static bool send_text(void *socket, const void *bytes, size_t length, int more)
{
    int sent;
    do sent = zmq_send(socket, bytes, length, more ? ZMQ_SNDMORE : 0);
    while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

static bool answer_zap(void *socket, const struct zap *z)
{
    char key[NET_KEY_TEXT] = "";
    bool in = admits(z, key);
    const char *status = in ? "200" : "400", *text = in ? "OK" : "this key is not known here";
    return send_text(socket, ZAP_VERSION, strlen(ZAP_VERSION), 1) &&
           send_text(socket, z->part[1].bytes, z->n > 1 && z->n <= ZAP_PARTS ? z->part[1].length : 0, 1) &&
           send_text(socket, status, 3, 1) && send_text(socket, text, strlen(text), 1) && send_text(socket, key, in ? strlen(key) : 0, 1) &&
           send_text(socket, "", 0, 0);
}

static void *handle(void *socket)
{
    struct zap z;
    (void)pthread_setname_np(pthread_self(), "keys");
    while (receive_zap(socket, &z) && answer_zap(socket, &z)) continue;
    (void)zmq_close(socket);
    return NULL;
}

static weir_err start_handler(struct weir_diag *diag)
{
    void *socket = zmq_socket(net_context(), ZMQ_REP);
    int linger = 0;
    if (!socket || zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger) != 0 || zmq_bind(socket, ZAP_ENDPOINT) != 0) {
        int error = errno;
        if (socket) (void)zmq_close(socket);
        return weir_fail(diag, WEIR_E_IO, "cannot listen for handshakes: %s", zmq_strerror(error));
    }
    int failed = pthread_create(&self.handler, NULL, handle, socket);
    if (!failed) {
        self.handles = true;
        return WEIR_OK;
    }
    (void)zmq_close(socket);
    return weir_fail_errno(diag, failed, "start the thread that judges keys");
}

void curve_stop(void)
{
    if (!net_is_secured()) return;
    if (self.handles) {
        (void)zmq_ctx_shutdown(net_context()); /* wakes the handler */
        (void)pthread_join(self.handler, NULL);
    }
    self.handles = false;
    atomic_store(&self.on, false);
    net_known_keys_close(&self.known);
    net_key_pair_forget(&self.own);
}

/* ---- sockets ---------------------------------------------------------------------------------------------------------------------- */

static int set_text(void *zmq, int option, const char *text)
{
    return zmq_setsockopt(zmq, option, text, strlen(text));
}

static int set_int(void *zmq, int option, int value)
{
    return zmq_setsockopt(zmq, option, &value, sizeof value);
}

/* A Z85 key goes with its NUL. */
static int set_key(void *zmq, int option, const char *key)
{
    return zmq_setsockopt(zmq, option, key, NET_KEY_TEXT);
}

weir_err curve_bind(void *zmq, const struct net_key_pair *identity, uint32_t roles, struct weir_diag *diag)
{
    char domain[DOMAIN_MAX];
    int enforced = 0;
    size_t size = sizeof enforced;
    if (roles == 0) return weir_fail(diag, WEIR_E_STATE, "no role may come to this socket, so it must not be bound in a process with keys");
    (void)snprintf(domain, sizeof domain, DOMAIN_PREFIX "%" PRIx32, roles);
    int bad = set_int(zmq, ZMQ_CURVE_SERVER, 1);
    bad |= set_key(zmq, ZMQ_CURVE_SECRETKEY, identity ? identity->secret : self.own.secret);
    bad |= set_text(zmq, ZMQ_ZAP_DOMAIN, domain);
    bad |= set_int(zmq, ZMQ_ZAP_ENFORCE_DOMAIN, 1);
    bad |= zmq_getsockopt(zmq, ZMQ_ZAP_ENFORCE_DOMAIN, &enforced, &size);
    if (!bad && enforced == 1) return WEIR_OK;
    return weir_fail(diag, WEIR_E_UNSUPPORTED, "this libzmq cannot refuse unknown keys: use 4.3.4 or later, with CURVE");
}

static bool key_at(const char *endpoint, char out[static NET_KEY_TEXT])
{
    (void)pthread_mutex_lock(&self.mutex);
    const struct net_known_key *k = find_at_now(endpoint);
    if (k) memcpy(out, k->key, NET_KEY_TEXT);
    (void)pthread_mutex_unlock(&self.mutex);
    return k != NULL;
}

bool net_key_at(const char *endpoint, char out[static NET_KEY_TEXT])
{
    struct endpoint parsed;
    char text[NET_ENDPOINT_MAX];
    if (!net_is_secured() || endpoint_parse(&parsed, endpoint, NULL)) return false;
    endpoint_text(&parsed, text);
    return key_at(text, out);
}

weir_err curve_connect(void *zmq, const struct net_key_pair *identity, const char *endpoint, struct weir_diag *diag)
{
    char key[NET_KEY_TEXT];
    if (!key_at(endpoint, key))
        return weir_fail(diag, WEIR_E_NOT_FOUND,
                         "whose key answers at %s is not known: put the endpoint behind the key of its JobManager in %s", endpoint,
                         self.path);
    const struct net_key_pair *own = identity ? identity : &self.own;
    int bad = set_key(zmq, ZMQ_CURVE_SERVERKEY, key);
    bad |= set_key(zmq, ZMQ_CURVE_PUBLICKEY, own->open);
    bad |= set_key(zmq, ZMQ_CURVE_SECRETKEY, own->secret);
    return bad ? weir_fail(diag, WEIR_E_UNSUPPORTED, "this libzmq has no CURVE") : WEIR_OK;
}

/* ---- self-test: a server as all of ours, and two who knock ------------------------------------------------------------------------ */

enum knocked { KNOCKED_IN, KNOCKED_REFUSED, KNOCKED_NOTHING };

static enum knocked wait_knocked(void *monitor)
{
    int64_t until_ms = clock_mono_ms() + NET_SELF_TEST_MS;
    for (int64_t left_ms = NET_SELF_TEST_MS; left_ms > 0; left_ms = until_ms - clock_mono_ms()) {
        zmq_pollitem_t item = {.socket = monitor, .events = ZMQ_POLLIN};
        unsigned char event[6], address[256];
        uint16_t type;
        if (zmq_poll(&item, 1, (long)left_ms) <= 0) continue;
        if (zmq_recv(monitor, event, sizeof event, ZMQ_DONTWAIT) != sizeof event) continue;
        (void)zmq_recv(monitor, address, sizeof address, ZMQ_DONTWAIT);
        memcpy(&type, event, sizeof type);
        return type == ZMQ_EVENT_HANDSHAKE_SUCCEEDED ? KNOCKED_IN : KNOCKED_REFUSED;
    }
    return KNOCKED_NOTHING;
}

static enum knocked knock(const char *endpoint, const struct net_key_pair *who)
{
    static unsigned n;
    char name[64];
    enum knocked outcome = KNOCKED_NOTHING;
    (void)snprintf(name, sizeof name, "inproc://keys-self-test-%u", n++);
    void *client = zmq_socket(net_context(), ZMQ_DEALER), *monitor = zmq_socket(net_context(), ZMQ_PAIR);
    int bad = !client || !monitor;
    if (!bad) bad = zmq_socket_monitor(client, name, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH);
    if (!bad) {
        bad |= set_int(client, ZMQ_LINGER, 0) | set_int(monitor, ZMQ_LINGER, 0);
        bad |= set_key(client, ZMQ_CURVE_SERVERKEY, self.own.open);
        bad |= set_key(client, ZMQ_CURVE_PUBLICKEY, who->open);
        bad |= set_key(client, ZMQ_CURVE_SECRETKEY, who->secret);
        bad |= zmq_connect(monitor, name);
        bad |= zmq_connect(client, endpoint);
        if (!bad) outcome = wait_knocked(monitor);
        (void)zmq_socket_monitor(client, NULL, 0);
    }
    if (monitor) (void)zmq_close(monitor);
    if (client) (void)zmq_close(client);
    return outcome;
}

static weir_err knock_both(const char *endpoint, struct weir_diag *diag)
{
    enum knocked theirs = knock(endpoint, &self.stranger);
    if (theirs == KNOCKED_IN) return weir_fail(diag, WEIR_E_INTERNAL, "a key drawn at random was let in: this libzmq must not be used");
    if (theirs == KNOCKED_NOTHING)
        return weir_fail(diag, WEIR_E_INTERNAL, "a key drawn at random got no answer in %d ms: start this process again", NET_SELF_TEST_MS);
    if (knock(endpoint, &self.own) == KNOCKED_IN) return WEIR_OK;
    return weir_fail(diag, WEIR_E_INTERNAL, "the own key was not let in, nobody could come: start this process again");
}

/* An abstract name of Linux: it needs no network and leaves no file. */
static weir_err self_test(struct weir_diag *diag)
{
    char endpoint[64];
    void *server = zmq_socket(net_context(), ZMQ_ROUTER);
    if (!server) return weir_fail(diag, WEIR_E_IO, "cannot make a socket: %s", zmq_strerror(errno));
    (void)snprintf(endpoint, sizeof endpoint, "ipc://@weir-self-test-%016" PRIx64, id_word(id_random()));
    (void)set_int(server, ZMQ_LINGER, 0);
    weir_err err = curve_bind(server, NULL, NET_ROLES_ALL, diag);
    if (!err && zmq_bind(server, endpoint) != 0) err = weir_fail(diag, WEIR_E_IO, "bind to %s: %s", endpoint, zmq_strerror(errno));
    if (!err) err = knock_both(endpoint, diag);
    (void)zmq_close(server);
    return err ? weir_wrap(diag, err, "self-test of the keys") : WEIR_OK;
}

/* ---- life ------------------------------------------------------------------------------------------------------------------------- */

static weir_err check_own(const struct net_security_config *c, struct weir_diag *diag)
{
    const struct net_known_key *own = net_known_keys_find(&self.known, self.own.open);
    if (c->roles == 0) return WEIR_OK;
    if (!own)
        return weir_fail(diag, WEIR_E_ARGUMENT, "the key in %s is not among those of %s: put the line of its .pub file there", c->key,
                         c->known_keys);
    if (own->role & c->roles) return WEIR_OK;
    return weir_fail(diag, WEIR_E_ARGUMENT,
                     "the key in %s is that of \"%s\", whose role is %s: this program needs a key of its own role (`jobctl cert new`)",
                     c->key, own->name, net_role_name(own->role));
}

/* From the root: the list is read again, and the process may go elsewhere meanwhile. */
static weir_err take_path(const char *path, struct weir_diag *diag)
{
    char here[sizeof self.path] = "";
    if (path[0] != '/' && !getcwd(here, sizeof here)) return weir_fail_errno(diag, errno, "find the present folder");
    int length = snprintf(self.path, sizeof self.path, "%s%s%s", here, *here ? "/" : "", path);
    return length < (int)sizeof self.path ? WEIR_OK : weir_fail(diag, WEIR_E_LIMIT, "the path of the known keys is too long");
}

static weir_err load(const struct net_security_config *c, struct weir_diag *diag)
{
    weir_err err = take_path(c->known_keys, diag);
    if (!err) err = net_key_pair_new(&self.stranger, diag);
    if (err) return err;
    err = net_key_pair_load(&self.own, c->key, diag);
    if (err) return weir_wrap(diag, err, "security.key");
    (void)version_of(self.path, &self.version); /* before it is read: what changes meanwhile is read again */
    self.looked_ms = clock_mono_ms();
    err = net_known_keys_load(&self.known, self.path, diag);
    return err ? weir_wrap(diag, err, "security.known-keys") : check_own(c, diag);
}

static weir_err secure(const struct net_security_config *c, struct weir_diag *diag)
{
    weir_err err = load(c, diag);
    if (!err && c->roles) err = start_handler(diag);
    if (!err && c->roles) err = self_test(diag);
    return err;
}

weir_err net_secure(const struct net_security_config *config, struct weir_diag *diag)
{
    bool key = config->key && *config->key, known = config->known_keys && *config->known_keys;
    if (!net_context() || net_is_secured()) return weir_fail(diag, WEIR_E_STATE, "keys are given once, behind the start of the network");
    if (key != known)
        return weir_fail(
            diag, WEIR_E_ARGUMENT,
            "%s is given and %s is not, which would be neither secure nor plain: give both, or none for plain transport on loopback",
            key ? "security.key" : "security.known-keys", key ? "security.known-keys" : "security.key");
    if (!key) return weir_fail(diag, WEIR_E_ARGUMENT, "no keys: give security.key and security.known-keys");
    if (!zmq_has("curve")) return weir_fail(diag, WEIR_E_UNSUPPORTED, "this libzmq has no CURVE: install one that has");
    atomic_store(&self.on, true);
    weir_err err = secure(config, diag);
    if (err) curve_stop();
    return err;
}
