/* unit.h: cmocka with what it wants included first, for the tests of the allocator built as an
 * ordinary library. */
#ifndef TIDEMARK_TESTS_UNIT_H
#define TIDEMARK_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
