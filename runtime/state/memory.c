/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/memory.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/base/assert.h"
#include "runtime/state/supply.h"

#define LINE_BYTES 64u
#define ALIGNED_BYTES 4096u /* below, malloc's own alignment does */

static size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) & ~(unit - 1);
}

/* Maps one huge page more than needed and gives back what lies before and behind the aligned part. */
static void *map_huge(size_t n)
{
    size_t bytes = round_up(n, 4096);
    unsigned char *p = mmap(NULL, bytes + MEMORY_HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    size_t head = (size_t)(-(uintptr_t)p & (MEMORY_HUGE_BYTES - 1));
    if (head) (void)munmap(p, head);
    (void)munmap(p + head + bytes, MEMORY_HUGE_BYTES - head);
    (void)madvise(p + head, bytes, MADV_HUGEPAGE); /* a wish: without huge pages it is only slower */
    return p + head;
}

static void *obtain(size_t n)
{
    if (n >= MEMORY_HUGE_BYTES) return map_huge(n);
    if (n < ALIGNED_BYTES) return calloc(1, n);
    void *p = aligned_alloc(LINE_BYTES, round_up(n, LINE_BYTES));
    return p ? memset(p, 0, n) : NULL;
}

/* The test hook: counts down and stays at 1, where everything fails. */
static bool hook_fails(struct memory *m)
{
    if (m->fail_in == 0) return false;
    if (m->fail_in == 1) return true;
    m->fail_in--;
    return false;
}

static bool admits(struct memory *m, size_t n)
{
    if (n > SIZE_MAX - 2 * (size_t)MEMORY_HUGE_BYTES) return false;
    if (m->limit && (m->bytes > m->limit || n > m->limit - m->bytes)) return false;
    return !hook_fails(m);
}

void *memory_alloc(struct memory *m, size_t n)
{
    void *p = admits(m, n) ? obtain(n) : NULL;
    if (p) m->bytes += n;
    return p;
}

void memory_free(struct memory *m, void *p, size_t n)
{
    if (!p) return;
    WEIR_ASSERT(m->bytes >= n);
    m->bytes -= n;
    if (n >= MEMORY_HUGE_BYTES)
        (void)munmap(p, round_up(n, 4096));
    else
        free(p);
}

void *memory_map_block(void)
{
    unsigned char *block = map_huge(MEMORY_HUGE_BYTES);
    for (size_t at = 0; block && at < MEMORY_HUGE_BYTES; at += 4096) ((volatile unsigned char *)block)[at] = 0;
    return block;
}

void memory_unmap_block(void *block)
{
    (void)munmap(block, MEMORY_HUGE_BYTES);
}

/* What another thread has made ready, or what the kernel gives. */
static void *take_fresh(struct memory *m)
{
    if (!admits(m, MEMORY_HUGE_BYTES)) return NULL;
    void *block = m->supply ? supply_take(m->supply) : NULL;
    if (!block) block = map_huge(MEMORY_HUGE_BYTES);
    if (block) m->bytes += MEMORY_HUGE_BYTES;
    return block;
}

bool memory_block_is_coming(struct memory *m)
{
    return !m->spare && m->supply && supply_is_coming(m->supply);
}

void *memory_take_block(struct memory *m)
{
    if (!m->spare) return take_fresh(m);
    void *block = m->spare;
    memcpy(&m->spare, block, sizeof m->spare);
    m->n_spare--;
    m->free -= MEMORY_HUGE_BYTES;
    return block;
}

void memory_give_block(struct memory *m, void *block)
{
    if (m->n_spare >= m->spare_max) {
        memory_free(m, block, MEMORY_HUGE_BYTES);
        return;
    }
    memcpy(block, &m->spare, sizeof m->spare);
    m->spare = block;
    m->n_spare++;
    m->free += MEMORY_HUGE_BYTES;
}

void memory_drop_spare(struct memory *m)
{
    while (m->spare) memory_free(m, memory_take_block(m), MEMORY_HUGE_BYTES);
}
