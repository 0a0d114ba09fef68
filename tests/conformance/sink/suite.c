/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance/sink/suite.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/src/env.h"
#include "tests/support/fake_state.h"
#include "tests/support/faultfs/faultfs.h"
#include "tests/support/temp_dir.h"

#define JOB "c0ffee00112233445566778899aabbcc"
#define ROWS_A_CHECKPOINT 11u
#define COMMITTABLES_MAX 64u
#define ATTEMPTS_MAX 50u

static const struct weir_field fields[] = {WEIR_FIELD(suite_row, 1, I64, id), WEIR_FIELD(suite_row, 2, STR, text)};
const struct weir_schema suite_row_schema = {sizeof(struct weir_schema), "suite_row", sizeof(struct suite_row), 2, fields};

const char *suite_text(int64_t id)
{
    static char text[64];
    (void)snprintf(text, sizeof text, "row %lld of %u", (long long)id, SUITE_ROWS);
    return text;
}

/* ---- the checkpoint storage: memory that outlives the process ---------------------------------------------------------------------------
 */

struct stored {
    uint64_t id;
    uint32_t next_row, n;
    uint32_t lengths[COMMITTABLES_MAX];
    unsigned char data[COMMITTABLES_MAX][8192];
};

/* Two of them: one is complete while the other is written. */
struct storage {
    struct stored slots[2];
    uint32_t complete;
    uint64_t last_id; /* given out: never again */
};

static struct storage *storage;

static void store(uint64_t id, uint32_t next_row, struct fake *const *sinks, uint32_t n_sinks)
{
    struct stored *to = &storage->slots[1 - storage->complete];
    *to = (struct stored){.id = id, .next_row = next_row};
    for (uint32_t s = 0; s < n_sinks; s++) {
        for (uint32_t i = 0; i < sinks[s]->committables.n; i++, to->n++) {
            struct weir_bytes item = sinks[s]->committables.items[i];
            assert_true(to->n < COMMITTABLES_MAX && item.length <= sizeof to->data[0]);
            to->lengths[to->n] = item.length;
            memcpy(to->data[to->n], item.data, item.length);
        }
    }
    storage->complete = 1 - storage->complete;
}

/* ---- the job: in a process of its own
 * ---------------------------------------------------------------------------------------------------- */

static weir_err read_nothing(void *self, struct weir_ctx *ctx)
{
    (void)self, (void)ctx;
    return WEIR_DONE;
}

static weir_err discover_nothing(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    (void)config, (void)parallelism, (void)splits, (void)diag;
    return WEIR_OK;
}

static const struct weir_source nothing = {
    .struct_size = sizeof nothing, .name = "nothing", .schema = &suite_row_schema, .discover = discover_nothing, .read = read_nothing};

struct job {
    struct weir_env *env;
    struct fake *sinks[3];
    uint32_t n;
    uint32_t row;
};

static void must(const struct fake *f, weir_err err)
{
    if (!err) return;
    (void)fprintf(stderr, "%s: %s\n", weir_err_name(err), f->diag.text);
    _exit(1);
}

static void open_job(struct job *job, const struct suite_sink *sink, const char *dir, uint32_t attempt)
{
    const struct stored *from = &storage->slots[storage->complete];
    struct weir_bytes kept[COMMITTABLES_MAX];
    for (uint32_t i = 0; i < from->n; i++) kept[i] = (struct weir_bytes){from->data[i], from->lengths[i]};
    *job = (struct job){.n = 1 + attempt % 3, .row = from->next_row}; /* another parallelism each time */
    if (weir_env_new(&job->env, "suite", "/", 1)) _exit(1);
    if (!sink->add(weir_from(job->env, "in", &nothing, NULL, 0), dir)) _exit(1);
    const struct env_node *node = weir_env_node(job->env, 1);
    for (uint32_t s = 0; s < job->n; s++) {
        job->sinks[s] = fake_new(&(struct fake_options){.config = node->config,
                                                        .subtask = s,
                                                        .parallelism = job->n,
                                                        .job_id = JOB,
                                                        .operator_id = "out",
                                                        .attempt = attempt,
                                                        .restored = from->id});
        fake_state_open(job->sinks[s]);
        must(job->sinks[s], fake_op_open(job->sinks[s], node->op));
        for (uint32_t i = s; i < from->n; i += job->n) must(job->sinks[s], fake_op_commit_one(job->sinks[s], kept[i]));
        must(job->sinks[s], fake_op_recover(job->sinks[s], kept, from->n));
    }
}

static void write_row(struct job *job)
{
    struct fake *rows = fake_new(&(struct fake_options){.n_outs = 1}), *to = job->sinks[job->row % job->n];
    const char *text = suite_text(job->row);
    struct suite_row row = {.id = job->row};
    row.text = weir_put_str(rows->ctx.out, sizeof row, text, (uint32_t)strlen(text));
    must(rows, weir_emit(rows->ctx.out, &row, sizeof row, 0));
    fake_flush(rows);
    must(to, fake_op_feed(to, rows, 0));
    fake_close(rows);
    job->row++;
}

/* notify: the word that it is complete arrives, else with the next one. */
static void checkpoint(struct job *job, bool notify)
{
    uint64_t id = ++storage->last_id;
    for (uint32_t s = 0; s < job->n; s++) must(job->sinks[s], fake_op_prepare(job->sinks[s], id));
    store(id, job->row, job->sinks, job->n);
    for (uint32_t s = 0; s < job->n && notify; s++) must(job->sinks[s], fake_op_commit(job->sinks[s]));
}

static void run_job(const struct suite_sink *sink, const char *dir, uint32_t attempt, uint64_t end_at)
{
    weir_fault_set_fn *set = (weir_fault_set_fn *)(uintptr_t)dlsym(RTLD_DEFAULT, "weir_fault_set");
    if (end_at) set(dir, WEIR_FAULT_EVERY, end_at, WEIR_FAULT_CRASH, false);
    struct job job;
    open_job(&job, sink, dir, attempt);
    while (job.row < SUITE_ROWS) {
        write_row(&job);
        if (job.row % ROWS_A_CHECKPOINT == 0) checkpoint(&job, job.row % (2 * ROWS_A_CHECKPOINT) == 0);
    }
    checkpoint(&job, true);
    for (uint32_t s = 0; s < job.n; s++) fake_close(job.sinks[s]);
    weir_env_destroy(&job.env);
    _exit(0);
}

/* ---- what a reader sees
 * ------------------------------------------------------------------------------------------------------------------ */

/* After any end: all that a complete checkpoint has or had shown, nothing else, nothing twice. */
static void check_seen(const struct suite_sink *sink, const char *dir, uint64_t end_at, bool over)
{
    struct suite_seen seen = {0};
    uint32_t complete = storage->slots[storage->complete].next_row;
    sink->read(dir, &seen);
    if (seen.broken) fail_msg("%s, ended before call %llu: %u rows are not whole", sink->name, (unsigned long long)end_at, seen.broken);
    for (uint32_t id = 0; id < SUITE_ROWS; id++) {
        uint32_t n = seen.times[id];
        if (!sink->at_least_once && (n > 1 || (n && id >= complete)))
            fail_msg("%s, ended before call %llu: row %u is seen %u times; %u rows are in complete checkpoints", sink->name,
                     (unsigned long long)end_at, id, n, complete);
        if (over && n == 0) fail_msg("%s, ended before call %llu: row %u is lost", sink->name, (unsigned long long)end_at, id);
    }
    if (over && seen.left_over)
        fail_msg("%s, ended before call %llu: %u files are left over", sink->name, (unsigned long long)end_at, seen.left_over);
}

/* One attempt; true: it ended by itself. */
static bool attempt(const struct suite_sink *sink, const char *dir, uint32_t number, uint64_t end_at)
{
    int status;
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) run_job(sink, dir, number, end_at);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != WEIR_FAULT_CRASH_EXIT)
        fail_msg("%s, attempt %u ended before call %llu: the sink failed", sink->name, number, (unsigned long long)end_at);
    bool over = WEXITSTATUS(status) == 0;
    check_seen(sink, dir, end_at, over);
    return over;
}

static void begin(const struct suite_sink *sink, struct temp_dir *dir)
{
    temp_dir_make(dir);
    if (!dlsym(RTLD_DEFAULT, "weir_fault_set")) fail_msg("the suite runs with faultfs preloaded");
    storage = mmap(NULL, sizeof *storage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(storage != MAP_FAILED);
    if (sink->prepare_folder) sink->prepare_folder(dir->path);
}

static void end(struct temp_dir *dir)
{
    (void)munmap(storage, sizeof *storage);
    temp_dir_remove(dir);
}

void suite_ended_anywhere(void **state)
{
    const struct suite_sink *sink = *state;
    bool by_itself = false;
    for (uint64_t end_at = 1; !by_itself; end_at++) {
        struct temp_dir dir;
        begin(sink, &dir);
        by_itself = attempt(sink, dir.path, 1, end_at);
        if (!by_itself) assert_true(attempt(sink, dir.path, 2, 0));
        end(&dir);
        assert_true(end_at < 10000);
    }
}

/* Each attempt comes a few calls further than nothing at all, also while it recovers; then one is left in peace. */
void suite_ended_again_and_again(void **state)
{
    const struct suite_sink *sink = *state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct temp_dir dir;
        uint64_t rng = seed * 0x9e3779b97f4a7c15u;
        bool over = false;
        begin(sink, &dir);
        for (uint32_t number = 1; !over && number < ATTEMPTS_MAX; number++) {
            rng = rng * 6364136223846793005u + 1442695040888963407u;
            over = attempt(sink, dir.path, number, number < 8 ? 1 + (rng >> 33) % 40 : 0);
        }
        assert_true(over);
        end(&dir);
    }
}
