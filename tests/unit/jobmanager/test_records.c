/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the catalog: what is written is what is read, and nothing else is read. */
/* cmocka wants these first, in this order */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>
#include <string.h>

#include "jobmanager/catalog_records.h"
#include "runtime/wire/pack.h"

static struct records_job job;

static weir_err take(enum job_key key, const struct buffer *b)
{
    return records_take(&job, key, (struct weir_bytes){b->data, (uint32_t)b->len}, NULL);
}

static void submission(struct buffer *out)
{
    static const char *const args[] = {"job", "--input", ""};
    static const struct job_option options[] = {{"execution.checkpointing.interval", "1s"}, {"state.checkpoints.num-retained", "2"}};
    struct job_submission sub = {.id = {{1}},
                                 .digest = {{2}},
                                 .size = 3,
                                 .name = "name",
                                 .cwd = "/cwd",
                                 .parallelism = 4,
                                 .progress_timeout_ms = 5,
                                 .n_args = 3,
                                 .args = args,
                                 .n_options = 2,
                                 .options = options,
                                 .from = "/save",
                                 .from_claim = true,
                                 .predecessor = {{6}}};
    records_submission(&sub, 77, -1, out);
}

static void pointers(struct buffer *out)
{
    struct ckpt_pointer a = {
        .id = 7, .options = 1, .path = (char *)(uintptr_t) "/a", .bytes = 8, .crc32c = 9, .wall_ms = 10, .state_bytes = 11};
    struct ckpt_pointer b = {.id = 8, .owned = true, .path = (char *)(uintptr_t) "/b", .request = {{5}}};
    records_pointers(3, (const struct ckpt_pointer *[]){&a, &b}, 2, out);
}

static void a_submission_comes_back(void **state)
{
    (void)state;
    struct buffer b = {0};
    submission(&b);
    assert_int_equal(take(JOB_KEY_SUBMISSION, &b), WEIR_OK);
    buffer_close(&b);
    const struct job_submission *s = &job.submission;
    assert_true(job.submitted);
    assert_int_equal(s->id.bytes[0], 1);
    assert_int_equal(s->digest.bytes[0], 2);
    assert_string_equal(s->name, "name");
    assert_string_equal(s->args[1], "--input");
    assert_string_equal(s->args[2], "");
    assert_string_equal(s->options[1].value, "2");
    assert_string_equal(s->from, "/save");
    assert_true(s->from_claim);
    assert_false(s->from_unmatched);
    assert_int_equal(s->predecessor.bytes[0], 6);
    assert_int_equal(job.number, 77);
    assert_int_equal(job.recovery.submitted_wall_ms, -1);
    records_close(&job);
}

static void attempt(struct buffer *b)
{
    struct job_worker workers[] = {{.taskmanager = (char *)(uintptr_t) "tm-1"}, {.taskmanager = (char *)(uintptr_t) "tm-2"}};
    records_attempt(&(struct job){.epoch = 1, .attempt = 5, .n_workers = 2, .workers = workers}, 5, true, b);
}

static void the_small_ones_come_back(void **state)
{
    (void)state;
    struct buffer b = {0};
    attempt(&b);
    assert_int_equal(take(JOB_KEY_ATTEMPT, &b), WEIR_OK);
    buffer_clear(&b);
    records_counter(1, 1ull << 40, &b);
    assert_int_equal(take(JOB_KEY_COUNTER, &b), WEIR_OK);
    buffer_clear(&b);
    records_cancel(1, &b);
    assert_int_equal(take(JOB_KEY_CANCEL, &b), WEIR_OK);
    buffer_clear(&b);
    pointers(&b);
    assert_int_equal(take(JOB_KEY_POINTERS, &b), WEIR_OK);
    assert_int_equal(take(JOB_KEY_POINTERS, &b), WEIR_E_CORRUPT); /* twice */
    buffer_close(&b);
    assert_int_equal(job.recovery.attempt, 5);
    assert_true(job.recovery.committing);
    assert_int_equal(job.recovery.n_taskmanagers, 2);
    assert_string_equal(job.recovery.taskmanagers[1], "tm-2");
    assert_true(job.recovery.cancel);
    assert_int_equal(job.recovery.counter, 1ull << 40);
    assert_int_equal(job.recovery.n_pointers, 2);
    assert_string_equal(job.pointers[0].path, "/a");
    assert_int_equal(job.pointers[0].state_bytes, 11);
    assert_true(job.pointers[1].owned);
    assert_int_equal(job.pointers[1].request.bytes[0], 5);
    records_close(&job);
}

static void requests(struct buffer *out)
{
    static const struct ckpt_request all[] = {
        {.id = {{1}}, .options = 1, .state = CKPT_REQUEST_STORING, .path = "/save/1"},
        {.id = {{2}}, .options = 1, .state = CKPT_REQUEST_RUNNING, .path = "/save/2"},
        {.id = {{3}},
         .options = 3,
         .state = CKPT_REQUEST_DONE,
         .attempt = 4,
         .checkpoint = 5,
         .parallelism = 6,
         .successor = {{7}},
         .path = "/save/3"},
        {.id = {{4}}, .state = CKPT_REQUEST_FAILED, .failure = "the disk is full"},
        {.id = {{5}}, .state = CKPT_REQUEST_FAILED, .complete = true, .path = "/save/5", .failure = "it failed behind it"},
    };
    records_requests(9, all, 5, out);
}

static void requests_come_back(void **state)
{
    (void)state;
    struct buffer b = {0};
    requests(&b);
    assert_int_equal(take(JOB_KEY_REQUESTS, &b), WEIR_OK);
    buffer_close(&b);
    const struct ckpt_request *r = job.recovery.requests;
    assert_int_equal(job.recovery.n_requests, 5);
    assert_int_equal(r[0].state, CKPT_REQUEST_WAITING);
    assert_int_equal(r[1].state, CKPT_REQUEST_WAITING);
    assert_string_equal(r[1].path, "/save/2");
    assert_int_equal(r[2].id.bytes[0], 3);
    assert_int_equal(r[2].state, CKPT_REQUEST_DONE);
    assert_int_equal(r[2].options, 3);
    assert_int_equal(r[2].attempt, 4);
    assert_int_equal(r[2].checkpoint, 5);
    assert_int_equal(r[2].parallelism, 6);
    assert_int_equal(r[2].successor.bytes[0], 7);
    assert_int_equal(r[3].state, CKPT_REQUEST_FAILED);
    assert_false(r[3].complete);
    assert_string_equal(r[3].failure, "the disk is full");
    assert_true(r[4].complete);
    assert_string_equal(r[4].path, "/save/5");
    records_close(&job);
}

/* As the version before wrote it: without the request that it fulfils. */
static void pointers_of_the_version_before_are_read(void **state)
{
    (void)state;
    struct buffer b = {0};
    pack_array(&b, 3);
    pack_uint(&b, 1);
    pack_uint(&b, 3);
    pack_array(&b, 1);
    pack_array(&b, 8);
    pack_uint(&b, 7);
    pack_uint(&b, 1);
    pack_bool(&b, true);
    pack_str(&b, "/a");
    for (uint64_t i = 8; i < 10; i++) pack_uint(&b, i);
    pack_int(&b, 10);
    pack_uint(&b, 11);
    assert_int_equal(take(JOB_KEY_POINTERS, &b), WEIR_OK);
    buffer_close(&b);
    assert_int_equal(job.pointers[0].state_bytes, 11);
    assert_true(id_is_zero(job.pointers[0].request));
    records_close(&job);
}

/* Nobody knows where an attempt will run that is only allowed to begin. */
static void the_next_attempt_has_no_places(void **state)
{
    (void)state;
    struct buffer b = {0};
    struct job_worker worker = {.taskmanager = (char *)(uintptr_t) "tm-1"};
    records_attempt(&(struct job){.epoch = 1, .attempt = 5, .n_workers = 1, .workers = &worker}, 6, false, &b);
    assert_int_equal(take(JOB_KEY_ATTEMPT, &b), WEIR_OK);
    assert_int_equal(job.recovery.attempt, 6);
    assert_int_equal(job.recovery.n_taskmanagers, 0);
    records_close(&job);
    buffer_close(&b);
}

/* What permits its writer to go on, or says what became of a job, as the leader of an epoch would put it. */
static void put_of(uint64_t epoch, enum job_key key, struct buffer *out)
{
    static char none[1];
    const struct job of_epoch = {.epoch = epoch, .attempt = 2, .failure = {.operator_id = none, .reason = none, .taskmanager = none}};
    buffer_clear(out);
    switch (key) {
    case JOB_KEY_ATTEMPT: records_attempt(&of_epoch, 2, false, out); return;
    case JOB_KEY_COUNTER: records_counter(epoch, 7, out); return;
    case JOB_KEY_POINTERS: records_pointers(epoch, NULL, 0, out); return;
    case JOB_KEY_RESULT: records_result(&of_epoch, JOB_FINISHED, 3, out); return;
    case JOB_KEY_CANCEL: records_cancel(epoch, out); return;
    case JOB_KEY_REQUESTS: records_requests(epoch, NULL, 0, out); return;
    default: records_artifact(epoch, &(struct store_artifact){.size = 1, .name = "x.so"}, out); return;
    }
}

/* One who reads it back, since nobody knew what became of it, must not take the value of another for its own. */
static void no_two_leaders_put_the_same(void **state)
{
    static const enum job_key keys[] = {JOB_KEY_ATTEMPT, JOB_KEY_COUNTER,  JOB_KEY_POINTERS, JOB_KEY_RESULT,
                                        JOB_KEY_CANCEL,  JOB_KEY_REQUESTS, JOB_KEYS};
    (void)state;
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        struct buffer a = {0}, b = {0};
        put_of(1, keys[k], &a);
        put_of(2, keys[k], &b);
        assert_int_equal(a.len, b.len);
        assert_memory_not_equal(a.data, b.data, a.len);
        put_of(1, keys[k], &b);
        assert_memory_equal(a.data, b.data, a.len);
        buffer_close(&a);
        buffer_close(&b);
    }
}

/* Every shorter one, and every one with a byte changed, is refused or read as something that is within its bounds. */
static void broken_ones_are_refused(void **state)
{
    (void)state;
    void (*const make[])(struct buffer *) = {
        [JOB_KEY_SUBMISSION] = submission, [JOB_KEY_ATTEMPT] = attempt, [JOB_KEY_POINTERS] = pointers, [JOB_KEY_REQUESTS] = requests};
    static const enum job_key keys[] = {JOB_KEY_SUBMISSION, JOB_KEY_ATTEMPT, JOB_KEY_POINTERS, JOB_KEY_REQUESTS};
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        struct buffer b = {0};
        make[keys[k]](&b);
        for (size_t len = 0; len < b.len; len++) {
            weir_err err = records_take(&job, keys[k], (struct weir_bytes){b.data, (uint32_t)len}, NULL);
            assert_true(err == WEIR_E_CORRUPT || err == WEIR_E_UNSUPPORTED);
            records_close(&job);
        }
        for (size_t at = 0; at < b.len * 8; at++) {
            unsigned char *copy = malloc(b.len);
            memcpy(copy, b.data, b.len);
            copy[at / 8] ^= (unsigned char)(1u << at % 8);
            (void)records_take(&job, keys[k], (struct weir_bytes){copy, (uint32_t)b.len}, NULL);
            records_close(&job);
            free(copy);
        }
        buffer_close(&b);
    }
}

static void keys_go_both_ways(void **state)
{
    (void)state;
    char text[CATALOG_KEY_MAX + 1];
    struct weir_id id = {{0xab, 1}}, back;
    enum job_key key;
    for (unsigned k = 0; k < JOB_KEYS; k++) {
        assert_true(records_key_parse(records_key(id, (enum job_key)k, text), &back, &key));
        assert_int_equal(key, k);
        assert_true(id_equal(id, back));
    }
    assert_false(records_key_parse("job/", &back, &key));
    assert_false(records_key_parse("job/ab010000000000000000000000000000/nothing", &back, &key));
    assert_false(records_key_parse("job/ab01000000000000000000000000000X/graph", &back, &key));
    assert_false(records_key_parse("tree/ab010000000000000000000000000000/graph", &back, &key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_submission_comes_back),
        cmocka_unit_test(the_small_ones_come_back),
        cmocka_unit_test(requests_come_back),
        cmocka_unit_test(pointers_of_the_version_before_are_read),
        cmocka_unit_test(the_next_attempt_has_no_places),
        cmocka_unit_test(no_two_leaders_put_the_same),
        cmocka_unit_test(broken_ones_are_refused),
        cmocka_unit_test(keys_go_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
