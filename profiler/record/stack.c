/* stack.c: see stack.h. */
#include "profiler/record/stack.h"

#include "profiler/record/copy.h"
#include "profiler/record/sys.h"

#include <string.h>

/* ld.so keeps where the program's arguments are: at the end of the first thread's stack. */
extern void *__libc_stack_end __attribute__((weak));

enum {
    PAGE = 4096,
    WINDOW = 16 * PAGE,        /* of a stack that is not the thread's own */
    NEAR_DESCRIPTOR = 8 * 1024 /* how far below it the outermost frame of a thread begins */
};
/* The kernel leaves that much below the stack's end (mmap_base), at least. */
static const uintptr_t FIRST_STACK = 128 * 1024 * 1024;
/* Where stacks that are not the thread's own are counted from: the next multiple of that. */
static const uintptr_t FAR = (uintptr_t)1 << 34;

static _Thread_local struct {
    uintptr_t low, end; /* of its own stack; 0: not known yet */
    enum { UNKNOWN, FIRST, FURTHER } kind;
} me __attribute__((tls_model("initial-exec")));

/* What was copied of a stack; guarded by who calls tm_stack_open(). */
static struct {
    uintptr_t base, end; /* addresses that are there */
    bool kept;           /* there is no more of it */
    _Alignas(16) char bytes[WINDOW];
} window;

static void find_own(void)
{
    bool first = tm_sys_getpid() == (int)tm_sys3(SYS_gettid, 0, 0, 0);
    me.kind = first ? FIRST : FURTHER;
    if (!first) {
        me.low = me.end = (uintptr_t)__builtin_thread_pointer();
    } else if (&__libc_stack_end != NULL) {
        me.end = (uintptr_t)__libc_stack_end & ~(sizeof(uintptr_t) - 1);
        me.low = me.end - FIRST_STACK;
    }
}

struct tm_stack tm_stack_of(uintptr_t sp)
{
    if (me.kind == UNKNOWN)
        find_own();
    if (sp >= me.low && sp < me.end)
        return (struct tm_stack){.sp = sp, .end = me.end, .own = true};
    return (struct tm_stack){.sp = sp, .end = (sp | (FAR - 1)) + 1, .own = false};
}

void tm_stack_open(const struct tm_stack *stack)
{
    window.base = window.end = (stack->sp - sizeof(uintptr_t)) & ~(uintptr_t)(PAGE - 1);
    window.kept = false;
}

void tm_stack_open_kept(const struct tm_stack *stack, const void *bytes)
{
    window.base = stack->sp;
    window.end = stack->end < stack->sp + WINDOW ? stack->end : stack->sp + WINDOW;
    window.kept = true;
    memcpy(window.bytes, bytes, window.end - window.base);
}

/* Copies the next page. */
static bool fetch(void)
{
    size_t have = window.end - window.base;
    if (have == WINDOW || window.kept)
        return false;
    if (!tm_copy(window.bytes + have, window.end, PAGE))
        return false;
    window.end += PAGE;
    return true;
}

bool tm_stack_read(const struct tm_stack *stack, uintptr_t address, uintptr_t *word)
{
    if (stack->own)
        return tm_stack_read_own(stack, address, word);
    if (address < stack->sp - sizeof *word || address % sizeof *word != 0 ||
        address - window.base > WINDOW - sizeof *word)
        return false;
    while (address >= window.end)
        if (!fetch())
            return false;
    memcpy(word, window.bytes + (address - window.base), sizeof *word);
    return true;
}

void tm_stack_proven(const struct tm_stack *stack, uintptr_t outermost)
{
    if (me.kind == FURTHER && stack->sp < me.low && outermost <= me.end &&
        (outermost >= me.low || outermost >= me.end - NEAR_DESCRIPTOR))
        me.low = stack->sp;
}
