#include "profiler/report/command.h"

int tm_command_compare(int argc, char **argv)
{
    (void)argc, (void)argv;
    tm_error("compare: not built yet");
    return 1;
}
