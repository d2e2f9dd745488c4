/* sites.c: see sites.h. What the allocator tells comes in here: a block was allocated, a block is
 * freed. Both run on the program's threads, outside the allocator's locks and slow paths, and
 * inside a signal handler if the program calls malloc in one, which may have interrupted them on
 * the same thread.
 */
#include "profiler/record/sites.h"

#include "allocator/hooks.h"
#include "allocator/lock.h"
#include "allocator/sample.h"
#include "allocator/sizeclass.h"
#include "allocator/tell.h"
#include "profiler/record/cells.h"
#include "profiler/record/frames.h"
#include "profiler/record/loader.h"
#include "profiler/record/mask.h"
#include "profiler/record/reserve.h"
#include "profiler/record/single.h"
#include "profiler/record/sys.h"
#include "profiler/record/timeline.h"
#include "profiler/record/unwind.h"
#include "profiler/record/weight.h"
#include "profiler/record/where.h"

static_assert((int)TM_SITES_OFF == (int)TM_SAMPLE_OFF, "modes are the same");
static_assert((int)TM_SITES_SAMPLE == (int)TM_SAMPLE_SOME, "modes are the same");
static_assert((int)TM_SITES_ALL == (int)TM_SAMPLE_ALL, "modes are the same");
static_assert(TM_SITES_MAX <= 1 << TM_CELL_SITE_BITS, "a cell names any site");

enum {
    OTHERS = 1,         /* number of the site for what no other has room for */
    CHOSEN_ONE_IN = 16, /* of so many pools one has a page of which every block's site is known */
    GROUPS = 16,
    TABLE_BYTES = TM_SITES_MAX * sizeof(struct tm_site),
};

/* Upper ends of the steps of lifetimes. */
static const uint64_t LIFETIMES_NS[TM_LIFETIMES] = {
    UINT64_C(32) * 1000000,       UINT64_C(320) * 1000000,
    UINT64_C(3200) * 1000000,     UINT64_C(32) * 1000000000,
    UINT64_C(320) * 1000000000,   UINT64_C(3600) * 1000000000,
    UINT64_C(36000) * 1000000000, UINT64_MAX};

static _Atomic(void *) place; /* of the table: TABLE_BYTES */
static uint32_t site_count = OTHERS + 1;
static struct tm_lock lock; /* for who adds a site; a leaf */

static struct {
    uint64_t rate_bytes;
    bool by_thread;
} settings;
/* Atomic: any thread switches, and a handler that interrupted one that does. */
static uint32_t mode, ever;         /* enum tm_snapshot_sites; as tm_snapshot_recording.ever */
static uint64_t since_ns, until_ns; /* as in tm_snapshot_recording */

/* What each order guarantees. A site's number goes from who added it to who finds it with its frame
 * (release, acquire), and so does the count of sites: who has a number sees the site's frame. The
 * figures of a site are sums that many threads add to; relaxed additions lose nothing, and from no
 * figure does anybody conclude what another memory location holds: what a snapshot reads of them
 * may be apart by what was under way, and no more. The height is what it is within the same: two
 * threads that find one at once start two turns, the second of which changes nothing in a site; and
 * who reads a turn that is just over keeps for it what one block more or less has made. The mode is
 * sequentially consistent, see follow_mode(). */

/* Live bytes of all sites, and their height. A height is one turn; a new one counts when it is
 * 1/1024 above, so that the turns are few. */
static struct {
    _Alignas(64) uint64_t live_bytes;
    uint64_t peak_bytes, peak_ns;
    uint32_t turn;
} all = {.turn = 1};

/* Of the calling thread. */
static _Thread_local struct {
    bool loading;   /* it loads the unwinder: what is allocated for that is not recorded */
    uint32_t root;  /* its frame, where sites are kept apart by thread; 0: not made yet */
    int64_t untold; /* bytes by which it changed the live ones of all sites since it told */
    const void
        *last; /* the block that it allocated last, while it is live; where all are recorded */
    uint64_t last_cell; /* and its cell: another block may come to lie at its place */
} me __attribute__((tls_model("initial-exec")));

/* Once anything is recorded. */
static struct tm_site *table(void)
{
    return atomic_load_explicit(&place, memory_order_relaxed);
}

static uint64_t load(const uint64_t *value)
{
    return __atomic_load_n(value, __ATOMIC_RELAXED);
}

/* A locked addition costs some 20 cycles, of which a recorded pair would make a dozen. */
static void add(uint64_t *sum, uint64_t more)
{
    if (tm_single_threaded())
        *sum += more;
    else
        __atomic_fetch_add(sum, more, __ATOMIC_RELAXED);
}

static void add_double(double *sum, double more)
{
    double seen, next;
    if (more == 0)
        return;
    __atomic_load(sum, &seen, __ATOMIC_RELAXED);
    do
        next = seen + more;
    while (!__atomic_compare_exchange(sum, &seen, &next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

/* ---- which site ---- */

static inline uint32_t root_of_thread(void)
{
    if (!settings.by_thread)
        return 0;
    if (me.root == 0)
        me.root = tm_frames_root((uint64_t)tm_sys3(SYS_gettid, 0, 0, 0));
    return me.root;
}

static uint32_t new_site(uint32_t frame)
{
    struct tm_frame *innermost = &tm_frames()[frame];
    struct tm_mask mask = tm_mask_all(); /* as in frames.c */
    tm_lock(&lock);
    uint32_t number = atomic_load_explicit(&innermost->site, memory_order_relaxed);
    if (number == 0 && site_count < TM_SITES_MAX) {
        number = site_count;
        table()[number].frame = frame;
        __atomic_store_n(&site_count, number + 1, __ATOMIC_RELEASE);
        atomic_store_explicit(&innermost->site, number, memory_order_release);
    }
    tm_unlock(&lock);
    tm_mask_restore(mask);
    return number != 0 ? number : OTHERS;
}

/* Of the stack that ends in the frame. */
static inline uint32_t site_of(uint32_t frame)
{
    if (frame == 0)
        return OTHERS;
    uint32_t number = atomic_load_explicit(&tm_frames()[frame].site, memory_order_acquire);
    return number != 0 ? number : new_site(frame);
}

/* ---- what it did ---- */

static uint64_t live_blocks_of(const struct tm_site *site)
{
    uint64_t live = load(&site->allocated_blocks);
    for (unsigned step = 0; step < TM_LIFETIMES; step++)
        live -= load(&site->ended_blocks[step]);
    return live;
}

static uint64_t live_bytes_of(const struct tm_site *site)
{
    return load(&site->allocated_bytes) - load(&site->ended_bytes);
}

/* Before live figures change that may be those of the last height. */
static void keep_peak(struct tm_site *site)
{
    uint32_t turn = __atomic_load_n(&all.turn, __ATOMIC_RELAXED);
    if (__atomic_load_n(&site->peak_turn, __ATOMIC_RELAXED) == turn)
        return;
    __atomic_store_n(&site->peak_blocks, live_blocks_of(site), __ATOMIC_RELAXED);
    __atomic_store_n(&site->peak_bytes, live_bytes_of(site), __ATOMIC_RELAXED);
    __atomic_store_n(&site->peak_turn, turn, __ATOMIC_RELAXED);
}

void tm_site_peak(const struct tm_site *site, uint64_t *blocks, uint64_t *bytes)
{
    bool kept = site->peak_turn == all.turn;
    *blocks = kept ? site->peak_blocks : live_blocks_of(site);
    *bytes = kept ? site->peak_bytes : live_bytes_of(site);
}

/* The live bytes of all sites changed. A thread tells that when it is worth it: each time would be
 * too much of a shared cache line. */
static void note_live(int64_t more, uint64_t now)
{
    me.untold += more;
    uint64_t peak = load(&all.peak_bytes);
    if ((uint64_t)(me.untold < 0 ? -me.untold : me.untold) <= peak / 8192)
        return;
    uint64_t live = load(&all.live_bytes) + (uint64_t)me.untold;
    add(&all.live_bytes, (uint64_t)me.untold);
    me.untold = 0;
    if ((int64_t)live <= (int64_t)(peak + peak / 1024))
        return;
    __atomic_store_n(&all.peak_bytes, live, __ATOMIC_RELAXED);
    __atomic_store_n(&all.peak_ns, now, __ATOMIC_RELAXED);
    __atomic_fetch_add(&all.turn, 1, __ATOMIC_RELAXED);
}

void tm_sites_thread_ends(void)
{
    add(&all.live_bytes, (uint64_t)me.untold);
    me.untold = 0;
}

/* Blocks in units and bytes that a recorded block stands for. */
struct share {
    uint64_t blocks, bytes;
    struct tm_weight weight;
};

static struct share shares[TM_CLASSES]; /* of the sampled blocks of pools; set at the start */

static struct share sampled_share(size_t usable)
{
    struct tm_weight weight = tm_weight_of((double)usable, (double)settings.rate_bytes);
    return (struct share){(uint64_t)(weight.blocks * TM_BLOCK_UNITS + 0.5),
                          (uint64_t)(weight.blocks * (double)usable + 0.5), weight};
}

static void set_shares(void)
{
    for (unsigned class = 0; class < TM_CLASSES; class ++)
        shares[class] = sampled_share(tm_classes[class].block_size);
}

static struct share share_of(bool exact, size_t usable)
{
    if (exact)
        return (struct share){TM_BLOCK_UNITS, usable, {.blocks = 1, .variance = 0}};
    return usable <= TM_SMALL_MAX ? shares[tm_class_of(usable)] : sampled_share(usable);
}

static unsigned size_step(size_t requested)
{
    unsigned step = requested <= 16 ? 0 : 60 - (unsigned)__builtin_clzll(requested - 1);
    return step < TM_SIZE_STEPS ? step : TM_SIZE_STEPS - 1;
}

static void count_allocation(struct tm_site *site, size_t requested, size_t usable, bool exact,
                             uint64_t now)
{
    struct share share = share_of(exact, usable);
    keep_peak(site);
    add(&site->allocated_blocks, share.blocks);
    add(&site->allocated_bytes, share.bytes);
    add(&site->allocated_requested,
        exact ? requested : (uint64_t)(share.weight.blocks * (double)requested + 0.5));
    add_double(&site->allocated_bytes_variance,
               share.weight.variance * (double)usable * (double)usable);
    uint32_t *step = &site->size_samples[size_step(requested)];
    if (tm_single_threaded())
        ++*step;
    else
        __atomic_fetch_add(step, 1, __ATOMIC_RELAXED);
    note_live((int64_t)share.bytes, now);
}

/* ---- what the allocator tells ---- */

static uint64_t record(const void *block, size_t requested, size_t usable, unsigned why,
                       const struct tm_caller *caller)
{
    if (me.loading)
        return 0;
    if (!tm_unwind_ready())
        tm_loader_look();
    uint32_t number = site_of(tm_frames_take(caller, root_of_thread()));
    uint64_t now = tm_timeline_now_ns();
    bool exact = (why & TM_WHY_ALL) != 0;
    count_allocation(&table()[number], requested, usable, exact, now);
    me.last = exact ? block : NULL;
    me.last_cell =
        tm_cell_pack(TM_CELL_COUNTED | (exact ? TM_CELL_EXACT : 0), number, now, requested, usable);
    return me.last_cell;
}

static uint64_t name(const struct tm_caller *caller)
{
    return me.loading ? 0 : tm_cell_name(site_of(tm_frames_take_nearly(caller, root_of_thread())));
}

static void forget(const void *block, size_t usable, uint64_t cell)
{
    uint32_t number = tm_cell_site(cell);
    struct tm_site *site = &table()[number];
    struct share share = share_of((cell & TM_CELL_EXACT) != 0, usable);
    keep_peak(site);
    if (me.last == block && me.last_cell == cell) {
        add(&site->temporary_blocks, share.blocks);
        me.last = NULL;
    }
    uint64_t now = tm_timeline_now_ns(), birth = tm_cell_birth_ns(cell);
    unsigned step = 0;
    while (step < TM_LIFETIMES - 1 && now - birth > LIFETIMES_NS[step])
        step++;
    add(&site->ended_blocks[step], share.blocks);
    add(&site->ended_bytes, share.bytes);
    note_live(-(int64_t)share.bytes, now);
    struct tm_caller caller = tm_caller_here();
    tm_where_freed(block, cell, &caller);
}

/* ---- on and off ---- */

static void follow(uint32_t sites)
{
    bool on = sites != TM_SITES_OFF;
    uint64_t goes_on = 0; /* as 0 says in until_ns */
    if (!on)
        __atomic_compare_exchange_n(&until_ns, &goes_on, tm_timeline_now_ns() + 1, false,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    if (on) {
        __atomic_store_n(&until_ns, 0, __ATOMIC_RELAXED);
        atomic_store(&tm_hook_record, record);
        atomic_store(&tm_hook_name, name);
        atomic_store(&tm_hook_forget, forget);
    }
    tm_sample_set((enum tm_sample_mode)sites, settings.rate_bytes, CHOSEN_ONE_IN);
    __atomic_store_n(&tidemark_status.sites, (int32_t)sites, __ATOMIC_RELAXED);
}

/* Makes everything follow `mode`. Two at once may follow two of them, in any order: whoever
 * followed one that is no longer in force sees that afterwards and follows the one that is. (No
 * lock, since a handler could come while it is held.) */
static void follow_mode(void)
{
    uint32_t followed;
    do {
        followed = __atomic_load_n(&mode, __ATOMIC_SEQ_CST);
        follow(followed);
    } while (__atomic_load_n(&mode, __ATOMIC_SEQ_CST) != followed);
}

/* False: no memory. */
static bool switch_to(uint32_t sites)
{
    bool on = sites != TM_SITES_OFF;
    if (on && (!tm_frames_start() || !tm_reserve_once(&place, TABLE_BYTES) || !tm_where_start()))
        return false;
    if (on && __atomic_fetch_or(&ever, 1u << sites, __ATOMIC_RELAXED) == 0)
        __atomic_store_n(&since_ns, tm_timeline_now_ns(), __ATOMIC_RELAXED);
    __atomic_store_n(&mode, sites, __ATOMIC_SEQ_CST);
    follow_mode();
    return true;
}

void tm_sites_switch(uint32_t sites)
{
    if (switch_to(sites) && sites != TM_SITES_OFF)
        tm_loader_want();
    __atomic_fetch_add(&tidemark_status.switches, 1, __ATOMIC_RELEASE);
}

void tm_sites_start(const struct tm_record_settings *given)
{
    settings.rate_bytes = given->rate_bytes;
    settings.by_thread = given->by_thread;
    tidemark_status.rate_bytes = given->rate_bytes;
    set_shares();
    tm_sample_seed(given->seed);
    if (given->sites != TM_SITES_OFF && switch_to(given->sites))
        tm_sample_follow_now();
}

void tm_sites_main(void)
{
    if (__atomic_load_n(&mode, __ATOMIC_RELAXED) == TM_SITES_OFF)
        return;
    me.loading = true;
    tm_loader_load();
    me.loading = false;
}

void tm_sites_fork_prepare(void)
{
    tm_frames_fork_prepare();
    tm_lock(&lock);
}

void tm_sites_fork_parent(void)
{
    tm_unlock(&lock);
    tm_frames_fork_parent();
}

void tm_sites_fork_child(bool children)
{
    tm_lock_reset(&lock);
    tm_frames_fork_child();
    me.root = 0;
    if (__atomic_load_n(&ever, __ATOMIC_RELAXED) != 0)
        follow_mode(); /* another thread may have been in the middle of it */
    if (!children && __atomic_load_n(&mode, __ATOMIC_RELAXED) != TM_SITES_OFF)
        tm_sites_switch(TM_SITES_OFF);
}

/* ---- for the snapshot ---- */

const struct tm_site *tm_sites(void)
{
    return atomic_load_explicit(&place, memory_order_acquire);
}

uint32_t tm_sites_count(void)
{
    return __atomic_load_n(&site_count, __ATOMIC_ACQUIRE);
}

const void *tm_sites_place(size_t *bytes)
{
    const struct tm_site *sites = tm_sites();
    *bytes = sites == NULL ? 0 : TABLE_BYTES;
    return sites;
}

void tm_sites_describe(struct tm_snapshot_recording *out)
{
    bool everything = mode == TM_SITES_ALL || (ever & 1u << TM_SITES_SAMPLE) == 0;
    out->sites = mode;
    out->ever = ever;
    out->rate_bytes = settings.rate_bytes;
    out->identity_one_in = everything ? 1 : CHOSEN_ONE_IN;
    out->identity_groups = everything ? 1 : GROUPS;
    out->since_ns = since_ns;
    out->until_ns = until_ns;
    out->peak_bytes = all.peak_bytes;
    out->peak_ns = all.peak_ns;
    out->missed = atomic_load(&tm_tell_missed);
    out->truncated = atomic_load(&tm_frames_counts.truncated);
    out->shortened = atomic_load(&tm_frames_counts.shortened);
    out->frame_count = tm_frames_count();
    out->frame_limit = TM_FRAMES_MAX;
    out->site_count = tm_sites_count();
    out->site_limit = TM_SITES_MAX;
    out->depth_limit = TM_FRAMES_DEPTH;
    out->by_thread = settings.by_thread;
    for (unsigned i = 0; i < TM_LIFETIMES; i++)
        out->lifetime_ns[i] = LIFETIMES_NS[i];
}
