"""A piece of work that is run under each allocator: a command, or something that knows better how to run itself."""


class Work:
    """`kind` is "allocation" (a workload made to stress an allocator) or "program" (a real one)."""

    def __init__(self, name, kind, command, environment=None, stdin=None, quick=False):
        self.name, self.kind, self.quick = name, kind, quick
        self.command, self.environment, self.stdin = [str(word) for word in command], environment, stdin

    def run(self, launcher, allocator, limit):
        return launcher.run(allocator, self.command, self.environment, limit, self.stdin)
