/* SPDX-License-Identifier: Apache-2.0 */
/* Key pairs and lists of known keys: what is read, what is written, and what is refused in which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/net/keys.h"
#include "tests/support/temp_dir.h"

static struct temp_dir dir;

static const char *path_of(const char *name)
{
    return temp_path(&dir, name);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(path_of(name), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path_of(name), mode), 0);
}

static void expect_words(const struct weir_diag *diag, const char *words)
{
    if (!strstr(diag->text, words)) print_error("\"%s\" is not in: %s\n", words, diag->text);
    assert_non_null(strstr(diag->text, words));
}

/* ---- key pairs ---- */

static void a_pair_is_saved_for_its_owner_alone_and_loaded(void **state)
{
    struct net_key_pair made, read;
    struct weir_diag diag;
    struct stat st;
    (void)state;
    mode_t before = umask(0); /* the mode does not hang on it */
    assert_int_equal(net_key_pair_new(&made, &diag), WEIR_OK);
    assert_int_equal(net_key_pair_save(&made, "ann", path_of("ann.key"), &diag), WEIR_OK);
    umask(before);
    assert_int_equal(stat(path_of("ann.key"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(net_key_pair_load(&read, path_of("ann.key"), &diag), WEIR_OK);
    assert_string_equal(read.open, made.open);
    assert_string_equal(read.secret, made.secret);
    net_key_pair_forget(&read);
    for (size_t i = 0; i < sizeof read; i++) assert_int_equal(((unsigned char *)&read)[i], 0);
}

static void a_key_that_is_there_is_not_replaced(void **state)
{
    struct net_key_pair made;
    struct weir_diag diag;
    (void)state;
    assert_int_equal(net_key_pair_new(&made, &diag), WEIR_OK);
    write_file("taken.key", "mine", 0600);
    assert_int_equal(net_key_pair_save(&made, "x", path_of("taken.key"), &diag), WEIR_E_EXISTS);
    expect_words(&diag, "is there already");
    assert_int_equal(symlink("elsewhere", path_of("link.key")), 0);
    assert_int_equal(net_key_pair_save(&made, "x", path_of("link.key"), &diag), WEIR_E_EXISTS);
    assert_int_equal(access(path_of("elsewhere"), F_OK), -1);
}

static void a_secret_that_others_may_read_is_refused(void **state)
{
    static const mode_t modes[] = {0640, 0604, 0660, 0602, 0644, 0610};
    struct net_key_pair made, read = {.open = "untouched"};
    struct weir_diag diag;
    (void)state;
    assert_int_equal(net_key_pair_new(&made, &diag), WEIR_OK);
    assert_int_equal(net_key_pair_save(&made, "x", path_of("mode.key"), &diag), WEIR_OK);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(path_of("mode.key"), modes[i]), 0);
        assert_int_equal(net_key_pair_load(&read, path_of("mode.key"), &diag), WEIR_E_ARGUMENT);
        expect_words(&diag, "`chmod 600` it");
        assert_string_equal(read.open, "untouched");
    }
    assert_int_equal(chmod(path_of("mode.key"), 0400), 0);
    assert_int_equal(net_key_pair_load(&read, path_of("mode.key"), &diag), WEIR_OK);
}

static void what_is_no_file_is_refused(void **state)
{
    struct net_key_pair read;
    struct weir_diag diag;
    (void)state;
    assert_int_equal(net_key_pair_load(&read, path_of("nothing.key"), &diag), WEIR_E_NOT_FOUND);
    assert_int_equal(net_key_pair_load(&read, dir.path, &diag), WEIR_E_ARGUMENT);
    expect_words(&diag, "no plain file");
    assert_int_equal(mkfifo(path_of("pipe.key"), 0600), 0);
    assert_int_equal(net_key_pair_load(&read, path_of("pipe.key"), &diag), WEIR_E_ARGUMENT); /* and nobody waits for a writer */
}

/* The text with keys in place of the bytes 1, 2 and 3. */
static size_t fill_in(const char *from, char out[static 2048], const char *one, const char *two, const char *three)
{
    size_t length = 0;
    for (; *from != '\0'; from++) {
        const char *key = *from == 1 ? one : *from == 2 ? two : *from == 3 ? three : NULL;
        size_t n = key ? strlen(key) : 1;
        assert_true(length + n < 2048);
        memcpy(out + length, key ? key : from, n);
        length += n;
    }
    out[length] = '\0';
    return length;
}

/* 1: the public key, 2: the secret, 3: another public one. */
static void pairs_are_checked(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"public \1\nsecret \2\n", NULL},
        {"# a comment\n\n  public\t\1  \r\nsecret \2", NULL},
        {"public \1\n", "no secret key"},
        {"secret \2\n", "no public key"},
        {"", "no public key"},
        {"public \1\npublic \1\nsecret \2\n", "line 2: the public key is there twice"},
        {"# x\nsecret \2 \2\npublic \1\n", "line 2: a key is 40 characters"},
        {"public \3\nsecret \2\n", "not that of its secret key"},
        {"public \1\nsecret \1\n", "not that of its secret key"},
        {"public \1\nsecret short\n", "40 characters"},
        {"public \1\nsecret \"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\n", "40 characters"},
        {"public \1\nsecret ########################################\n", "40 characters"}, /* above 2^32 */
        {"public \1\nsecret \2\nrole admin\n", "line 3 is neither"},
        {"public Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\nsecret D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs\n", "ZeroMQ's manual"},
    };
    struct net_key_pair pair, other;
    (void)state;
    assert_int_equal(net_key_pair_new(&pair, NULL), WEIR_OK);
    assert_int_equal(net_key_pair_new(&other, NULL), WEIR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[2048];
        struct net_key_pair read = {.open = "untouched"};
        struct weir_diag diag = {0};
        size_t length = fill_in(cases[i].text, text, pair.open, pair.secret, other.open);
        weir_err err = net_key_pair_parse(&read, text, length, &diag);
        if (!cases[i].words) {
            assert_int_equal(err, WEIR_OK);
            assert_string_equal(read.secret, pair.secret);
            continue;
        }
        assert_int_equal(err, WEIR_E_ARGUMENT);
        expect_words(&diag, cases[i].words);
        assert_string_equal(read.open, "untouched");
        assert_null(strstr(diag.text, pair.secret)); /* a secret is in no message */
    }
    char *large = calloc(1, NET_KEY_FILE_MAX + 1);
    memset(large, '\n', NET_KEY_FILE_MAX + 1);
    assert_int_equal(net_key_pair_parse(&pair, large, NET_KEY_FILE_MAX + 1, NULL), WEIR_E_ARGUMENT);
    free(large);
}

/* ---- known keys ---- */

static char key_a[NET_KEY_TEXT], key_b[NET_KEY_TEXT], key_c[NET_KEY_TEXT];

static void draw_keys(void)
{
    struct net_key_pair pair;
    char *to[] = {key_a, key_b, key_c};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(net_key_pair_new(&pair, NULL), WEIR_OK);
        memcpy(to[i], pair.open, NET_KEY_TEXT);
    }
}

static weir_err parse(struct net_known_keys *list, struct weir_diag *diag, const char *fmt, ...)
{
    char text[8192];
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    *list = (struct net_known_keys){0};
    return net_known_keys_parse(list, text, (size_t)length, "list", diag);
}

static void a_list_is_read_and_found_in(void **state)
{
    struct net_known_keys list;
    struct weir_diag diag;
    (void)state;
    assert_int_equal(parse(&list, &diag,
                           "# the cluster\n\njobmanager jm-1 %s tcp://127.0.0.1:6123 tcp://localhost:8081 ipc:///run/x\n"
                           "  admin ann\t%s\r\njobmanager jm-2 %s tcp://10.0.0.2:* tcp://127.0.0.1:*",
                           key_a, key_b, key_c),
                     WEIR_OK);
    assert_int_equal(list.n, 3);
    assert_int_equal(net_known_keys_find(&list, key_a)->role, NET_ROLE_JOBMANAGER);
    assert_string_equal(net_known_keys_find(&list, key_b)->name, "ann");
    assert_null(net_known_keys_find(&list, "0000000000000000000000000000000000000000"));
    assert_string_equal(net_known_keys_at(&list, "tcp://127.0.0.1:6123")->name, "jm-1");
    assert_string_equal(net_known_keys_at(&list, "tcp://127.0.0.1:8081")->name, "jm-1"); /* localhost is a number */
    assert_string_equal(net_known_keys_at(&list, "tcp://127.0.0.1:9")->name, "jm-2");    /* by the host alone */
    assert_string_equal(net_known_keys_at(&list, "tcp://10.0.0.2:77")->name, "jm-2");
    assert_string_equal(net_known_keys_at(&list, "ipc:///run/x")->name, "jm-1");
    assert_null(net_known_keys_at(&list, "tcp://10.0.0.22:77"));
    assert_null(net_known_keys_at(&list, "ipc:///run/xy"));
    net_known_keys_close(&list);
}

static void a_line_written_is_a_line_read(void **state)
{
    struct net_known_keys list, again = {0};
    struct buffer text = {0};
    (void)state;
    assert_int_equal(parse(&list, NULL, "jobmanager jm %s tcp://[::1]:1 tcp://[2001:db8::1]:* ipc://@x", key_a), WEIR_OK);
    net_known_key_text(&list.at[0], &text);
    assert_int_equal(net_known_keys_parse(&again, (char *)text.data, text.len, "again", NULL), WEIR_OK);
    assert_memory_equal(&again.at[0], &list.at[0], sizeof list.at[0]);
    buffer_close(&text);
    net_known_keys_close(&list);
    net_known_keys_close(&again);
}

static void bad_lists_are_refused_by_line(void **state)
{
    static const struct {
        const char *text, *words; /* 1 and 2 are keys */
        weir_err err;             /* 0: WEIR_E_ARGUMENT */
    } cases[] = {
        {"boss ann \1", "list:1: \"boss\" is no role: jobmanager,", 0},
        {"\nadmin \1", "list:2: behind the role stands a name", 0},
        {"admin ann", "behind the name stands a public key", 0},
        {"admin ann \1"
         "x",
         "behind the name stands a public key", 0},
        {"admin a/b \1", "behind the role stands a name", 0},
        {"admin ann \1 tcp://127.0.0.1:1", "only JobManagers answer", 0},
        {"jobmanager jm \1 127.0.0.1:1", "not an endpoint", 0},
        {"jobmanager jm \1 tcp://example.org:1", "no address by number", WEIR_E_UNSUPPORTED},
        {"jobmanager jm \1 ipc://1 ipc://2 ipc://3 ipc://4 ipc://5 ipc://6 ipc://7 ipc://8 ipc://9", "more than 8 endpoints", 0},
        {"jobmanager a \1 tcp://[::1]:2\njobmanager b \2 tcp://localhost:1 tcp://[::1]:2",
         "list:2: \"a\" and \"b\" cannot both answer at tcp://[::1]:2", 0},
        {"admin ann \1\n#\nviewer joe \2\nviewer bob \1", "list:4: the key of \"bob\" is there already, as \"ann\"", 0},
        {"admin ann rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", "ZeroMQ's manual", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct net_known_keys list = {0};
        struct weir_diag diag = {0};
        char text[2048];
        size_t length = fill_in(cases[i].text, text, key_a, key_b, NULL);
        assert_int_equal(net_known_keys_parse(&list, text, length, "list", &diag), cases[i].err ? cases[i].err : WEIR_E_ARGUMENT);
        expect_words(&diag, cases[i].words);
        net_known_keys_close(&list);
    }
}

/* An empty buffer has no bytes to point to. */
static void nothing_is_an_empty_list(void **state)
{
    struct net_known_keys list = {0};
    struct net_key_pair pair;
    struct weir_diag diag;
    (void)state;
    assert_int_equal(net_known_keys_parse(&list, NULL, 0, "nothing", &diag), WEIR_OK);
    assert_int_equal(list.n, 0);
    assert_null(net_known_keys_find(&list, key_a));
    assert_int_equal(net_key_pair_parse(&pair, NULL, 0, &diag), WEIR_E_ARGUMENT);
    net_known_keys_close(&list);
}

static void a_list_has_a_limit(void **state)
{
    struct net_known_keys list = {0};
    struct net_key_pair pair;
    struct buffer text = {0};
    struct weir_diag diag;
    (void)state;
    for (uint32_t i = 0; i < NET_KEYS_MAX; i++) {
        assert_int_equal(net_key_pair_new(&pair, NULL), WEIR_OK);
        buffer_printf(&text, "viewer v%u %s\n", i, pair.open);
    }
    assert_int_equal(net_known_keys_parse(&list, (char *)text.data, text.len, "full", &diag), WEIR_OK);
    net_known_keys_close(&list);
    buffer_printf(&text, "viewer one-more %s\n", key_a);
    assert_int_equal(net_known_keys_parse(&list, (char *)text.data, text.len, "full", &diag), WEIR_E_LIMIT);
    net_known_keys_close(&list);
    buffer_close(&text);
}

static void a_folder_is_the_files_in_it(void **state)
{
    struct net_known_keys list;
    struct weir_diag diag;
    char text[512];
    (void)state;
    assert_int_equal(mkdir(path_of("keys"), 0755), 0);
    assert_int_equal(net_known_keys_load(&list, path_of("keys"), &diag), WEIR_E_ARGUMENT);
    expect_words(&diag, "holds no keys");
    snprintf(text, sizeof text, "admin ann %s\n", key_a);
    write_file("keys/ann.pub", text, 0644);
    snprintf(text, sizeof text, "viewer joe %s\n", key_b);
    write_file("keys/joe.pub", text, 0644);
    write_file("keys/ann.key", "not a list", 0600);
    write_file("keys/.hidden.pub", "not a list", 0644);
    assert_int_equal(net_known_keys_load(&list, path_of("keys"), &diag), WEIR_OK);
    assert_int_equal(list.n, 2);
    net_known_keys_close(&list);
    write_file("keys/zoe.pub", text, 0644); /* joe's key again */
    assert_int_equal(net_known_keys_load(&list, path_of("keys"), &diag), WEIR_E_ARGUMENT);
    expect_words(&diag, "zoe.pub:1: the key of \"joe\" is there already");
}

static void who_may_write_the_list_decides_so_others_may_not(void **state)
{
    struct net_known_keys list;
    struct weir_diag diag;
    char text[512];
    (void)state;
    snprintf(text, sizeof text, "admin ann %s\n", key_a);
    write_file("known", text, 0664);
    assert_int_equal(net_known_keys_load(&list, path_of("known"), &diag), WEIR_E_ARGUMENT);
    expect_words(&diag, "`chmod go-w` it");
    assert_int_equal(chmod(path_of("known"), 0644), 0);
    assert_int_equal(net_known_keys_load(&list, path_of("known"), &diag), WEIR_OK);
    net_known_keys_close(&list);
    assert_int_equal(mkdir(path_of("open"), 0755), 0);
    assert_int_equal(chmod(path_of("open"), 0777), 0);
    assert_int_equal(net_known_keys_load(&list, path_of("open"), &diag), WEIR_E_ARGUMENT);
    expect_words(&diag, "`chmod go-w` it");
}

static void roles_have_names(void **state)
{
    (void)state;
    for (uint32_t role = 1; role <= NET_ROLE_ADMIN; role *= 2) {
        const char *name = net_role_name((enum net_role)role);
        assert_int_equal(net_role_of_name(name, strlen(name)), role);
    }
    assert_int_equal(net_role_of_name("admi", 4), NET_ROLE_NONE);
    assert_string_equal(net_role_name((enum net_role)3), "?");
}

static int start(void **state)
{
    (void)state;
    temp_dir_make(&dir);
    draw_keys();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_is_saved_for_its_owner_alone_and_loaded),
        cmocka_unit_test(a_key_that_is_there_is_not_replaced),
        cmocka_unit_test(a_secret_that_others_may_read_is_refused),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(pairs_are_checked),
        cmocka_unit_test(a_list_is_read_and_found_in),
        cmocka_unit_test(a_line_written_is_a_line_read),
        cmocka_unit_test(bad_lists_are_refused_by_line),
        cmocka_unit_test(nothing_is_an_empty_list),
        cmocka_unit_test(a_list_has_a_limit),
        cmocka_unit_test(a_folder_is_the_files_in_it),
        cmocka_unit_test(who_may_write_the_list_decides_so_others_may_not),
        cmocka_unit_test(roles_have_names),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
