/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a peer, and the turns of its thread: wait, take what came, let the cores decide, send and write all at once. */
#include "jobmanager/peer/peer.h"

#include <stdio.h>
#include <stdlib.h>

#include "jobmanager/peer/internal.h"
#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/folder.h"
#include "runtime/base/log.h"

/* ---- turns --------------------------------------------------------------------------------------------------------------------- */

static void look_at_clocks(struct peer *p)
{
    p->now_ms = clock_mono_ms();
    p->wall_ms = clock_wall_ms();
}

static int64_t wait_ms(const struct peer *p)
{
    int64_t at_ms = carry_deadline(p), links_ms = links_deadline(p);
    if (p->disk_ready || snapshots_busy(p)) return 0;
    if (links_ms < at_ms) at_ms = links_ms;
    int64_t now_ms = clock_mono_ms();
    return at_ms <= now_ms ? 0 : at_ms - now_ms;
}

/* Waits for something. false: nothing came. */
static bool wait_for_events(struct peer *p, bool *disk, bool *orders)
{
    struct net_wait waits[2 + LINKS_WAITS + CLIENTS_WAITS];
    uint32_t n = 2;
    waits[0] = (struct net_wait){.fd = disk_fd(p->disk), .want_read = true};
    waits[1] = (struct net_wait){.fd = p->owner.order_fd, .want_read = true};
    n += links_waits(p, waits + n);
    n += clients_waits(p, waits + n);
    uint32_t ready = net_poll(waits, n, wait_ms(p));
    *disk = p->disk_ready || waits[0].readable;
    *orders = waits[1].readable;
    return ready > 0 || *disk;
}

/* All that was decided goes out: first to the peers, whose disks take longest. */
static void flush(struct peer *p)
{
    links_flush(p);
    disk_flush(p->disk);
    clients_flush(p);
    owner_flush(p);
}

static void turn(struct peer *p)
{
    bool disk, orders;
    bool came = wait_for_events(p, &disk, &orders);
    look_at_clocks(p);
    if (disk) carry_disk(p);
    if (orders) owner_orders(p);
    links_receive(p);
    clients_receive(p);
    links_tick(p);
    if (!came || p->now_ms >= carry_deadline(p) + OVERDUE_MS) carry_tick(p);
    if (snapshots_busy(p)) snapshots_slice(p, came ? SLICE_BUSY_BYTES : IMAGE_SLICE_BYTES);
    flush(p);
}

static weir_err open_sockets(struct peer *p)
{
    weir_err err = links_open(p, &p->diag);
    return err ? err : clients_open(p, &p->diag);
}

static void *run(void *arg)
{
    struct peer *p = arg;
    look_at_clocks(p);
    p->err = open_sockets(p);
    if (!p->err) {
        carry_start(p);
        flush(p);
    }
    bool good = !p->err;
    gate_open(&p->ready);
    while (good && !atomic_load(&p->stopping)) turn(p);
    links_close(p);
    clients_close(p);
    return NULL;
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------- */

static void on_line(void *arg, bool notable, const char *line)
{
    (void)arg;
    if (notable)
        log_info("coordination", " what=\"%s\"", line);
    else
        log_debug("coordination", " what=\"%s\"", line);
}

static void take_config(struct peer *p, const struct peer_config *config)
{
    p->id = config->id;
    p->cluster = config->cluster;
    p->limits = config->limits;
    p->snapshot_entries = config->snapshot_entries ? config->snapshot_entries : PEER_SNAPSHOT_ENTRIES;
    p->snapshot_bytes = config->snapshot_bytes ? config->snapshot_bytes : PEER_SNAPSHOT_BYTES;
    (void)snprintf(p->bind, sizeof p->bind, "%s", config->bind);
    (void)snprintf(p->client_bind, sizeof p->client_bind, "%s", config->client_bind);
    p->zab_config = (struct zab_config){.id = config->id,
                                        .cluster = config->cluster,
                                        .tick_ms = config->tick_ms,
                                        .sync_timeout_ms = config->sync_timeout_ms,
                                        .trace = on_line};
}

static weir_err recover(struct peer *p, const struct peer_config *config, struct weir_diag *diag)
{
    struct coord_disk *disk = NULL;
    struct weir_diag note = {0};
    struct coord_disk_config c = {
        .folder = config->folder, .cluster = config->cluster, .peer = config->id, .segment_bytes = config->segment_bytes};
    recovery_init(&p->recovery, config->members);
    weir_err err = folder_make(config->folder, diag);
    if (!err) err = coord_state_init(&p->state);
    p->state_open = !err;
    if (!err) err = coord_disk_open(&disk, &c, &p->state, &p->recovery, &note, diag);
    if (err) return err;
    if (note.text[0] != '\0') log_warn("the coordination folder is damaged, but not beyond repair", " what=\"%s\"", note.text);
    p->snapshots.newest = p->recovery.snapshot;
    err = disk_thread_new(&p->disk, disk, diag);
    if (err) coord_disk_close(&disk);
    return err;
}

static weir_err start(struct peer *p, struct weir_diag *diag)
{
    int failed = pthread_create(&p->thread, NULL, run, p);
    if (failed) return weir_fail_errno(diag, failed, "start the thread of the coordination peer");
    p->started = true;
    (void)pthread_setname_np(p->thread, "coord");
    gate_wait(&p->ready);
    if (p->err && diag) *diag = p->diag;
    return p->err;
}

weir_err peer_new(struct peer **out, const struct peer_config *config, struct weir_diag *diag)
{
    struct peer *p = calloc(1, sizeof *p);
    if (!p) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a coordination peer");
    take_config(p, config);
    gate_init(&p->ready);
    net_parts_init(&p->parts);
    weir_err err = owner_open(&p->owner, diag);
    if (!err) err = recover(p, config, diag);
    if (!err) err = start(p, diag);
    if (err) {
        peer_destroy(&p);
        return err;
    }
    *out = p;
    return WEIR_OK;
}

static void close_wishes(struct wishes *w)
{
    buffer_close(&w->list);
    buffer_close(&w->bytes);
}

void peer_destroy(struct peer **peer)
{
    struct peer *p = *peer;
    *peer = NULL;
    if (!p) return;
    atomic_store(&p->stopping, true);
    owner_wake(p);
    if (p->started) pthread_join(p->thread, NULL);
    image_end(&p->snapshots.image);
    disk_thread_destroy(&p->disk);
    zab_destroy(&p->zab);
    coord_server_destroy(&p->server);
    if (p->state_open) coord_state_close(&p->state);
    zab_actions_close(&p->zab_actions);
    coord_server_actions_close(&p->server_actions);
    close_wishes(&p->wishes);
    close_wishes(&p->spare);
    close_wishes(&p->late);
    buffer_close(&p->scratch);
    net_parts_close(&p->parts);
    owner_close(&p->owner);
    gate_close(&p->ready);
    free(p);
}

uint32_t peer_id(const struct peer *p)
{
    return p->id;
}

const char *peer_endpoint(const struct peer *p)
{
    return p->links.router ? net_socket_endpoint(p->links.router) : "";
}

const char *peer_client_endpoint(const struct peer *p)
{
    return p->clients.router ? net_socket_endpoint(p->clients.router) : "";
}
