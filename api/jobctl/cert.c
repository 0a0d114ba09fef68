/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jobctl/cert.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/jobctl/exit.h"
#include "api/jobctl/session.h"
#include "runtime/net/keys.h"

#define ROLES "jobmanager, taskmanager, client, viewer, operator, deployer or admin"

weir_err cert_check(struct ctl_arguments *args, const char *const *operands, unsigned n, struct weir_diag *diag)
{
    if (n != 2 || strcmp(operands[0], "new") != 0) return weir_fail(diag, WEIR_E_ARGUMENT, "the use is `jobctl cert new NAME --role ROLE`");
    args->verb = operands[0];
    args->subject = operands[1];
    if (!net_key_name_valid(args->subject, strlen(args->subject)))
        return weir_fail(diag, WEIR_E_ARGUMENT, "'%s' is no name for a key: 1 to %u letters, digits, '-', '_', '.'", args->subject,
                         NET_KEY_NAME_MAX);
    if (!args->role) return weir_fail(diag, WEIR_E_ARGUMENT, "what is the key for? --role " ROLES);
    enum net_role role = net_role_of_name(args->role, strlen(args->role));
    if (!role) return weir_fail(diag, WEIR_E_ARGUMENT, "'%s' is no role: " ROLES, args->role);
    if (role == NET_ROLE_JOBMANAGER && !args->at)
        return weir_fail(diag, WEIR_E_ARGUMENT,
                         "where does this JobManager answer? --at tcp://HOST:* for every port, or its endpoints with commas between them");
    if (role != NET_ROLE_JOBMANAGER && args->at)
        return weir_fail(diag, WEIR_E_ARGUMENT, "--at is for --role jobmanager: only they answer somewhere");
    return WEIR_OK;
}

/* The line for the known keys, by way of the reader of such lines. */
static weir_err make_line(const struct ctl_arguments *args, const struct net_key_pair *pair, struct buffer *out, struct weir_diag *diag)
{
    struct buffer text = {0};
    struct net_known_keys list = {0};
    buffer_printf(&text, "%s %s %s ", args->role, args->subject, pair->open);
    for (const char *at = args->at ? args->at : ""; *at; at++) buffer_add(&text, *at == ',' ? " " : at, 1);
    weir_err err = text.err ? weir_fail(diag, text.err, "out of memory")
                            : net_known_keys_parse(&list, (const char *)text.data, text.len, "--at", diag);
    if (!err) net_known_key_text(&list.at[0], out);
    if (!err && out->err) err = weir_fail(diag, out->err, "out of memory");
    net_known_keys_close(&list);
    buffer_close(&text);
    return err;
}

static weir_err save_line(const struct buffer *line, const char *path, struct weir_diag *diag)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0 && errno == EEXIST) return weir_fail(diag, WEIR_E_EXISTS, "%s is there already: take another name, or remove it", path);
    if (fd < 0) return weir_fail_errno(diag, errno, "make %s", path);
    bool written = write(fd, line->data, line->len) == (ssize_t)line->len && fsync(fd) == 0;
    int error = errno;
    if (close(fd) == 0 && written) return WEIR_OK;
    (void)unlink(path);
    return weir_fail_errno(diag, error, "write %s", path);
}

static weir_err make_files(const struct ctl_arguments *args, const struct net_key_pair *pair, const struct buffer *line,
                           struct weir_diag *diag)
{
    char key[PATH_MAX], pub[PATH_MAX];
    const char *dir = args->dir ? args->dir : ".";
    if (snprintf(key, sizeof key, "%s/%s.key", dir, args->subject) >= (int)sizeof key)
        return weir_fail(diag, WEIR_E_LIMIT, "the path of %s/%s.key is too long", dir, args->subject);
    (void)snprintf(pub, sizeof pub, "%s/%s.pub", dir, args->subject);
    weir_err err = net_key_pair_save(pair, args->subject, key, diag);
    if (err) return err;
    err = save_line(line, pub, diag);
    if (err) (void)unlink(key);
    if (!err) fprintf(stderr, "made %s, the secret, for its owner alone, and %s, the line for the known keys\n", key, pub);
    return err;
}

int cert_command(const struct ctl_arguments *args)
{
    struct net_key_pair pair;
    struct buffer line = {0};
    struct weir_diag diag = {0};
    weir_err err = net_key_pair_new(&pair, &diag);
    if (!err) err = make_line(args, &pair, &line, &diag);
    if (!err) err = make_files(args, &pair, &line, &diag);
    net_key_pair_forget(&pair);
    if (!err) (void)fwrite(line.data, 1, line.len, stdout);
    buffer_close(&line);
    if (!err) return CTL_EXIT_OK;
    session_complain("%s", diag.text);
    return err == WEIR_E_ARGUMENT || err == WEIR_E_UNSUPPORTED || err == WEIR_E_EXISTS ? CTL_EXIT_USAGE : CTL_EXIT_FAILED;
}
