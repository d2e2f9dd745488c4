"""A process that has more rights than who started it (AT_SECURE) is deaf and dumb: it reads no TIDEMARK, writes no file,
takes no signal and answers no call; what it executes once it is somebody else finds nothing either."""
import os
import shutil
import signal
import struct

from harness import ATTACKER, EPERM, SERVICE, USR1, USR2, VICTIM, WithUsers, as_user, main, preload_for_all, skip

# All that could make it write, speak or listen.
EVERYTHING = ',exit=snapshot,sites=all,at=1,timeline=1ms,signal=USR1,children=no,live=yes,nonsense=1'


def can_mount():
    pid = os.fork()
    if pid == 0:
        try:
            preload_for_all('/nonexistent')
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


class SetId(WithUsers):
    def make(self, kind):
        """A copy of the program with other rights than its caller's."""
        path = shutil.copy(self.target, f'{self.directory}/{kind}')
        owner, mode = {'root': (0, 0o4755), 'service': (SERVICE, 0o4755), 'group': (SERVICE, 0o2755)}.get(kind, (0, 0o755))
        os.chown(path, owner, owner)
        os.chmod(path, mode)
        if kind == 'capable':  # cap_net_raw, permitted and effective, as setcap writes it
            os.setxattr(path, 'security.capability', struct.pack('<IIIII', 0x02000001, 1 << 13, 0, 0, 0))
        self.addCleanup(os.unlink, path)
        return path

    def files(self):
        return os.listdir(self.out)

    def check_closed(self, facts, said):
        self.assertEqual(facts['secure'], 'yes', facts)
        self.assertEqual(facts['loaded'], 'yes')
        self.assertEqual(facts['variable'], '')
        self.assertEqual((facts['signal'], facts['handler'], facts['live']), ('0', '0', 'no'))
        self.assertEqual(int(facts['caught'], 16) & (USR1 | USR2), 0)
        self.assertEqual((facts['record'], facts['snapshot'], facts['written']), (str(EPERM), str(EPERM), '0'))
        self.assertEqual((facts['sites'], facts['sites after']), ('0', '0'))
        self.assertEqual(said, '')
        self.assertEqual(self.files(), [])

    def test_the_same_program_with_no_rights_of_its_own(self):
        """What the others are compared with: every part of the setting has its effect."""
        child = self.start(self.target, 'facts', for_all=True, settings=EVERYTHING)
        facts = self.facts(child)
        said = self.end(child)
        self.assertEqual((facts['secure'], facts['signal'], facts['handler'], facts['live'], facts['sites']),
                         ('no', str(int(signal.SIGUSR1)), '1', 'yes', '2'))
        self.assertEqual((facts['record'], facts['snapshot']), ('0', '0'))
        self.assertIn("the unknown key 'nonsense'", said)
        self.assertGreaterEqual(len(self.files()), 2)  # the one that it asked for, and that at exit
        for name in self.files():
            self.assert_private(f'{self.out}/{name}', VICTIM)

    def test_set_user_root(self):
        child = self.start(self.make('root'), 'facts', for_all=True, settings=EVERYTHING)
        facts = self.facts(child)
        self.check_closed(facts, self.end(child))
        self.assertEqual(facts['user'], f'{VICTIM} 0')

    def test_set_user_another(self):
        child = self.start(self.make('service'), 'facts', for_all=True, settings=EVERYTHING)
        facts = self.facts(child)
        self.check_closed(facts, self.end(child))
        self.assertEqual(facts['user'], f'{VICTIM} {SERVICE}')

    def test_set_group(self):
        child = self.start(self.make('group'), 'facts', for_all=True, settings=EVERYTHING)
        self.check_closed(self.facts(child), self.end(child))

    def test_capabilities(self):
        child = self.start(self.make('capable'), 'facts', for_all=True, settings=EVERYTHING)
        self.check_closed(self.facts(child), self.end(child))

    def test_the_caller_may_not_choose_the_library(self):
        """LD_PRELOAD is libc's to refuse."""
        child = self.start(self.make('root'), 'facts', settings=EVERYTHING)
        facts = self.facts(child)
        self.end(child)
        self.assertEqual((facts['secure'], facts['loaded']), ('yes', 'no'))
        self.assertEqual(self.files(), [])

    def test_signals(self):
        """Its caller may signal it (the kernel goes by the real user); it does what it does without the library: it ends."""
        program = self.make('service')
        for number in signal.SIGUSR1, signal.SIGUSR2:
            child = self.start(program, 'hold', for_all=True, settings=EVERYTHING)
            self.facts(child)
            self.assertIn('takes no requests', self.tidemark('snapshot', child.pid, expect=1))
            self.assertIn('takes no requests', self.tidemark('start', child.pid, expect=1))
            self.assertEqual(as_user(VICTIM, lambda pid=child.pid, number=number: os.kill(pid, number) or 0), 0)
            self.assertEqual((self.end(child), child.returncode), ('', -number))
        self.assertEqual(self.files(), [])

    def test_no_page(self):
        child = self.start(self.make('root'), 'hold', for_all=True, settings=EVERYTHING)
        self.facts(child)
        links = [os.readlink(f'/proc/{child.pid}/fd/{name}') for name in os.listdir(f'/proc/{child.pid}/fd')]
        self.assertEqual([link for link in links if 'memfd' in link], [])
        with open(f'/proc/{child.pid}/maps', encoding='utf-8') as file:
            self.assertNotIn('memfd', file.read())
        table = self.tidemark('top', '--once')
        self.assertIn('set-user-id', table)

    def test_what_it_executes(self):
        """Once it is root for good, what it executes is not set-id, and would obey the variable of whoever began it all."""
        for kind, user in ('root', 0), ('service', SERVICE):
            child = self.start(self.make(kind), 'become', self.target, 'facts', for_all=True, settings=EVERYTHING, OTHER='kept')
            facts = self.facts(child)
            self.end(child)
            self.assertEqual((facts['secure'], facts['loaded'], facts['user']), ('no', 'yes', f'{user} {user}'))
            self.assertEqual((facts['variable'], facts['other'], facts['sites']), ('', 'kept', '0'))
            # It is a process like any other: its own call for a snapshot is served, where it would be by default.
            self.assertEqual((facts['signal'], facts['snapshot']), (str(int(signal.SIGUSR2)), '0'))
            self.assertEqual(self.files(), [])
            self.assertTrue(facts['path'].startswith('/tmp/tidemark.'))
            self.assert_private(facts['path'], user)
            os.unlink(facts['path'])

    def test_another_user_is_refused(self):
        """By the kernel, as for any program: an ordinary process, and the same with raised rights."""
        for path, settings in (self.target, ''), (self.make('root'), EVERYTHING):
            child = self.hold(for_all=True, settings=settings) if path == self.target else None
            if not child:
                child = self.start(path, 'hold', for_all=True, settings=settings)
                self.facts(child)
            for command in 'snapshot', 'start', 'stop', 'trim':
                self.assertIn('may not be signalled', self.tidemark(command, child.pid, user=ATTACKER, expect=1))
            self.assertEqual(self.files(), [])
            self.assertIsNone(child.poll())


if __name__ == '__main__':
    if not can_mount():
        skip('no mount namespace can be made here, so no library can be preloaded into a set-id program')
    if os.statvfs('/tmp').f_flag & os.ST_NOSUID:
        skip('/tmp is mounted nosuid')
    main()
