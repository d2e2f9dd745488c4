/* tree.h: how much memory a process and its descendants have resident, for bench-run: a profiler
 * may work in a process of its own beside the program, and what it needs there belongs to its cost.
 *
 * RSS is added up. A page that two of them share counts twice: of processes that run different
 * programs these are the C library's, some MiB at most. (PSS would count it once, but to ask for
 * it makes the kernel walk all page tables with the process's memory lock held, many times a
 * second.)
 */
#ifndef TIDEMARK_BENCH_TREE_H
#define TIDEMARK_BENCH_TREE_H

#include <sys/types.h>

/* In KiB; a process that has just ended counts as nothing. */
long bench_tree_rss_kib(pid_t root);

#endif
