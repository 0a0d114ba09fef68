/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/artifacts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"

/* Another member, as the leader sees it. */
struct follower {
    uint32_t id;
    uint64_t number;  /* of the request under way; 0: none */
    uint64_t version; /* of the list it was told last */
    uint64_t fetched; /* as it said last */
    int64_t due_ms;   /* it is told again, or the request is given up */
    int64_t pause_ms; /* while it lacks something; else 0 */
};

struct fetch {
    uint64_t number; /* of the request under way; 0: none */
    uint32_t member;
    struct weir_digest digest;
    uint64_t offset; /* of `digest`: what is there */
    int64_t due_ms;
};

struct artifacts {
    struct zab_members members;
    uint32_t self, leader; /* leader: whose list was taken; 0: none */
    bool leads, named;     /* named: the list is whole */
    uint64_t epoch, version, last_number, bytes_fetched;
    uint32_t n, cap, n_followers;
    struct artifact *at;
    struct follower followers[ZAB_MEMBERS_MAX];
    struct fetch fetch;
};

/* ---- the table ---- */

static struct artifact *find(const struct artifacts *a, struct weir_digest digest)
{
    for (uint32_t i = 0; i < a->n; i++)
        if (digest_equal(a->at[i].about.digest, digest)) return &a->at[i];
    return NULL;
}

static struct artifact *have(struct artifacts *a, const struct store_artifact *about)
{
    struct artifact *known = find(a, about->digest);
    if (known) return known;
    if (a->n == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 16;
        a->at = realloc(a->at, a->cap * sizeof *a->at);
        WEIR_ASSERT(a->at);
    }
    a->at[a->n] = (struct artifact){.about = *about};
    return &a->at[a->n++];
}

static void drop(struct artifacts *a, struct artifact *it)
{
    uint32_t i = (uint32_t)(it - a->at);
    memmove(it, it + 1, (--a->n - i) * sizeof *it);
}

/* From now on no list names it. What is not here is not remembered. */
static void disown(struct artifacts *a, struct artifact *it)
{
    it->state = ARTIFACT_STRAY;
    it->holders.n = 0;
    if (!it->here) drop(a, it);
}

static void change_list(struct artifacts *a)
{
    a->version++;
}

/* ---- who is who ---- */

void artifacts_members(struct artifacts *a, const struct zab_members *members, uint32_t self)
{
    struct follower before[ZAB_MEMBERS_MAX];
    uint32_t n = a->n_followers;
    memcpy(before, a->followers, sizeof before);
    a->members = *members;
    a->self = self;
    a->n_followers = 0;
    for (uint32_t i = 0; i < members->n; i++) {
        if (members->at[i].id == self) continue;
        struct follower *f = &a->followers[a->n_followers++];
        *f = (struct follower){.id = members->at[i].id};
        for (uint32_t k = 0; k < n; k++)
            if (before[k].id == f->id) *f = before[k];
    }
}

void artifacts_role(struct artifacts *a, uint64_t epoch, bool leads)
{
    if (a->epoch == epoch && a->leads == leads) return;
    a->epoch = epoch;
    a->leads = leads;
    a->named = false;
    a->leader = 0;
    a->version = 0;
    a->fetch = (struct fetch){0};
    for (uint32_t i = a->n; i-- > 0;) disown(a, &a->at[i]);
    for (uint32_t i = 0; i < a->n_followers; i++) a->followers[i] = (struct follower){.id = a->followers[i].id};
}

/* ---- the leader's list ---- */

void artifacts_name(struct artifacts *a, const struct store_artifact *about)
{
    struct artifact *it = have(a, about);
    it->about = *about;
    it->state = ARTIFACT_LISTED;
    change_list(a);
}

void artifacts_named(struct artifacts *a)
{
    a->named = true;
    change_list(a);
}

bool artifacts_offer(struct artifacts *a, const struct store_artifact *about, int64_t now_ms)
{
    struct artifact *it = have(a, about);
    it->here = true;
    if (it->state == ARTIFACT_LISTED) return false;
    if (it->state == ARTIFACT_KEEPING) return true;
    it->state = ARTIFACT_OFFERED;
    it->due_ms = now_ms + ARTIFACTS_WAIT_MS;
    change_list(a);
    return true;
}

void artifacts_kept(struct artifacts *a, struct weir_digest digest, bool kept)
{
    struct artifact *it = find(a, digest);
    if (!it || it->state != ARTIFACT_KEEPING) return;
    it->state = ARTIFACT_LISTED;
    if (!kept) artifacts_delete(a, digest);
}

void artifacts_delete(struct artifacts *a, struct weir_digest digest)
{
    struct artifact *it = find(a, digest);
    if (!it) return;
    disown(a, it);
    change_list(a);
}

static bool lacks(const struct artifact *it, const struct weir_digest *missing, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (digest_equal(it->about.digest, missing[i])) return true;
    return false;
}

static void set_remove(struct zab_set *set, uint32_t id)
{
    for (uint32_t i = 0; i < set->n; i++)
        if (set->ids[i] == id) set->ids[i--] = set->ids[--set->n];
}

/* What the answer says of everything it was asked about. */
static void note_holder(struct artifacts *a, const struct follower *f, const struct weir_digest *missing, uint32_t n, int64_t now_ms,
                        bool progress)
{
    for (uint32_t i = 0; i < a->n; i++) {
        struct artifact *it = &a->at[i];
        if (it->state == ARTIFACT_STRAY) continue;
        if (lacks(it, missing, n))
            set_remove(&it->holders, f->id);
        else
            set_add(&it->holders, f->id);
        if (it->state == ARTIFACT_OFFERED && progress) it->due_ms = now_ms + ARTIFACTS_WAIT_MS;
    }
}

bool artifacts_asked(const struct artifacts *a, uint32_t member, uint64_t number)
{
    for (uint32_t i = 0; i < a->n_followers; i++)
        if (a->followers[i].id == member) return number != 0 && a->followers[i].number == number;
    return false;
}

void artifacts_synced(struct artifacts *a, uint32_t member, uint64_t number, uint64_t fetched, const struct weir_digest *missing,
                      uint32_t n, int64_t now_ms)
{
    for (uint32_t i = 0; i < a->n_followers; i++) {
        struct follower *f = &a->followers[i];
        if (f->id != member || f->number == 0 || f->number != number) continue;
        bool progress = f->fetched != fetched;
        f->number = 0;
        f->fetched = fetched;
        f->pause_ms = n == 0 ? 0 : progress || !f->pause_ms ? ARTIFACTS_POLL_MS : 2 * f->pause_ms;
        if (f->pause_ms > ARTIFACTS_SYNC_MS) f->pause_ms = ARTIFACTS_SYNC_MS;
        f->due_ms = now_ms + (n == 0 ? ARTIFACTS_SYNC_MS : f->pause_ms);
        if (f->version == a->version) note_holder(a, f, missing, n, now_ms, progress); /* else it knew nothing of what is new */
    }
}

/* ---- a follower ---- */

weir_err artifacts_take(struct artifacts *a, uint64_t epoch, uint64_t version, uint32_t leader, const struct store_artifact *list,
                        uint32_t n, struct weir_diag *diag)
{
    if (a->leads || epoch == 0 || epoch != a->epoch)
        return weir_fail(diag, WEIR_E_STATE, "a list of epoch %" PRIu64 ", but that of the leader is %" PRIu64, epoch, a->epoch);
    if (version < a->version) return weir_fail(diag, WEIR_E_STATE, "list %" PRIu64 " is older than %" PRIu64, version, a->version);
    for (uint32_t i = 0; i < a->n; i++) a->at[i].state = ARTIFACT_STRAY;
    for (uint32_t i = 0; i < n; i++) have(a, &list[i])->state = ARTIFACT_LISTED;
    for (uint32_t i = a->n; i-- > 0;)
        if (a->at[i].state == ARTIFACT_STRAY) disown(a, &a->at[i]);
    a->version = version;
    a->leader = leader;
    a->named = true;
    return WEIR_OK;
}

/* ---- fetching ---- */

void artifacts_held(struct artifacts *a, const struct store_artifact *about)
{
    have(a, about)->here = true;
    if (digest_equal(a->fetch.digest, about->digest)) a->fetch = (struct fetch){0};
}

bool artifacts_expects(const struct artifacts *a, uint32_t member, uint64_t number)
{
    return a->fetch.number != 0 && a->fetch.number == number && a->fetch.member == member;
}

uint64_t artifacts_offset(const struct artifacts *a)
{
    return a->fetch.offset;
}

void artifacts_fetched(struct artifacts *a, uint32_t length)
{
    a->fetch.number = 0;
    a->fetch.offset += length;
    a->bytes_fetched += length;
}

void artifacts_missed(struct artifacts *a, bool damaged, int64_t now_ms)
{
    struct artifact *it = find(a, a->fetch.digest);
    if (it) {
        it->due_ms = now_ms + ARTIFACTS_RETRY_MS;
        set_remove(&it->holders, a->fetch.member);
    }
    a->fetch.number = 0;
    if (damaged) a->fetch = (struct fetch){0};
}

/* Whom to ask; 0: nobody yet. */
static uint32_t source_of(const struct artifacts *a, const struct artifact *it)
{
    if (!a->leads) return a->leader;
    return it->holders.n > 0 ? it->holders.ids[0] : 0;
}

static bool may_fetch(const struct artifacts *a, const struct artifact *it, int64_t now_ms)
{
    return it->state == ARTIFACT_LISTED && !it->here && now_ms >= it->due_ms && source_of(a, it) != 0;
}

/* What is being fetched is fetched to its end, unless it cannot be had now. */
static struct artifact *next_to_fetch(const struct artifacts *a, int64_t now_ms)
{
    struct artifact *begun = find(a, a->fetch.digest);
    if (begun && may_fetch(a, begun, now_ms)) return begun;
    for (uint32_t i = 0; i < a->n; i++)
        if (may_fetch(a, &a->at[i], now_ms)) return &a->at[i];
    return NULL;
}

static bool next_fetch(struct artifacts *a, int64_t now_ms, struct artifacts_order *out)
{
    struct fetch *f = &a->fetch;
    if (f->number != 0 && now_ms < f->due_ms) return false;
    if (f->number != 0) artifacts_missed(a, false, now_ms);
    const struct artifact *it = next_to_fetch(a, now_ms);
    if (!it) return false;
    if (!digest_equal(it->about.digest, f->digest)) *f = (struct fetch){.digest = it->about.digest};
    f->member = source_of(a, it);
    f->number = ++a->last_number;
    f->due_ms = now_ms + ARTIFACTS_ANSWER_MS;
    *out = (struct artifacts_order){
        .type = ARTIFACTS_FETCH, .member = f->member, .number = f->number, .about = it->about, .offset = f->offset};
    return true;
}

/* ---- orders ---- */

static bool next_sync(struct artifacts *a, int64_t now_ms, struct artifacts_order *out)
{
    for (uint32_t i = 0; i < a->n_followers; i++) {
        struct follower *f = &a->followers[i];
        bool news = f->number == 0 && f->version != a->version;
        if (!news && now_ms < f->due_ms) continue;
        f->number = ++a->last_number;
        f->version = a->version;
        f->due_ms = now_ms + ARTIFACTS_ANSWER_MS;
        *out = (struct artifacts_order){.type = ARTIFACTS_SYNC, .member = f->id, .number = f->number};
        return true;
    }
    return false;
}

static bool quorum_holds(const struct artifacts *a, const struct artifact *it)
{
    struct zab_set holders = it->holders;
    if (it->here) set_add(&holders, a->self);
    return members_quorum(&a->members, &holders);
}

/* An upload that waits: it is enough, or it is over. */
static bool next_offered(struct artifacts *a, struct artifact *it, int64_t now_ms, struct artifacts_order *out)
{
    if (it->state != ARTIFACT_OFFERED) return false;
    *out = (struct artifacts_order){
        .about = it->about, .n_holders = it->holders.n + (it->here ? 1u : 0u), .n_members = members_voters(&a->members)};
    if (quorum_holds(a, it)) {
        it->state = ARTIFACT_KEEPING;
        out->type = ARTIFACTS_KEEP;
        return true;
    }
    if (now_ms < it->due_ms) return false;
    out->type = ARTIFACTS_GIVE_UP;
    artifacts_delete(a, it->about.digest);
    return true;
}

static bool next_stray(struct artifacts *a, struct artifact *it, struct artifacts_order *out)
{
    if (!a->named || it->state != ARTIFACT_STRAY) return false;
    *out = (struct artifacts_order){.type = ARTIFACTS_REMOVE, .about = it->about};
    drop(a, it);
    return true;
}

bool artifacts_next(struct artifacts *a, int64_t now_ms, struct artifacts_order *out)
{
    for (uint32_t i = 0; i < a->n; i++)
        if (next_stray(a, &a->at[i], out) || (a->leads && next_offered(a, &a->at[i], now_ms, out))) return true;
    if (!a->named) return false;
    return (a->leads && next_sync(a, now_ms, out)) || next_fetch(a, now_ms, out);
}

int64_t artifacts_deadline_ms(const struct artifacts *a)
{
    int64_t at = a->fetch.number != 0 ? a->fetch.due_ms : INT64_MAX;
    if (!a->named) return INT64_MAX;
    for (uint32_t i = 0; i < a->n_followers && a->leads; i++)
        if (a->followers[i].due_ms < at) at = a->followers[i].due_ms;
    for (uint32_t i = 0; i < a->n; i++) {
        const struct artifact *it = &a->at[i];
        bool waits = it->state == ARTIFACT_OFFERED || (!it->here && a->fetch.number == 0 && source_of(a, it) != 0);
        if (waits && it->due_ms < at) at = it->due_ms;
    }
    return at;
}

/* ---- views, life ---- */

uint32_t artifacts_count(const struct artifacts *a)
{
    return a->n;
}

const struct artifact *artifacts_at(const struct artifacts *a, uint32_t index)
{
    WEIR_ASSERT(index < a->n);
    return &a->at[index];
}

const struct artifact *artifacts_find(const struct artifacts *a, struct weir_digest digest)
{
    const struct artifact *it = find(a, digest);
    return it && it->state == ARTIFACT_LISTED ? it : NULL;
}

uint64_t artifacts_epoch(const struct artifacts *a)
{
    return a->epoch;
}

uint64_t artifacts_version(const struct artifacts *a)
{
    return a->version;
}

uint64_t artifacts_bytes_fetched(const struct artifacts *a)
{
    return a->bytes_fetched;
}

void artifacts_new(struct artifacts **out)
{
    *out = calloc(1, sizeof **out);
    WEIR_ASSERT(*out);
}

void artifacts_destroy(struct artifacts **artifacts)
{
    if (*artifacts) free((*artifacts)->at);
    free(*artifacts);
    *artifacts = NULL;
}
