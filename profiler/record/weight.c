/* weight.c: see weight.h. No libm: it would be one more library in every process. */
#include "profiler/record/weight.h"

/* 1 - exp(-x), x >= 0, to about the last bit: the series where x is small, else from half of x:
 * 1 - q^2 = (1 - q)(1 + q). */
static double below_one(double x)
{
    enum { HALVINGS = 8, TERMS = 12 };
    if (x < 1.0 / 64) /* what samples are of, mostly */
        return x * (1 - x / 2 * (1 - x / 3 * (1 - x / 4 * (1 - x / 5 * (1 - x / 6)))));
    if (x > 64)
        return 1;
    int halvings = 0;
    for (; x > 0.25 && halvings < HALVINGS; halvings++)
        x /= 2;
    double sum = 0, term = -1;
    for (int n = 1; n <= TERMS; n++) {
        term *= -x / n;
        sum += term;
    }
    for (; halvings > 0; halvings--)
        sum *= 2 - sum;
    return sum;
}

struct tm_weight tm_weight_of(double bytes, double rate)
{
    double p = below_one(bytes / rate);
    return (struct tm_weight){.blocks = 1 / p, .variance = (1 - p) / (p * p)};
}
