/* SPDX-License-Identifier: Apache-2.0 */
/* Bad input of every kind gets a sentence that says what is wrong, an exit code that says whose mistake it is, and loses nothing that was
 * there. */
#include <arpa/inet.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/cluster/cluster.h"

/* The access log job on this input must fail with these words and show nothing. */
static void log_fails(struct cluster *c, const char *input, const char *words)
{
    const char *output = in_dir(c, "out");
    struct said s = ctl(c, "run", "--parallelism", "2", example_plugin("accesslog"), "--", "--input", input, "--output", output, NULL);
    if (s.code != 1) fail_msg("jobctl ended with %d instead of 1: %s", s.code, s.err);
    assert_has(s.err, "FAILED");
    assert_has(s.err, input);
    assert_has(s.err, words);
    assert_int_equal(files_with_prefix(output, "part-"), 0);
    assert_int_equal(files_with_prefix(output, ".part-"), 0);
    cluster_wait_registered(c, c->n_taskmanagers);
}

STORY(missing_file)
{
    cluster_start(c, 1, 2);
    log_fails(c, in_dir(c, "there-is-none.log"), "No such file");
}

STORY(missing_folder)
{
    cluster_start(c, 1, 2);
    log_fails(c, in_dir(c, "no/folder/here"), "No such file");
}

/* Root reads every file by a capability that programs started from here on can be denied. */
static bool may_be_refused(void)
{
    if (geteuid() != 0) return true;
    return prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE) == 0 && prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH) == 0;
}

STORY(unreadable_file)
{
    const char *path = in_dir(c, "secret.log");
    if (!may_be_refused()) story_skip(c, "this user may read every file");
    cluster_start(c, 1, 2);
    file_write(path, "x\n", 2);
    assert_int_equal(chmod(path, 0), 0);
    log_fails(c, path, "Permission denied");
}

/* The first half was read and parsed by the time the end is found missing; nothing of it is shown. */
STORY(truncated_gzip)
{
    const char *path = in_dir(c, "half.gz");
    size_t len;
    char *whole = file_read(test_data("apache_logs.gz"), &len);
    file_write(path, whole, len / 2);
    free(whole);
    cluster_start(c, 2, 2);
    log_fails(c, path, "gzip");
}

STORY(damaged_gzip)
{
    const char *path = in_dir(c, "damaged.gz");
    size_t len;
    char *whole = file_read(test_data("apache_logs.gz"), &len);
    for (size_t i = 0; i < 16; i++) whole[len / 2 + i] = (char)~whole[len / 2 + i];
    file_write(path, whole, len);
    free(whole);
    cluster_start(c, 2, 2);
    log_fails(c, path, "gzip");
}

STORY(text_with_the_name_of_a_gzip)
{
    const char *path = in_dir(c, "text.gz");
    file_write(path, "this is text\n", 13);
    cluster_start(c, 1, 2);
    log_fails(c, path, "gzip");
}

/* ---- output ------------------------------------------------------------------------------------------------------------------------ */

STORY(file_in_the_way_of_the_output_folder)
{
    const char *output = in_dir(c, "out");
    cluster_start(c, 1, 2);
    file_write(output, "mine\n", 5);
    struct said s = ctl(c, "run", example_plugin("accesslog"), "--", "--input", test_data("apache_logs.gz"), "--output", output, NULL);
    assert_int_equal(s.code, 1);
    assert_has(s.err, "FAILED");
    assert_has(s.err, output);
    size_t len;
    char *text = file_read(output, &len);
    assert_string_equal(text, "mine\n");
    free(text);
}

STORY(result_of_an_earlier_run_is_not_replaced_unasked)
{
    uint32_t lines;
    char before[80];
    const char *output = in_dir(c, "out");
    cluster_start(c, 2, 2);
    assert_int_equal(ctl(c, "run", "--parallelism", "2", job_plugin("writer"), "--", "--output", output, "--rows", "500", NULL).code, 0);
    (void)snprintf(before, sizeof before, "%s", sorted_sha256(output, &lines));
    assert_int_equal(lines, 500);
    struct said s = ctl(c, "run", "--parallelism", "2", job_plugin("writer"), "--", "--output", output, "--rows", "600", NULL);
    assert_int_equal(s.code, 1);
    assert_has(s.err, "set replace, or give another folder");
    assert_has(s.err, output);
    assert_string_equal(sorted_sha256(output, &lines), before);
    assert_int_equal(files_with_prefix(output, "."), 0);
    assert_int_equal(ctl(c, "run", job_plugin("writer"), "--", "--output", output, "--rows", "600", "--replace", NULL).code, 0);
    (void)sorted_sha256(output, &lines);
    assert_int_equal(lines, 600);
}

/* ---- command lines ------------------------------------------------------------------------------------------------------------------- */

STORY(unknown_option_of_a_job)
{
    cluster_start(c, 1, 1);
    struct said s = ctl(c, "run", example_plugin("accesslog"), "--", "--imput", "x", "--output", in_dir(c, "out"), NULL);
    assert_int_equal(s.code, 1);
    assert_has(s.err, "--imput");
    assert_has(s.err, "--input");
    assert_false(file_exists(in_dir(c, "out")));
}

STORY(missing_option_of_a_job)
{
    cluster_start(c, 1, 1);
    struct said s = ctl(c, "run", example_plugin("accesslog"), "--", "--input", test_data("apache_logs.gz"), NULL);
    assert_int_equal(s.code, 1);
    assert_has(s.err, "--output");
}

static void wrong_use(struct cluster *c, const char *word, const char *hint, const char *argument)
{
    struct said s = ctl(c, word, argument, NULL);
    if (s.code != 2) fail_msg("jobctl %s ended with %d: %s", word, s.code, s.err);
    assert_has(s.err, hint);
    assert_string_equal(s.out, "");
}

STORY(wrong_use_of_jobctl)
{
    wrong_use(c, "lsit", "did you mean 'list'", NULL);
    wrong_use(c, "--jobmanger=ipc:///x", "did you mean '--jobmanager'", "list");
    wrong_use(c, "--timeout=never", "never", "list");
    wrong_use(c, "--jobmanager=udp://127.0.0.1:1", "tcp://", "list");
    struct said s = ctl(c, "run", "--parallelism", "0", example_plugin("accesslog"), NULL);
    assert_int_equal(s.code, 2);
    assert_has(s.err, "parallelism");
    s = ctl(c, "run", "--local", in_dir(c, "no-such-plugin.so"), NULL);
    assert_int_equal(s.code, 2);
    assert_has(s.err, "no-such-plugin.so");
    s = ctl(c, "run", NULL);
    assert_int_equal(s.code, 2);
}

/* ---- nobody there -------------------------------------------------------------------------------------------------------------------- */

static void unreachable(struct cluster *c, const char *endpoint)
{
    int64_t began_ms = now_ms();
    struct said s = ctl(c, "--jobmanager", endpoint, "--timeout", "1", "list", NULL);
    int64_t took_ms = now_ms() - began_ms;
    if (s.code != 3) fail_msg("jobctl ended with %d: %s", s.code, s.err);
    assert_has(s.err, endpoint);
    if (took_ms > 5000) fail_msg("it took %lld ms to give up after a second", (long long)took_ms);
}

STORY(wrong_configuration_of_a_local_cluster)
{
    struct said s = ctl(c, "run", "--local", "-D", "taskmanager.memory.segmnt-size=1", example_plugin("accesslog"), NULL);
    assert_int_equal(s.code, 2);
    assert_has(s.err, "unknown key taskmanager.memory.segmnt-size (flag -D); did you mean taskmanager.memory.segment-size?");
    s = ctl(c, "run", "--local", "-D", "log.level=loud", example_plugin("accesslog"), NULL);
    assert_int_equal(s.code, 2);
    assert_has(s.err, "log.level is none of debug, info, warn, error");
    s = ctl(c, "run", "--local", "-D", "taskmanager.memory.segment-size=33KiB", example_plugin("accesslog"), NULL);
    assert_int_equal(s.code, 2);
    assert_has(s.err, "from 1 to 32768");
}

STORY(unreachable_jobmanager)
{
    char endpoint[128];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", ntohs(address.sin_port));
    unreachable(c, endpoint); /* bound, so nobody else takes the port: refused */
    assert_int_equal(listen(fd, 8), 0);
    unreachable(c, endpoint); /* connects, and no word comes back */
    close(fd);
    (void)snprintf(endpoint, sizeof endpoint, "ipc://%s/none", c->dir);
    unreachable(c, endpoint);
}

STORY_MAIN(STORY_TEST(missing_file), STORY_TEST(missing_folder), STORY_TEST(unreadable_file), STORY_TEST(truncated_gzip),
           STORY_TEST(damaged_gzip), STORY_TEST(text_with_the_name_of_a_gzip), STORY_TEST(file_in_the_way_of_the_output_folder),
           STORY_TEST(result_of_an_earlier_run_is_not_replaced_unasked), STORY_TEST(unknown_option_of_a_job),
           STORY_TEST(missing_option_of_a_job), STORY_TEST(wrong_use_of_jobctl), STORY_TEST(wrong_configuration_of_a_local_cluster),
           STORY_TEST(unreachable_jobmanager))
