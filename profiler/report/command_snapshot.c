#include "profiler/report/command.h"

int tm_command_snapshot(int argc, char **argv)
{
    (void)argc, (void)argv;
    tm_error("snapshot: not built yet");
    return 1;
}
