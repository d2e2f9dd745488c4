# Work for perl: hashes, regular expressions, sorting, closures, string growth, fork.
use strict;
use warnings;

my (%count, @list);
my $state = 12345;
sub draw { $state = ($state * 1103515245 + 12345) & 0x7fffffff; return $state >> 8 }
for my $i (0 .. 200_000) {
    my $word = join '', map { chr(97 + draw() % 6) } 0 .. 3 + $i % 4;
    $count{$word}++;
    push @list, { word => $word, at => $i } if $i % 3 == 0;
}
my @sorted = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
print "$_ $count{$_}\n" for @sorted[0 .. 20];
@list = grep { $_->{word} =~ /^a.*(b|c)$/ } @list;
print scalar(@list), "\n";
my $text = '';
$text .= sprintf("%05d:%s;", $_->{at}, reverse $_->{word}) for @list;
print length($text), " ", unpack('%32C*', $text), "\n";
(my $changed = $text) =~ s/(\d+):(\w)/$2$1/g;
print unpack('%32C*', $changed), "\n";
my @closures = map { my $n = $_; sub { $n * shift } } 1 .. 5000;
my $sum = 0;
$sum += $_->(3) for @closures;
print "$sum\n";
for my $n (1 .. 5) {
    my $pid = fork // die;
    if ($pid == 0) { my %copy = %count; exit(scalar(keys %copy) % 7 == 0 ? 1 : 0) }
    waitpid $pid, 0;
    print "child $n: $?\n";
}
