/* weight.h: how many blocks a sampled one stands for.
 */
#ifndef TIDEMARK_RECORD_WEIGHT_H
#define TIDEMARK_RECORD_WEIGHT_H

#include <stdint.h>

struct tm_weight {
    double blocks;   /* that it stands for: 1 / p */
    double variance; /* of that: (1 - p) / p^2 */
};

/* Of a block of so many usable bytes, p = 1 - exp(-bytes / rate). */
struct tm_weight tm_weight_of(double bytes, double rate);

#endif
