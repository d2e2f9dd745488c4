#include "profiler/report/command.h"

int tm_command_report(int argc, char **argv)
{
    (void)argc, (void)argv;
    tm_error("report: not built yet");
    return 1;
}
