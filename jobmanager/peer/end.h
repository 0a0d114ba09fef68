/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a peer that must not go on: its disk failed, or it contradicts the ensemble. Its files stay as they are, for the next start or
 * for whoever looks into it. The process ends at once, so that nothing that counts as a promise is said any more.
 */
#ifndef WEIR_JOBMANAGER_PEER_END_H
#define WEIR_JOBMANAGER_PEER_END_H

#define PEER_END_STATUS 1 /* of the process: that of any daemon that failed */

/* Logs what failed and why. Thread: any. */
_Noreturn void peer_end(const char *what, const char *why);

#endif
