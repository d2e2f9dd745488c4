/* statistics.h: the two quantiles that the errors of estimates need. Plain numerics, no state. */
#ifndef TIDEMARK_REPORT_STATISTICS_H
#define TIDEMARK_REPORT_STATISTICS_H

/* The value below which a gamma distributed quantity of this shape (> 0) and scale 1 stays with the
 * probability p. */
double tm_gamma_quantile(double shape, double p);

/* The 97.5 % quantile of Student's t; degrees of freedom need not be whole, below 1 count as 1. */
double tm_t_quantile(double freedom);

#endif
