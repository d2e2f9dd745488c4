#include "profiler/report/command.h"

int tm_command_run(int argc, char **argv)
{
    (void)argc, (void)argv;
    tm_error("run: not built yet");
    return 1;
}
