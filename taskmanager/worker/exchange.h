/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data plane's driver: moves frames between this worker's task threads and the other workers of the attempt. One ROUTER takes frames
 * from all peers; one DEALER per peer sends frames to its ROUTER; credits come back the way frames went, so they never queue behind data.
 *
 * Every frame is checked before a task sees it: its outer form, then (job, epoch, attempt, sender), then its number; the task checks its
 * checksum and records before it uses them. What belongs to another attempt or process is dropped and counted; a gap in the numbers or a
 * damaged frame fails the job and names the channel. A lost tail shows when the sender, hearing nothing of its last frames, probes the
 * channel. Thread: the net thread.
 */
#ifndef WEIR_TASKMANAGER_WORKER_EXCHANGE_H
#define WEIR_TASKMANAGER_WORKER_EXCHANGE_H

#include "runtime/net/socket.h"
#include "taskmanager/worker/deployment.h"

struct exchange;

/* Binds the data socket. identity: this worker's incarnation. silence_ms: as of a net_socket_config. Errors: of net_socket_bind. */
weir_err exchange_new(struct exchange **out, struct deployment *d, const struct wire_msg *deploy, struct weir_id incarnation,
                      const char *endpoint, uint32_t silence_ms, struct weir_diag *diag);
/*
 * Sockets go. Frames still in them come home when net_stop has returned; those that wait in channels when deployment_destroy has:
 * exchange_destroy frees the rest after both.
 */
void exchange_close(struct exchange *x);
void exchange_destroy(struct exchange **x);

const char *exchange_endpoint(const struct exchange *x); /* with the real port */

/* Connects to the peers of the START message. Errors: WEIR_E_CORRUPT (not all peers, or doubled), of net_socket_connect. */
weir_err exchange_connect(struct exchange *x, const struct wire_msg *start, struct weir_diag *diag);

/* Moves what is there in both directions. *moved: something was. Errors: WEIR_E_PROTOCOL (gap), WEIR_E_CORRUPT, WEIR_E_NOMEM, WEIR_E_IO. */
weir_err exchange_pump(struct exchange *x, int64_t now_ms, bool *moved, struct weir_diag *diag);

/* Appends the sockets to wait for. Returns how many. */
uint32_t exchange_wait_items(struct exchange *x, struct net_wait *items, uint32_t max);
/* True when a task thread has put something out: look once more before sleeping. */
bool exchange_has_output(const struct exchange *x);
uint64_t exchange_dropped(const struct exchange *x); /* frames of other jobs, attempts, processes */

#endif
