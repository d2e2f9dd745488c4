/* statistics.c: see statistics.h. The incomplete gamma function is summed as a series below its
 * mean and as a continued fraction (Lentz's method) above it; its inverse is found by bisection,
 * which is slow and cannot go astray. Large shapes use the cube-root normal approximation (Wilson
 * and Hilferty 1931), whose error there is below one in ten thousand.
 */
#include "profiler/report/statistics.h"

#include <math.h>

enum { TERMS = 2000, BISECTIONS = 80 };
static const double large_shape = 300;
static const double normal_975 = 1.959963984540054;

/* P(X <= x) of a gamma distribution. */
static double gamma_below(double shape, double x)
{
    if (x <= 0)
        return 0;
    int sign;
    double front = exp(-x + shape * log(x) - lgamma_r(shape, &sign));
    if (x < shape + 1) {
        double term = 1 / shape;
        double sum = term;
        for (int i = 1; i < TERMS && term > sum * 1e-14; i++) {
            term *= x / (shape + i);
            sum += term;
        }
        return front * sum;
    }
    double b = x + 1 - shape;
    double c = 1e300;
    double d = 1 / b;
    double fraction = d;
    for (int i = 1; i < TERMS; i++) {
        double a = -i * (i - shape);
        b += 2;
        d = a * d + b;
        d = fabs(d) < 1e-300 ? 1e300 : 1 / d;
        c = b + a / c;
        c = fabs(c) < 1e-300 ? 1e-300 : c;
        fraction *= d * c;
        if (fabs(d * c - 1) < 1e-14)
            break;
    }
    return 1 - front * fraction;
}

/* The standard normal quantile, by bisection of erfc. */
static double normal_quantile(double p)
{
    double low = -40;
    double high = 40;
    for (int i = 0; i < BISECTIONS; i++) {
        double middle = (low + high) / 2;
        if (erfc(-middle / sqrt(2)) / 2 < p)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

double tm_gamma_quantile(double shape, double p)
{
    if (shape > large_shape) {
        double ninth = 1 / (9 * shape);
        double root = 1 - ninth + normal_quantile(p) * sqrt(ninth);
        return root > 0 ? shape * root * root * root : 0;
    }
    double low = 0;
    double high = shape + 20 * sqrt(shape) + 50;
    for (int i = 0; i < BISECTIONS; i++) {
        double middle = (low + high) / 2;
        if (gamma_below(shape, middle) < p)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

double tm_t_quantile(double freedom)
{
    static const double exact[] = {12.7062, 4.3027, 3.1824, 2.7764, 2.5706,
                                   2.4469,  2.3646, 2.3060, 2.2622, 2.2281};
    enum { LISTED = sizeof exact / sizeof exact[0] };
    if (!(freedom > 1))
        return exact[0];
    if (freedom < LISTED) {
        int below = (int)freedom;
        return exact[below - 1] + (freedom - below) * (exact[below] - exact[below - 1]);
    }
    /* The Cornish-Fisher expansion, right to four digits from ten degrees of freedom on. */
    double z = normal_975;
    double z3 = z * z * z;
    double z5 = z3 * z * z;
    return z + (z3 + z) / (4 * freedom) + (5 * z5 + 16 * z3 + 3 * z) / (96 * freedom * freedom);
}
