/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator: the cores of a JobManager and three TaskManagers in one thread, in a world that is drawn from a seed; or of several
 * JobManagers, of which each has a peer of a simulated ensemble (coord/ensemble.h), and one leads.
 *
 *     jobmanager core ◀── network: loses, doubles, delays, reorders, cuts ──▶ taskmanager cores ◀── pipes ──▶ worker processes
 *        ▲    ▲
 *        │    └── describing processes, artifact store
 *        └── users who submit and cancel
 *
 * Time is a number. The world keeps events in a heap, hands the earliest to its core, performs the core's actions by pushing events, and
 * checks the invariants (check.c) after each. Everything random comes from the seed, so a seed repeats its run line by line.
 *
 * Two ways to use it. sim.c draws a world of faults (sim_draw), lets it rage, heals it and demands that everything ends well. A story
 * (test_*.c) makes a calm world (sim_new) in which every delay is fixed, and breaks one thing at a time.
 */
#ifndef WEIR_TESTS_SIM_WORLD_H
#define WEIR_TESTS_SIM_WORLD_H

#include "jobmanager/master.h"
#include "taskmanager/supervisor.h"

#define SIM_TMS 3
#define SIM_JMS 5 /* most JobManagers of a world */
#define SIM_JOBS_MAX 24
#define SIM_PROCESSES_MAX (SIM_JOBS_MAX * SIM_TMS * 8)
#define SIM_SLOTS 6         /* most slots of a job */
#define SIM_PENDING_MAX 128 /* what one slot's sink has prepared and not committed */
#define SIM_CHECKPOINTS_MAX 512
#define SIM_KEYS_MAX (SIM_JOBS_MAX * 8)

/* What the describing process of a job does. */
enum sim_describe { SIM_DESCRIBE_WELL, SIM_DESCRIBE_FAILS, SIM_DESCRIBE_CYCLE, SIM_DESCRIBE_NEVER, SIM_DESCRIBES };

/* What is wrong with one worker of a job. */
enum sim_fate {
    SIM_GOOD,
    SIM_NO_START,           /* the process cannot be started */
    SIM_CRASHES_LOADING,    /* killed by a signal before READY */
    SIM_NEVER_READY,        /* lives, but READY never comes */
    SIM_SILENT,             /* stops to send ALIVE, and does nothing any more */
    SIM_STALLS,             /* its net thread lives, a step does not return */
    SIM_CRASHES_RUNNING,    /* killed by a signal while it works */
    SIM_FAILS,              /* user code returns a failure: ENDED FAILED */
    SIM_SYMPTOM,            /* reports that a peer does not answer */
    SIM_OTHER_GRAPH,        /* another fingerprint than described */
    SIM_NEVER_CONNECTS,     /* READY, but RUNNING never comes */
    SIM_GARBAGE,            /* sends bytes that are no message */
    SIM_DEAF,               /* ignores CANCEL */
    SIM_LINGERS,            /* says how it ended, but does not go */
    SIM_CRASHES_COMMITTING, /* killed by a signal between COMMIT and its commit */
    SIM_DIES_AFTER_COMMIT,  /* killed by a signal after its commit, before it can say so */
    SIM_MUTE,               /* exits with status 0 and no word */
    SIM_FATES
};

/* A job, as its user, plugin and workers will behave. */
struct sim_spec {
    uint32_t parallelism; /* 1 ... */
    uint32_t n_splits;    /* of its source, at most 64 */
    uint32_t plugin;      /* number of the plugin; plugins are shared between jobs */
    enum sim_describe describe;
    uint32_t describe_ms, step_ms, run_ms; /* step: to load, connect, prepare, commit, go */
    enum sim_fate fate;
    uint32_t fate_worker;   /* the worker it happens to; none when there is no such worker */
    uint32_t fate_attempts; /* in so many attempts; 0 = in each */
    /* checkpoints, restarts */
    uint32_t interval_ms; /* 0: no checkpoints */
    uint32_t min_pause_ms, timeout_ms, tolerable, n_retained;
    uint32_t restarts, restart_delay_ms; /* fixed-delay; 0 restarts = none */
};

/* What a sink has prepared: rows from ... to of a slot, in a checkpoint. */
struct sim_committable {
    uint64_t id, from, to;
};

/* What a slot tells a checkpoint, and begins with when it is restored. */
struct sim_slot {
    bool told;
    uint64_t position;
    uint32_t n_pending;
    struct sim_committable pending[SIM_PENDING_MAX];
};

/* A folder in the checkpoint storage. */
struct sim_checkpoint {
    bool exists, sealed, lied; /* lied: a ledger of it does not agree */
    uint32_t job;              /* index */
    uint64_t id;
    uint32_t options;
    char path[96];
    uint32_t n_packs;
    struct sim_slot slots[SIM_SLOTS];
};

/* A key in the catalog's store. */
struct sim_key {
    char key[CATALOG_KEY_MAX + 1];
    uint64_t version;
    struct buffer value;
};

#define SIM_REQUESTS_MAX 8
#define SIM_REPEAT 1000 /* in the place of options: one that was made before is made again */

/* What a user has asked of a job. */
struct sim_request {
    struct weir_id id;
    uint32_t options;
    char path[48];
    bool accepted;                /* the user was told so */
    enum ckpt_request_state seen; /* an end that the user was told; 0: none */
    uint32_t begun;               /* how often a folder was made for it */
    bool completed;               /* the catalog has named its savepoint */
};

struct sim_job {
    struct weir_id id;
    struct sim_spec spec;
    bool submitted; /* and not refused at once */
    bool accepted;  /* the user was told that it is in the catalog */
    bool forgotten; /* the JobManager that knew it has crashed */
    bool describe_stopped;
    bool cancel_asked;    /* by a user */
    bool canceled;        /* and told that it will be: whoever leads then, it ends so */
    uint32_t n_seen;      /* entries of its history that were checked */
    enum job_state state; /* last seen */
    uint32_t attempt;     /* last seen */
    uint32_t ran;         /* the attempt that was last seen RUNNING */
    uint32_t tms;         /* bit set of TaskManagers with a worker of the attempt */
    uint32_t n_workers;
    uint32_t n_ended; /* JOB_ENDED actions */
    bool stop_asked;  /* a stop with a savepoint was accepted */
    uint32_t n_requests;
    struct sim_request requests[SIM_REQUESTS_MAX];
    uint64_t last_begun;         /* highest number of a checkpoint */
    uint64_t visible[SIM_SLOTS]; /* what the sinks have made visible: rows 0 ... visible - 1 of each slot */
};

/* A worker process: what really happened, whatever the cores believe. */
struct sim_process {
    bool exists; /* the operating system has it */
    uint32_t tm, life;
    uint32_t job; /* index */
    uint32_t attempt, worker, n_slots;
    uint64_t epoch, fingerprint;
    enum sim_fate fate;
    bool quiet; /* sends no ALIVE */
    bool ready, running, prepared, committed, leaving;
    int64_t stalled_since_ms; /* -1: not stalled */
    int64_t order_ms;         /* the last order arrives then; orders keep their order */
    /* checkpoints */
    bool checkpoints;
    uint64_t restore_id;
    char restore_path[96];
    uint32_t slots;                   /* bit set of those it runs */
    int64_t base_ms, rest_ms;         /* it has been running since, its sources rest since (INT64_MAX: they do not) */
    uint64_t triggered, aborted;      /* highest numbers heard of */
    uint64_t begun[SIM_SLOTS];        /* what was written since the last barrier begins there */
    struct sim_slot state[SIM_SLOTS]; /* position: where it began */
    struct sim_slot taken[SIM_SLOTS]; /* the snapshot of `triggered` */
    char target[96];                  /* of the savepoint that was triggered */
    uint64_t splits;                  /* bit set of the splits it reads */
};

/* What is there of a JobManager besides, when it has a peer of an ensemble (leaders.c). */
struct sim_peer;

struct sim_jobmanager {
    struct sim *world;   /* for lines */
    uint32_t index;      /* 0 ... */
    struct master *core; /* NULL: crashed */
    uint64_t epoch;      /* of the master; 0: it leads nothing */
    int64_t wake_ms;     /* TICK that counts */
    int64_t paused_ms;   /* stopped until then */
    int64_t storage_ms;  /* its last order to the storage is done then ... */
    int64_t chunk_ms;    /* ... and its last chunk of a plugin is read */
    struct sim_peer *peer;
};

struct sim_taskmanager {
    struct sim *world;       /* for lines */
    struct supervisor *core; /* NULL: crashed */
    uint32_t life;           /* grows with each start */
    uint64_t route;          /* of its connection ... */
    uint32_t jm;             /* ... to this JobManager */
    uint64_t obeyed;         /* highest epoch of an order that has taken effect */
    int64_t wake_ms;         /* TICK that counts */
    int64_t paused_ms;       /* stopped until then */
    bool cut_in, cut_out;    /* the network loses all to it, all from it */
    uint64_t stored[8];      /* by plugin: bytes stored of the one being fetched */
    bool cached[8];          /* by plugin: on disk; survives a crash */
};

#define SIM_PLUGINS 4

struct sim_config {
    uint32_t loss, doubled, slow; /* of 1000 packets */
    uint32_t delay_ms, slow_ms;   /* longest delay of a usual and of a slow packet */
    uint32_t slots[SIM_TMS];
    uint32_t heartbeat_ms, heartbeat_timeout_ms, retransmit_ms;
    uint32_t slot_wait_ms, describe_timeout_ms, start_timeout_ms, ready_timeout_ms, reconcile_ms, leader_wait_ms;
    uint32_t worker_silence_ms, cancel_timeout_ms, progress_timeout_ms;
    uint32_t store_fails;                    /* of 1000 reads and writes of plugins */
    uint32_t storage_fails, storage_ms;      /* of 1000 orders to the checkpoint storage; longest time it takes */
    uint32_t catalog_fails, catalog_unknown; /* of 1000 puts: refused; done or not, and nobody says which */
    uint32_t node_bytes;                     /* with an ensemble: larger values of the catalog lie in parts; 0: as outside of tests */
    uint32_t lies;                           /* of 1000 acknowledgements: a record was lost on a channel */
};

struct sim_event;
struct ens;
struct ens_config;
struct leaders;
struct sim;

/* Worker processes that are more than the model in workers.c (tests/sim/tasks). A process that the engine starts is its own until killed.
 */
struct sim_engine {
    void (*describe)(const struct sim_spec *spec, struct graph *out);
    void (*start)(struct sim *sim, uint32_t process, struct weir_bytes deploy);
    void (*order)(struct sim *sim, uint32_t process, struct weir_bytes order);
    void (*step)(struct sim *sim, uint32_t process);
    void (*kill)(struct sim *sim, uint32_t process); /* also of one that has ended, or never begun */
    void (*completed)(struct sim *sim, const struct sim_checkpoint *checkpoint);
    void (*failing)(struct sim *sim, const char *reason); /* an attempt */
    void (*finished)(struct sim *sim, const struct sim_job *job);
};

struct sim {
    const struct sim_engine *engine; /* NULL: the model */
    uint64_t seed, random;
    bool calm;  /* no chance at work: every delay is its longest */
    bool print; /* lines go to stdout */
    struct sim_config config;
    int64_t now_ms;
    uint64_t order; /* of events at the same time */
    uint32_t n_events, cap_events;
    struct sim_event *events; /* a binary heap */

    struct ens *ens;         /* of the JobManagers' peers; NULL: there is one JobManager, and the catalog's store is durable.c */
    struct leaders *leaders; /* with it */
    bool spared;             /* nothing happens but to JobManagers and their peers: attempts must go on */
    uint32_t n_jms;
    struct sim_jobmanager jms[SIM_JMS];
    uint32_t leader;   /* the JobManager that took up the catalog last ... */
    struct master *jm; /* ... and its master; NULL: it has crashed or knows that it leads no more */
    uint64_t epoch;    /* of that */
    struct master_actions jm_actions;
    struct sim_taskmanager tms[SIM_TMS];
    struct supervisor_actions tm_actions;
    uint64_t last_route;
    uint32_t n_jobs;
    struct sim_job jobs[SIM_JOBS_MAX];
    uint32_t n_processes;
    struct sim_process processes[SIM_PROCESSES_MAX];

    uint32_t n_keys;
    struct sim_key keys[SIM_KEYS_MAX]; /* in order; survive the JobManager */
    struct sim_checkpoint checkpoints[SIM_CHECKPOINTS_MAX];

    enum wire_type drop_type; /* drop_n packets with it, to or from drop_tm, are lost */
    uint32_t drop_tm, drop_n;

    uint32_t spin;                                           /* ticks without time passing */
    uint64_t n_steps, n_completed, n_restarted, n_recovered; /* n_completed: checkpoints; n_recovered: jobs taken up again ... */
    uint64_t n_adopted;                                      /* ... that went on without a restart */
    uint64_t n_leaders;
    uint64_t hash;       /* of all that happened */
    struct buffer lines; /* the trace */
    bool violated;
    char violation[WEIR_DIAG_MAX];
};

/* A calm world with two slots on each of tm-1, tm-2, tm-3, all of them just started. */
void sim_new(struct sim **out);
/* The same with so many JobManagers, just started: nobody leads yet. */
void sim_new_ensemble(struct sim **out, uint32_t jms);
/* A world with faults, jobs, crashes and cuts drawn from the seed; with 3 or 5 JobManagers, whose peers suffer too, or with one. */
void sim_draw(struct sim **out, uint64_t seed, bool ensemble, bool print);
void sim_destroy(struct sim **sim);

/* Time passes. Stops early when an invariant breaks. */
void sim_run(struct sim *sim, int64_t ms);
/* As sim_run, until the job has this state; false when it has not after so long. */
bool sim_run_until(struct sim *sim, uint32_t job, enum job_state state, int64_t ms);
/* Ends all faults and starts what has crashed; then everything must have ended well within `bound_ms`. */
void sim_heal(struct sim *sim, int64_t bound_ms);
/* Everything has ended: jobs in terminal states, TaskManagers registered, no process, no slot in use. `why` (may be NULL) says what has
 * not. */
bool sim_at_rest(const struct sim *sim, const char **why);

/* ---- what users do ---- */
uint32_t sim_submit(struct sim *sim, const struct sim_spec *spec); /* gives the job's index */
weir_err sim_cancel(struct sim *sim, uint32_t job);                /* the answer */
const struct job *sim_job(const struct sim *sim, uint32_t job);    /* as the JobManager sees it */

/* ---- what breaks; tm: 0 ... SIM_TMS - 1 ---- */
void sim_drop_next(struct sim *sim, enum wire_type type, uint32_t tm, uint32_t n);
void sim_cut(struct sim *sim, uint32_t tm, bool in, bool out);
void sim_crash(struct sim *sim, uint32_t tm);
void sim_start(struct sim *sim, uint32_t tm);
void sim_pause(struct sim *sim, uint32_t tm, int64_t ms);
void sim_stop(struct sim *sim, uint32_t tm);  /* SIGTERM; whoever looks after the machine starts it again after 500 ms */
void sim_restart_jobmanager(struct sim *sim); /* the only one */
/* In a world with an ensemble: a JobManager with its peer, which starts again `ms` later; the one that leads is stopped and goes on. */
void sim_crash_jobmanager(struct sim *sim, uint32_t jm, int64_t ms);
void sim_pause_leader(struct sim *sim, int64_t ms);
void sim_cut_jobmanager(struct sim *sim, uint32_t jm, bool cut); /* its peer from all others, both ways; TaskManagers reach it */
/* What it decides from now on does not get to its peer before so much time has passed: what it writes to the catalog. */
void sim_hold_orders(struct sim *sim, uint32_t jm, int64_t ms);
void sim_slow_disks(struct sim *sim, uint32_t ms); /* how long an fsync of each peer takes from now on */
/* Asks for a checkpoint; the answer. */
weir_err sim_request(struct sim *sim, uint32_t job, uint32_t options);

/* ---- lines ---- */
void sim_trace(struct sim *sim, const char *fmt, ...) WEIR_PRINTF(2, 3); /* "[  20] " is put in front */
/* The lines of `text` appear in the trace in this order, others between them. Lines are compared without their time. */
bool sim_expect(struct sim *sim, const char *text);
void sim_violate(struct sim *sim, const char *fmt, ...) WEIR_PRINTF(2, 3);

/* ---- between the parts of the simulator ---- */
enum sim_kind {
    SIM_EV_JM_TICK,
    SIM_EV_JM_PACKET,
    SIM_EV_DESCRIBED,
    SIM_EV_CHUNK,
    SIM_EV_SUBMIT,
    SIM_EV_CANCEL,
    SIM_EV_CATALOG,
    SIM_EV_STORAGE,
    SIM_EV_REQUEST,
    SIM_EV_JM_RESTART,
    SIM_EV_JM_PAUSE,
    SIM_EV_JM_NEWS,     /* its peer tells it something */
    SIM_EV_PEER_ASK,    /* it tells its peer something */
    SIM_EV_SERVER_TICK, /* of its peer */
    SIM_EV_TM_TICK,
    SIM_EV_TM_PACKET,
    SIM_EV_STORED,
    SIM_EV_PROCESS,
    SIM_EV_CRASH,
    SIM_EV_START,
    SIM_EV_PAUSE,
    SIM_EV_CUT,
};

/* What a process does next. */
enum sim_act {
    SIM_ACT_ALIVE,
    SIM_ACT_READY,
    SIM_ACT_RUNNING,
    SIM_ACT_PREPARED,
    SIM_ACT_COMMIT,
    SIM_ACT_ORDER,
    SIM_ACT_SNAPSHOT,
    SIM_ACT_ACKNOWLEDGE,
    SIM_ACT_FAIL,
    SIM_ACT_STEP, /* of an engine's process */
    SIM_ACT_EXIT,
};

struct sim_event {
    int64_t at_ms;
    uint64_t order;
    enum sim_kind kind;
    uint32_t jm;       /* JobManager */
    uint32_t tm, life; /* TaskManager and which life of it */
    uint32_t what;     /* job index, process index, plugin ... */
    uint32_t how;      /* enum sim_act, exit status, cut ... */
    uint64_t ref, offset;
    void *data; /* malloc'ed */
    size_t len;
};

uint64_t sim_random(struct sim *sim, uint64_t below);    /* 0 ... below - 1 */
bool sim_chance(struct sim *sim, uint32_t per_mille);    /* never in a calm world */
int64_t sim_delay(struct sim *sim, uint32_t longest_ms); /* 1 ... longest; the longest in a calm world */
void sim_push(struct sim *sim, struct sim_event ev);     /* its order is given here */
void sim_fold(struct sim *sim, uint64_t value);          /* into the hash */
uint32_t sim_plugin_bytes(uint32_t plugin);
struct weir_digest sim_plugin_digest(uint32_t plugin);
uint32_t sim_plugin_of(struct weir_digest digest);
int sim_find_job(const struct sim *sim, struct weir_id id); /* -1: none */

struct sim_tm_name {
    char text[8];
};
struct sim_tm_name sim_tm_name(uint32_t tm);

/* Worlds from a seed: a calm one without events, chance by the seed; who starts everything; a number, mostly small. */
struct sim *sim_new_world(uint64_t seed);
void sim_start_all(struct sim *sim);
uint32_t sim_between(struct sim *sim, uint32_t least, uint32_t most);
uint32_t sim_rate(struct sim *sim, uint32_t most);
void sim_draw_config(struct sim *sim);
void sim_draw_requests(struct sim *sim, uint32_t job, int64_t at_ms);
void sim_draw_trouble(struct sim *sim, int64_t rage_ms);

/* workers.c: worker processes */
void workers_say(struct sim *sim, uint32_t process, const void *data, size_t len); /* to its TaskManager */
void workers_vanish(struct sim *sim, uint32_t process);                            /* the operating system has it no more */
void workers_act_later(struct sim *sim, uint32_t process, enum sim_act how, int64_t at_ms);
struct sim_process *workers_find(struct sim *sim, uint32_t tm, struct weir_id job, uint32_t attempt);
void workers_start(struct sim *sim, uint32_t tm, const struct supervisor_action *a);
void workers_order(struct sim *sim, uint32_t tm, const struct supervisor_action *a);
void workers_on_event(struct sim *sim, const struct sim_event *ev);

/* durable.c: what outlives the JobManager: the catalog's store, the checkpoint storage */
void durable_order(struct sim *sim, const struct catalog_order *order);             /* given to the store */
void durable_on_catalog(struct sim *sim, struct sim_event *ev);                     /* the store does it */
void durable_storage(struct sim_jobmanager *jm, const struct master_action *order); /* given to the storage */
void durable_on_storage(struct sim *sim, struct sim_event *ev);                     /* the storage does it */
void durable_crash(struct sim_jobmanager *jm);                                      /* it dies: what was on its way is done, or not */
void durable_set(struct sim *sim, const char *key, struct weir_bytes value);        /* a key of the catalog has a new value */
void durable_unset(struct sim *sim, const char *key);
uint32_t durable_list(const struct sim *sim, struct master_listed *out); /* room for SIM_KEYS_MAX */
struct sim_checkpoint *durable_find(struct sim *sim, const char *path);  /* NULL: no such folder */
/* The newest checkpoint that the catalog names; false: none. */
bool durable_newest(const struct sim *sim, uint32_t job, uint64_t *id, uint32_t *options, char path[static 96]);
bool durable_names(const struct sim *sim, uint32_t job, uint64_t id); /* does the catalog name it? */

void *actors_copy(const void *data, size_t len);
struct weir_id actors_random_id(struct sim *sim);
void actors_step_jobmanager(struct sim_jobmanager *jm, struct master_event *ev);
void actors_step_taskmanager(struct sim *sim, uint32_t tm, struct supervisor_event *ev);
weir_err actors_request(struct sim *sim, uint32_t job, uint32_t options);
weir_err actors_request_as(struct sim *sim, uint32_t job, const struct sim_request *request);
void actors_repeat_request(struct sim *sim, uint32_t job);   /* one of those before, under its id */
void actors_dispatch(struct sim *sim, struct sim_event *ev); /* actors.c: drivers, users */
/* A new master. With an epoch it leads, and takes up what is listed; without, it names `leader`. */
void actors_start_master(struct sim_jobmanager *jm, uint64_t epoch, const char *leader, const struct master_listed *listed, uint32_t n);
void actors_tick_jobmanager(struct sim_jobmanager *jm);
void actors_start(struct sim *sim, uint32_t tm);
void actors_crash(struct sim *sim, uint32_t tm);
void actors_stop(struct sim *sim, uint32_t tm);
weir_err actors_cancel(struct sim *sim, uint32_t job);
void actors_submit(struct sim *sim, uint32_t job);
void check_jobmanager(struct sim *sim);               /* check.c: after each step of the JobManager that leads */
void check_leader(struct sim *sim);                   /* a new one has taken up the catalog */
void check_taskmanager(struct sim *sim, uint32_t tm); /* after each step of a TaskManager */

/* leaders.c: JobManagers with peers of an ensemble */
void leaders_new(struct sim *sim, const struct ens_config *config); /* makes sim->ens, and JobManagers that start soon */
void leaders_destroy(struct sim *sim);
void leaders_order(struct sim_jobmanager *jm, const struct catalog_order *order);
void leaders_anew(struct sim_jobmanager *jm);                 /* the master asks for its end: with the next news */
void leaders_say(struct sim_jobmanager *jm);                  /* what the catalog has to say goes to the peer */
int64_t leaders_deadline_ms(const struct sim_jobmanager *jm); /* when leaders_say has something to say */
void leaders_on_event(struct sim *sim, const struct sim_event *ev);
/* Whatever lies in the tree in parts is of a value, or may be being written. */
void leaders_check_parts(struct sim *sim);

#endif
