/* export_folded.c: folded stacks, "root;…;leaf N" on a line: flamegraph.pl, inferno, speedscope.
 * One figure, chosen by the user. Equal stacks may be there twice, which all readers add up.
 */
#include "profiler/report/export.h"

#include <inttypes.h>

bool tm_export_folded(struct tm_export *export)
{
    for (size_t i = 0; i < export->stack_count; i++) {
        struct tm_export_stack stack = tm_export_stack(export, i);
        uint64_t value = tm_whole(tm_stack_value(&stack.values, export->value));
        if (value == 0)
            continue;
        for (size_t k = 0; k < stack.count; k++) {
            struct tm_export_text name = tm_export_name(&stack.frames[k], ";", ':');
            fprintf(export->out, "%s%s", k > 0 ? ";" : "", name.text);
        }
        fprintf(export->out, " %" PRIu64 "\n", value);
    }
    return true;
}
